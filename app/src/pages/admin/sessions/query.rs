//! What the list of sessions is asked for, in its address and in its forms.

use rocket::http::RawStr;
use rocket_diesel_sessions::SessionAdmin;
use rocket_diesel_sessions::SessionError;

use crate::accounts::users::Users;
use crate::http::error::ApiError;
use crate::pages::admin::shell::Tab;
use crate::search::server::{Search, Start, Subject};
use crate::search::{Cursor, Filter, Sort};

/// The number of sessions per page.
const PAGE: u32 = 50;

/// The fields of the query, in their order.
pub(super) const FIELDS: [&str; 5] = ["q", "filter", "sort", "after", "before"];

/// The query of the list.
#[derive(Clone, Debug, Default)]
pub(in crate::pages::admin) struct Query {
    pub(super) q: String,
    pub(super) filter: Option<Filter>,
    /// The order that was asked for, if it is not the filter's own.
    pub(super) sort: Option<Sort>,
    pub(super) after: Option<Cursor>,
    pub(super) before: Option<Cursor>,
}

/// The fields of the query as they were sent.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::pages::admin) struct Fields<'a> {
    pub(in crate::pages::admin) q: Option<&'a str>,
    pub(in crate::pages::admin) filter: Option<&'a str>,
    pub(in crate::pages::admin) sort: Option<&'a str>,
    pub(in crate::pages::admin) after: Option<&'a str>,
    pub(in crate::pages::admin) before: Option<&'a str>,
}

impl Query {
    /// Parses the fields. Empty ones count as absent.
    ///
    /// # Errors
    /// 422 that names the field.
    pub(in crate::pages::admin) fn parse(fields: Fields<'_>) -> Result<Self, ApiError> {
        let given = |text: Option<&'_ str>| {
            let text = text.map(str::trim).filter(|text| !text.is_empty());
            text.map(str::to_owned)
        };
        let refused = |name: &str, error: String| {
            ApiError::unprocessable(format!("{name}: {error}"))
                .in_other_words("This link is incomplete. Start from the first page.")
        };
        let filter = given(fields.filter).map(|text| text.parse::<Filter>());
        let filter = filter
            .transpose()
            .map_err(|error| refused("filter", error))?;
        let sort = given(fields.sort).map(|text| text.parse::<Sort>());
        let sort = sort.transpose().map_err(|error| refused("sort", error))?;
        let mut query = Self {
            q: given(fields.q).unwrap_or_default(),
            filter,
            sort,
            ..Self::default()
        };
        let cursor = |name: &str, text: Option<&str>| {
            let parse = |text: String| {
                Cursor::parse(&text, query.order())
                    .ok_or_else(|| refused(name, format!("{text:?} is not of an earlier page")))
            };
            given(text).map(parse).transpose()
        };
        let (after, before) = (
            cursor("after", fields.after)?,
            cursor("before", fields.before)?,
        );
        (query.after, query.before) = (after, before);
        Ok(query)
    }

    /// The order of the list.
    pub(super) fn order(&self) -> Sort {
        self.sort.unwrap_or_else(|| Sort::of(self.filter))
    }

    /// Whether the list begins at its first session.
    pub(super) fn is_first(&self) -> bool {
        self.after.is_none() && self.before.is_none()
    }

    /// Whether the page was reached backwards.
    pub(super) fn is_backwards(&self) -> bool {
        self.before.is_some() && self.after.is_none()
    }

    /// Returns the query of the first page.
    pub(super) fn first(&self) -> Self {
        Self {
            after: None,
            before: None,
            ..self.clone()
        }
    }

    pub(super) fn after(&self, place: rocket_diesel_sessions::store::SessionPlace) -> Self {
        Self {
            after: Some(Cursor::new(place, self.order())),
            ..self.first()
        }
    }

    pub(super) fn before(&self, place: rocket_diesel_sessions::store::SessionPlace) -> Self {
        Self {
            before: Some(Cursor::new(place, self.order())),
            ..self.first()
        }
    }

    /// Returns the fields with a value.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let values = [
            Some(self.q.clone()).filter(|q| !q.is_empty()),
            self.filter.map(|filter| filter.to_string()),
            self.sort.map(|sort| sort.to_string()),
            self.after.map(|after| after.to_string()),
            self.before.map(|before| before.to_string()),
        ];
        let fields = FIELDS.into_iter().zip(values);
        fields
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// Returns the query as a part of an address, which is empty or begins with `?`.
    pub(super) fn as_text(&self) -> String {
        let pair = |(name, value): (&'static str, String)| {
            format!("{name}={}", RawStr::new(&value).percent_encode())
        };
        let pairs: Vec<String> = self.fields().into_iter().map(pair).collect();
        if pairs.is_empty() {
            return String::new();
        }
        format!("?{}", pairs.join("&"))
    }

    /// Returns the address of the list.
    pub(in crate::pages::admin) fn address(&self) -> String {
        format!("{}{}", Tab::Sessions.path(), self.as_text())
    }

    /// Returns the search that finds the page.
    pub(super) async fn search(
        &self,
        users: &Users,
        sessions: &SessionAdmin,
    ) -> Result<Search<'_>, SessionError> {
        let subject = if self.q.is_empty() {
            Subject::Everyone
        } else {
            Subject::named(users, sessions, &self.q).await?
        };
        let is_text = matches!(subject, Subject::Everyone) && !self.q.is_empty();
        Ok(Search {
            subject,
            text: is_text.then_some(self.q.as_str()),
            filter: self.filter,
            chosen: self.sort,
            start: match (self.after, self.before) {
                (Some(after), _) => Start::After(after.place),
                (None, Some(before)) => Start::Before(before.place),
                (None, None) => Start::First,
            },
            limit: PAGE,
        })
    }
}
