//! The orders of a list, and the places in them as texts.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Utc};
use rocket_diesel_sessions::store::{SessionOrder, SessionPlace};
use uuid::Uuid;

use super::filter::Filter;
use crate::api::cursor;

/// The order of a list. Its text is `newest` or `expiring`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The newest token first.
    #[default]
    Newest,
    /// The session that expires first unless it is used first.
    Expiring,
}

impl Sort {
    /// Returns the order in which a store reads sessions.
    pub fn order(self) -> SessionOrder {
        match self {
            Self::Newest => SessionOrder::NewestFirst,
            Self::Expiring => SessionOrder::ExpiringFirst,
        }
    }

    /// Returns the order of a list with these filters, unless another one is chosen: the one in which what
    /// they keep comes first.
    pub fn of(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut orders = filters.into_iter().map(|filter| filter.order().into());
        let other = orders.find(|order| *order != Self::default());
        other.unwrap_or_default()
    }
}

impl From<SessionOrder> for Sort {
    fn from(order: SessionOrder) -> Self {
        match order {
            SessionOrder::ExpiringFirst => Self::Expiring,
            _ => Self::Newest,
        }
    }
}

impl FromStr for Sort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            "expiring" => Ok(Self::Expiring),
            _ => Err(format!("{text:?} is not newest or expiring")),
        }
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::Expiring => "expiring",
        })
    }
}

/// Returns the place before all sessions, in either order. It has the form of a token's lookup half.
pub(super) fn beginning() -> SessionPlace {
    let id = Uuid::from_u128(0xffff_ffff_ffff_7fff_bfff_ffff_ffff_ffff);
    SessionPlace::new(id, DateTime::UNIX_EPOCH)
}

/// A place in a list. Its text is a lookup id, and in the order of deadlines also one of those, in
/// microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The place.
    pub place: SessionPlace,
    /// The order of the list.
    pub sort: Sort,
}

impl Cursor {
    /// Makes the cursor of a place in this order.
    pub fn new(place: SessionPlace, sort: Sort) -> Self {
        Self { place, sort }
    }

    /// Parses the cursor of an earlier list in this order.
    pub fn parse(text: &str, sort: Sort) -> Option<Self> {
        let (id, expires_at) = match sort {
            Sort::Newest => (text, DateTime::UNIX_EPOCH),
            Sort::Expiring => {
                let (id, micros) = text.split_once('_')?;
                let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
                // Databases compare dates as text, which has four digits for a year.
                (id, Some(at).filter(|at| (0..=9999).contains(&at.year()))?)
            }
        };
        let place = SessionPlace::new(cursor::parse(id)?, expires_at);
        Some(Self { place, sort })
    }

    /// Returns the moment to which the place belongs in the order of deadlines.
    pub(super) fn at(place: &SessionPlace) -> DateTime<Utc> {
        place.expires_at
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SessionPlace { session_id, .. } = self.place;
        match self.sort {
            Sort::Newest => write!(f, "{session_id}"),
            Sort::Expiring => {
                let micros = self.place.expires_at.timestamp_micros();
                write!(f, "{session_id}_{micros}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_the_order_that_gave_it() {
        let id = "0198f2a4-6f6a-7c39-b6c7-0b5d6f0a9e11";
        let newest = Cursor::parse(id, Sort::Newest).unwrap();
        assert_eq!(newest.to_string(), id);
        let text = format!("{id}_1769000000123456");
        let expiring = Cursor::parse(&text, Sort::Expiring).unwrap();
        assert_eq!(expiring.to_string(), text);
        assert!(Cursor::parse(&text, Sort::Newest).is_none());
        for text in [
            "",
            "x",
            id,
            "_",
            "x_1",
            &format!("{id}_"),
            &format!("{id}_x"),
            &format!("{id}_8200000000000000000"),
        ] {
            assert!(Cursor::parse(text, Sort::Expiring).is_none(), "{text}");
        }
    }
}
