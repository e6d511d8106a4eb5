//! Between the typed data and its JSON in the row.
//!
//! During a rolling deploy, instances with an older type meet rows that a newer one wrote. What
//! such a type does not know is kept as it is.

use std::sync::Arc;

use rocket::data::ByteUnit;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::SessionError;

/// What a session's data must be able to do: be written and read as JSON, and have a first value.
///
/// To let instances of two versions run side by side, give new fields a default
/// (`#[serde(default)]`) and do not refuse unknown ones.
pub trait TypedData: Serialize + DeserializeOwned + Default + Send + Sync + 'static {}

impl<D: Serialize + DeserializeOwned + Default + Send + Sync + 'static> TypedData for D {}

/// The JSON of a new session.
pub(crate) fn encode<D: TypedData>(data: &D, limit: ByteUnit) -> Result<String, SessionError> {
    within(limit, to_json(data)?)
}

/// The data of a row.
pub(crate) fn decode<D: TypedData>(raw: &str) -> Result<D, serde_json::Error> {
    serde_json::from_str(raw)
}

/// The row's JSON after a change of the data from `before` (as JSON) to `after`; `None` when
/// nothing changed.
pub(crate) fn recode<D: TypedData>(
    raw: &str,
    before: &str,
    after: &D,
    limit: ByteUnit,
) -> Result<Option<String>, SessionError> {
    let after = to_json(after)?;
    if before == after {
        return Ok(None);
    }
    // The usual case: the type knows all that the row holds.
    if raw == before {
        return within(limit, after).map(Some);
    }
    let parse = |json: &str| serde_json::from_str::<Value>(json).map_err(encode_error);
    let merged = keep_unknown(&parse(raw)?, &parse(before)?, parse(&after)?);
    // A field under its former name (`#[serde(alias)]`) looks like an unknown one, and the two
    // together do not decode.
    let merged = match D::deserialize(&merged) {
        Ok(_) => to_json(&merged)?,
        Err(_) => after,
    };
    if merged == raw {
        return Ok(None);
    }
    within(limit, merged).map(Some)
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, SessionError> {
    serde_json::to_string(value).map_err(encode_error)
}

fn encode_error(error: serde_json::Error) -> SessionError {
    SessionError::Encode(Arc::new(error))
}

fn within(limit: ByteUnit, json: String) -> Result<String, SessionError> {
    let limit = usize::try_from(limit.as_u64()).unwrap_or(usize::MAX);
    if json.len() > limit {
        let size = json.len();
        return Err(SessionError::TooLarge { size, limit });
    }
    Ok(json)
}

/// Applies to `raw` what changed between `before` and `after`, field by field: what is in `raw`
/// alone is what the type does not know.
fn keep_unknown(raw: &Value, before: &Value, after: Value) -> Value {
    if *before == after {
        return raw.clone();
    }
    match (raw, before, after) {
        (Value::Object(raw), Value::Object(before), Value::Object(after)) => {
            let unknown = raw.iter().filter(|(key, _)| !before.contains_key(*key));
            let mut merged: serde_json::Map<String, Value> = unknown
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            for (key, value) in after {
                let value = match (raw.get(&key), before.get(&key)) {
                    (Some(raw), Some(before)) => keep_unknown(raw, before, value),
                    _ => value,
                };
                merged.insert(key, value);
            }
            Value::Object(merged)
        }
        (_, _, after) => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rocket::data::ToByteUnit;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Old {
        count: u32,
        #[serde(alias = "items")]
        cart: BTreeMap<String, u32>,
        inner: Inner,
    }

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        theme: String,
    }

    fn change(raw: &str, change: impl FnOnce(&mut Old)) -> Option<Value> {
        let mut data: Old = decode(raw).unwrap();
        let before = to_json(&data).unwrap();
        change(&mut data);
        let json = recode(raw, &before, &data, 1.kibibytes()).unwrap()?;
        Some(serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn what_a_newer_type_wrote_is_kept_at_every_depth() {
        let raw = r#"{"count":1,"inner":{"theme":"a","new":[1]},"newer":{"x":null}}"#;
        let changed = change(raw, |data| {
            data.count += 1;
            data.inner.theme = "b".into();
        });
        let expected = serde_json::json!({
            "count": 2, "cart": {}, "inner": {"theme": "b", "new": [1]}, "newer": {"x": null}
        });
        assert_eq!(changed, Some(expected));
    }

    #[test]
    fn what_was_removed_stays_removed() {
        let raw = r#"{"count":1,"cart":{"a":1,"b":2},"inner":{"theme":""},"newer":1}"#;
        let changed = change(raw, |data| {
            data.cart.remove("a");
        })
        .unwrap();
        assert_eq!(changed["cart"], serde_json::json!({"b": 2}));
        assert_eq!(changed["newer"], 1);
    }

    #[test]
    fn no_change_is_no_write() {
        assert_eq!(change(r#"{"count":1,"newer":1}"#, |_| {}), None);
        assert_eq!(change("{}", |data| data.count = 0), None);
    }

    #[test]
    fn a_renamed_field_does_not_make_the_row_undecodable() {
        let changed = change(r#"{"items":{"a":1},"count":1}"#, |data| data.count = 2).unwrap();
        let data: Old = serde_json::from_value(changed).unwrap();
        assert_eq!((data.count, data.cart["a"]), (2, 1));
    }

    #[test]
    fn a_larger_value_is_an_error() {
        let error = encode(&"x".repeat(100), 64.bytes()).unwrap_err();
        assert!(matches!(
            error,
            SessionError::TooLarge {
                size: 102,
                limit: 64
            }
        ));
    }
}
