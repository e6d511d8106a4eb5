//! The JSON of a row: the data, and beside it what the library keeps with it.
//!
//! ```json
//! {"count":1,"$version":2,"$aside":["{\"count\":\"one\"}"]}
//! ```
//!
//! Both fields exist only if they are needed. They are fields of the data's own object, because
//! instances of earlier versions of this library keep fields that they do not know. Data that is not
//! an object, or that has such a field itself, is in the field `$data`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::store::SessionRecord;

/// The version of the type that wrote the data. Absent for 0.
const VERSION: &str = "$version";

/// The data of former rows that could not be decoded when the session was written, newest first.
/// Each is the text of such a row.
const ASIDE: &str = "$aside";

const DATA: &str = "$data";

/// Returns the JSON of a session's data, without what the library keeps with it in the same row: the
/// version of the data's type, and data that could not be decoded.
///
/// # Example
///
/// ```
/// use rocket_diesel_sessions::admin::typed_data;
/// use rocket_diesel_sessions::store::SessionRecord;
///
/// fn size(record: &SessionRecord) -> String {
///     format!("{} bytes", typed_data(record).len())
/// }
/// ```
pub fn typed_data(record: &SessionRecord) -> Cow<'_, str> {
    Row::parse(&record.data).body
}

/// The content of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row<'r> {
    /// The data as JSON, or a text that is not JSON.
    pub(super) body: Cow<'r, str>,
    pub(super) version: u32,
    pub(super) aside: Vec<String>,
}

impl<'r> Row<'r> {
    pub(super) fn parse(raw: &'r str) -> Self {
        Self::with_reserved(raw).unwrap_or(Self {
            body: Cow::Borrowed(raw),
            version: 0,
            aside: Vec::new(),
        })
    }

    /// Returns `None` if the row has no reserved field, or one that this library did not write.
    fn with_reserved(raw: &'r str) -> Option<Self> {
        let fields = fields(raw).filter(|fields| has_reserved(fields))?;
        let value = |name: &str| {
            let field = fields.iter().find(|(key, _)| key == name);
            field.map(|(_, value)| value.get())
        };
        let version = value(VERSION).map_or(Ok(0), serde_json::from_str);
        let aside = value(ASIDE).map_or(Ok(Vec::new()), serde_json::from_str);
        let (version, aside) = (version.ok()?, aside.ok()?);
        let own: Vec<&(String, &RawValue)> = fields
            .iter()
            .filter(|(key, _)| key != VERSION && key != ASIDE)
            .collect();
        let body = match own.as_slice() {
            [(key, data)] if key == DATA => Cow::Borrowed(data.get()),
            own => Cow::Owned(object(own)),
        };
        Some(Self {
            body,
            version,
            aside,
        })
    }

    /// Returns the row's JSON.
    pub(super) fn into_json(self) -> String {
        let is_own_field = fields(&self.body).is_some_and(|fields| has_reserved(&fields));
        if self.version == 0 && self.aside.is_empty() && !is_own_field {
            return self.body.into_owned();
        }
        let object = self.body.trim().strip_prefix('{');
        let mut parts = match object.and_then(|object| object.strip_suffix('}')) {
            Some(fields) if fields.trim().is_empty() => Vec::new(),
            Some(fields) if !is_own_field => vec![fields.to_owned()],
            _ => vec![format!("\"{DATA}\":{}", self.body)],
        };
        if self.version > 0 {
            parts.push(format!("\"{VERSION}\":{}", self.version));
        }
        if !self.aside.is_empty() {
            let aside = serde_json::Value::from(self.aside);
            parts.push(format!("\"{ASIDE}\":{aside}"));
        }
        format!("{{{}}}", parts.join(","))
    }
}

/// Returns the fields of an object that may have a reserved one.
fn fields(json: &str) -> Option<Vec<(String, &RawValue)>> {
    if !json.contains("\"$") && !json.contains("\"\\u0024") {
        return None;
    }
    let fields: Fields<'_> = serde_json::from_str(json).ok()?;
    Some(fields.0)
}

fn has_reserved(fields: &[(String, &RawValue)]) -> bool {
    let reserved = [VERSION, ASIDE, DATA];
    fields
        .iter()
        .any(|(key, _)| reserved.contains(&key.as_str()))
}

fn object(fields: &[&(String, &RawValue)]) -> String {
    let field = |(key, value): &&(String, &RawValue)| {
        format!("{}:{}", serde_json::Value::from(key.as_str()), value.get())
    };
    let fields: Vec<String> = fields.iter().map(field).collect();
    format!("{{{}}}", fields.join(","))
}

/// The fields of an object in their order. Their values are kept as text, because numbers of more
/// than 64 bits would be changed otherwise.
struct Fields<'r>(Vec<(String, &'r RawValue)>);

impl<'de: 'r, 'r> Deserialize<'de> for Fields<'r> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(Collect).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let huge = format!("{{\"n\":{},\"$\":1}}", u128::MAX);
        for body in [
            "{}",
            "[1]",
            "7",
            "null",
            "\"a\"",
            "{\"b\":1,\"a\":{\"$version\":1}}",
            &huge,
            "{\"$version\":7}",
            "{\"$data\":1}",
            "{\"$aside\":[\"x\"],\"z\":2}",
            "{\"a\":\"\\\"$version\\\":1\"}",
            "{\"\\u0024version\":\"x\"}",
        ] {
            for (version, aside) in [
                (0, vec![]),
                (3, vec![]),
                (0, vec!["no JSON", "{\"$version\":1}"]),
            ] {
                let row = Row {
                    body: body.into(),
                    version,
                    aside: aside.into_iter().map(str::to_owned).collect(),
                };
                let json = Row {
                    body: body.into(),
                    version,
                    aside: row.aside.clone(),
                }
                .into_json();
                assert_eq!(Row::parse(&json), row, "{json}");
            }
        }
    }

    #[test]
    fn fields_of_the_data_that_only_look_reserved_are_the_datas() {
        for raw in [
            "{\"$version\":\"one\"}",
            "{\"$version\":-1}",
            "{\"$aside\":{}}",
            "{\"$data\":1,\"$version\":[]}",
            "no \"$version\"",
            "[\"$version\"]",
            "{\"a\":{\"$version\":1}}",
        ] {
            assert_eq!(Row::parse(raw).body, raw);
        }
    }
}
