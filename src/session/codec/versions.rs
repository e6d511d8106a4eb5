//! Reading rows of every version of the data's type, and writing them so that every version can
//! still read them.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rocket::data::ByteUnit;
use serde_json::Value;

use super::envelope::Row;
use super::evolution::with_unknown;
use super::fault::Fault;
use super::{TypedData, decode, merged, readable, within, written};
use crate::session::error::SessionError;

/// A type of session data that has versions. An ordinary type needs none, and no implementation of
/// this trait: fields can be added, renamed and retired without (see the guide on
/// [evolving data](crate::guide::evolving_data)).
///
/// The trait takes effect where the sessions are attached, with
/// [`Sessions::versioned`](crate::Sessions::versioned).
///
/// # Example
///
/// ```
/// use rocket::serde::json::Value;
/// use rocket::serde::{Deserialize, Serialize};
/// use rocket_diesel_sessions::{SessionData, Sessions};
///
/// /// Version 0 had one field, `name`.
/// #[derive(Default, Serialize, Deserialize)]
/// #[serde(crate = "rocket::serde", default)]
/// struct Visitor {
///     first: String,
///     last: String,
/// }
///
/// impl SessionData for Visitor {
///     const VERSION: u32 = 1;
///
///     fn upgrade(old: Value, _version: u32) -> Option<Self> {
///         let name = old.get("name").and_then(Value::as_str).unwrap_or_default();
///         let (first, last) = name.split_once(' ').unwrap_or((name, ""));
///         let (first, last) = (first.to_owned(), last.to_owned());
///         Some(Self { first, last })
///     }
/// }
///
/// let rocket = rocket::build().attach(Sessions::<Visitor>::fairing().versioned());
/// ```
pub trait SessionData: TypedData {
    /// The version that this type writes. Rows without a version are of version 0.
    const VERSION: u32 = 0;

    /// Makes the data from that of an older version, which is less than [`VERSION`](Self::VERSION).
    /// Returns `None` if that is impossible; the setting `on_undecodable` decides what happens then, and
    /// also after a panic.
    /// The default implementation decodes `old` as it is.
    ///
    /// It is called whenever such a row is read, until a change of the data writes the row in this
    /// version. It must therefore be quick, and always return the same for the same data.
    ///
    /// # Example
    ///
    /// See the [trait](Self#example).
    #[must_use]
    fn upgrade(old: Value, version: u32) -> Option<Self> {
        let _ = version;
        Self::deserialize(old).ok()
    }
}

type Upgrade<D> = dyn Fn(Value, u32) -> Option<D> + Send + Sync;

/// Converts between the type and its rows.
pub(crate) struct Codec<D> {
    version: u32,
    upgrade: Option<Box<Upgrade<D>>>,
}

/// Data that was read from a row.
pub(crate) struct Reading<'r, D> {
    pub(crate) data: D,
    pub(crate) origin: Origin<'r>,
}

/// The parts of a row that its next write has to consider.
pub(crate) struct Origin<'r> {
    /// The JSON of which the data was made. `None` if none could be decoded.
    body: Option<Cow<'r, str>>,
    /// The version of `body`.
    version: u32,
    /// The texts to put aside, newest first.
    aside: Vec<String>,
}

impl<'r, D: TypedData> Reading<'r, D> {
    /// Returns the default value for a row that cannot be decoded. A write puts its text aside.
    pub(crate) fn in_place_of(raw: &'r str) -> Self {
        let origin = Origin {
            body: None,
            version: 0,
            aside: texts(Row::parse(raw)),
        };
        let data = D::default();
        Self { data, origin }
    }
}

impl<D: TypedData> Codec<D> {
    /// Returns the codec of a type without versions.
    pub(crate) fn unversioned() -> Self {
        Self {
            version: 0,
            upgrade: None,
        }
    }

    /// Returns the codec of a type of this version, which makes its data from that of older ones.
    pub(crate) fn versioned(
        version: u32,
        upgrade: impl Fn(Value, u32) -> Option<D> + Send + Sync + 'static,
    ) -> Self {
        Self {
            version,
            upgrade: Some(Box::new(upgrade)),
        }
    }

    /// Returns the JSON of a new row.
    pub(crate) fn encode(&self, data: &D, limit: ByteUnit) -> Result<String, SessionError> {
        let body = readable::<D>(within(limit, written(data)?)?)?;
        let row = Row {
            body: body.into(),
            version: self.version,
            aside: Vec::new(),
        };
        Ok(row.into_json())
    }

    /// Reads a row. Of a row with data that was put aside, the data counts that is closest to the
    /// type's version, if it can be decoded. Each of two versions that cannot decode each other's
    /// data thus continues with its own.
    pub(crate) fn read<'r>(&self, raw: &'r str) -> Result<Reading<'r, D>, Fault> {
        let row = Row::parse(raw);
        if row.aside.is_empty() {
            let data = self.decode(&row)?;
            let origin = Origin {
                body: Some(row.body),
                version: row.version,
                aside: Vec::new(),
            };
            return Ok(Reading { data, origin });
        }
        let mut texts = texts(row);
        let mut order: Vec<(usize, u32)> = texts
            .iter()
            .map(|text| Row::parse(text).version)
            .enumerate()
            .collect();
        order.sort_by_key(|(_, version)| (*version > self.version, version.abs_diff(self.version)));
        for (index, version) in order {
            let row = Row::parse(&texts[index]);
            if let Ok(data) = self.decode(&row) {
                let body = Cow::Owned(row.body.into_owned());
                texts.remove(index);
                let origin = Origin {
                    body: Some(body),
                    version,
                    aside: texts,
                };
                return Ok(Reading { data, origin });
            }
        }
        let fault = self.decode(&Row::parse(raw)).map(|_| ());
        Err(fault.err().unwrap_or_else(|| Fault::not_upgraded(0)))
    }

    fn decode(&self, row: &Row<'_>) -> Result<D, Fault> {
        match &self.upgrade {
            Some(upgrade) if row.version < self.version => {
                let old = super::evolution::present::<D>(&row.body)?;
                // A panic would also keep the visitor from signing out.
                catch_unwind(AssertUnwindSafe(|| upgrade(old, row.version)))
                    .map_err(|_| Fault::panicked(row.version))?
                    .ok_or_else(|| Fault::not_upgraded(row.version))
            }
            _ => decode(&row.body).map_err(|error| {
                let fault = Fault::from(error);
                if row.version > self.version {
                    fault.of_newer(row.version, self.version)
                } else {
                    fault
                }
            }),
        }
    }

    /// Returns the row's new JSON after the data changed from `before` (as JSON) to `after`, or
    /// `None` if nothing changed. The row keeps a version that is higher than the type's.
    pub(crate) fn write(
        &self,
        origin: &Origin<'_>,
        before: &str,
        after: &D,
        limit: ByteUnit,
    ) -> Result<Option<String>, SessionError> {
        let after = written(after)?;
        if before == after {
            return Ok(None);
        }
        let after = readable::<D>(within(limit, after)?)?;
        let body = match &origin.body {
            None => after,
            Some(body) if self.upgrade.is_some() && origin.version < self.version => {
                let lifted = with_unknown::<D>(body, before);
                merged::<D>(&lifted, before, after)?
            }
            Some(body) => {
                let merged = merged::<D>(body, before, after)?;
                if merged == **body && origin.aside.is_empty() {
                    return Ok(None);
                }
                merged
            }
        };
        let row = Row {
            body: within(limit, body)?.into(),
            version: origin.version.max(self.version),
            aside: origin.aside.clone(),
        };
        Ok(Some(row.into_json()))
    }
}

/// Returns the texts of a row: its own without what was put aside, and those.
fn texts(row: Row<'_>) -> Vec<String> {
    let mut aside = row.aside;
    let own = Row {
        aside: Vec::new(),
        ..row
    };
    aside.insert(0, own.into_json());
    aside
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rocket::data::ToByteUnit;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::session::codec::to_json;

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Data {
        #[serde(alias = "was")]
        now: u8,
        #[serde(skip_serializing)]
        retired: u8,
        inner: Inner,
        made: String,
    }

    #[derive(Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        #[serde(alias = "was")]
        now: u8,
        #[serde(skip_serializing)]
        retired: u8,
    }

    fn changed<D: TypedData>(
        codec: &Codec<D>,
        raw: &str,
        change: impl FnOnce(&mut D),
    ) -> Option<String> {
        let Reading { mut data, origin } = codec.read(raw).unwrap();
        let before = to_json(&data).unwrap();
        change(&mut data);
        codec.write(&origin, &before, &data, 1.kibibytes()).unwrap()
    }

    #[test]
    fn an_upgraded_row_keeps_what_the_type_does_not_know_at_every_depth() {
        let codec = Codec::versioned(2, |old: Value, version| {
            let made = format!("of {version}");
            let data = Data::deserialize(old).ok()?;
            Some(Data { made, ..data })
        });
        // Both the former and the present name, before the upgrade.
        let raw = r#"{"was":1,"now":2,"retired":3,"new":[4],"$version":1,
            "inner":{"was":5,"retired":6,"new":{"retired":7}}}"#;
        assert_eq!(changed(&codec, raw, |_| {}), None);
        let json = changed(&codec, raw, |data| data.now += 10).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&json).unwrap(),
            serde_json::json!({
                "now": 12, "new": [4], "inner": {"now": 5, "new": {"retired": 7}}, "made": "of 1",
                "$version": 2
            })
        );
        // A version that is newer than the type is kept.
        let newer = changed(&codec, r#"{"now":1,"$version":9}"#, |data| data.now = 2).unwrap();
        assert!(newer.ends_with(r#""$version":9}"#), "{newer}");
        let fault = codec.read(r#"{"now":"1","$version":9}"#).err().unwrap();
        assert!(
            fault
                .reason
                .ends_with("(it is of version 9, and the type of version 2)")
        );
    }

    #[test]
    fn i11_an_upgrade_that_panics_leaves_data_that_cannot_be_decoded() {
        let codec = Codec::<Data>::versioned(1, |_, _| panic!("as this test intends"));
        let fault = codec.read(r#"{"now":1}"#).err().unwrap();
        assert_eq!(fault.reason, "upgrade panics for version 0");
    }

    /// Earlier versions of the library take the whole row for the data.
    #[test]
    fn a_write_by_an_earlier_version_of_the_library_keeps_the_reserved_fields() {
        let row = Row {
            body: r#"{"now":1,"inner":{"now":0},"made":""}"#.into(),
            version: 7,
            aside: vec!["no JSON".to_owned()],
        };
        let raw = row.into_json();
        let mut data: Data = decode(&raw).unwrap();
        let before = to_json(&data).unwrap();
        data.now = 2;
        let written = merged::<Data>(&raw, &before, to_json(&data).unwrap()).unwrap();
        let row = Row::parse(&written);
        assert_eq!((row.version, row.aside), (7, vec!["no JSON".to_owned()]));
        assert_eq!(decode::<Data>(&row.body).unwrap().now, 2);
    }

    #[test]
    fn large_numbers_and_reserved_names_are_exact_beside_a_version() {
        let codec = Codec::<BTreeMap<String, u128>>::versioned(1, |_, _| None);
        let data = [("$version".to_owned(), u128::MAX), ("a".to_owned(), 1)];
        let data = BTreeMap::from(data);
        let raw = codec.encode(&data, 1.kibibytes()).unwrap();
        assert_eq!(codec.read(&raw).unwrap().data, data);
        let raw = changed(&codec, &raw, |data| data.retain(|name, _| name == "a")).unwrap();
        assert_eq!(raw, r#"{"a":1,"$version":1}"#);
    }

    #[test]
    fn what_is_put_aside_is_not_part_of_the_limit() {
        let codec = Codec::<Vec<String>>::unversioned();
        let raw = format!("\"{}\"", "x".repeat(2000));
        let origin = Reading::<Vec<String>>::in_place_of(&raw).origin;
        let written = codec.write(&origin, "[]", &vec!["a".to_owned()], 5.bytes());
        let written = written.unwrap().unwrap();
        assert_eq!(codec.read(&written).unwrap().data, ["a"]);
        let large = codec.write(&origin, "[]", &vec!["ab".to_owned()], 5.bytes());
        assert!(matches!(
            large,
            Err(SessionError::TooLarge { size: 6, limit: 5 })
        ));
    }
}
