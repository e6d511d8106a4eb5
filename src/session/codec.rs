//! Between the typed data and its JSON in the row.
//!
//! During a rolling deploy, instances with an older type meet rows that a newer one wrote. What
//! such a type does not know is kept as it is.

mod evolution;

use std::sync::Arc;

use rocket::data::ByteUnit;
use rocket::figment::value as figment;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::error::SessionError;

/// What a session's data must be able to do: be written and read as JSON, and have a first value.
///
/// What is written must mean the same when it is read. Data is tried before it is stored, and
/// refused with [`SessionError::Encode`] if it could not be read back or would then be written
/// differently (the order of a set's elements does not count). `D::default()` is tried when Rocket
/// ignites. This refuses `NaN` and infinities, more than 128 levels of nesting,
/// `skip_deserializing` without its counterpart, `skip_serializing_if` on a field without a
/// default, and untagged enums whose variants look alike. Two things pass and are
/// read back as `None`: a `Some` whose content JSON writes as `null`, such as `Some(None)` or
/// `Some(())`, and, beside a map whose keys are not strings, `Some(f64::NAN)`.
///
/// # Two versions side by side
///
/// During a rolling deploy, instances of two versions read and write the same sessions:
///
/// - Fields that a version does not know are kept. Give new fields a default (`#[serde(default)]`)
///   and do not refuse unknown ones (`deny_unknown_fields`).
/// - A field may be renamed with `#[serde(alias = "former")]`. Where a row has both names, the
///   present one counts, and the next write of this version drops the former one. What the older
///   version writes under the former name while the row has the present one is not seen.
/// - A field may be retired with `#[serde(skip_serializing, default)]`. It is still read, so that
///   an update can move its content elsewhere, and goes away with the next write.
/// - Both of the last two need a derived `Deserialize`. A field that a hand-written one reads and
///   does not write counts as unknown, and stays.
/// - Integers beyond 64 bits are exact only where every version knows them: in an unknown field they
///   become floats, and a type that has them keeps no unknown fields. Store them as text.
pub trait TypedData: Serialize + DeserializeOwned + Default + Send + Sync + 'static {}

impl<D: Serialize + DeserializeOwned + Default + Send + Sync + 'static> TypedData for D {}

/// The JSON of a new session.
pub(crate) fn encode<D: TypedData>(data: &D, limit: ByteUnit) -> Result<String, SessionError> {
    readable::<D>(within(limit, written(data)?)?)
}

/// The data of a row.
pub(crate) fn decode<D: TypedData>(raw: &str) -> Result<D, serde_json::Error> {
    serde_json::from_str(raw).or_else(|error| evolution::decode_present_names(raw).ok_or(error))
}

/// The row's JSON after a change of the data from `before` (as JSON) to `after`; `None` when
/// nothing changed.
pub(crate) fn recode<D: TypedData>(
    raw: &str,
    before: &str,
    after: &D,
    limit: ByteUnit,
) -> Result<Option<String>, SessionError> {
    let after = written(after)?;
    if before == after {
        return Ok(None);
    }
    let after = readable::<D>(within(limit, after)?)?;
    // The usual case: the type knows all that the row holds.
    if raw == before {
        return Ok(Some(after));
    }
    let merged = evolution::keep_unknown::<D>(raw, before, &after).map_err(encode_error)?;
    // What the type does not know must not change what it reads.
    let merged = if means::<D>(&merged, &after) {
        merged
    } else {
        after
    };
    if merged == raw {
        return Ok(None);
    }
    within(limit, merged).map(Some)
}

/// Refuses JSON that the type cannot read, or reads as something else.
fn readable<D: TypedData>(json: String) -> Result<String, SessionError> {
    if means::<D>(&json, &json) {
        return Ok(json);
    }
    Err(unreadable())
}

/// The JSON of data, unless it stands for other data.
fn written<D: TypedData>(data: &D) -> Result<String, SessionError> {
    let json = to_json(data)?;
    if json.contains("null") && has_no_json(data) {
        return Err(unreadable());
    }
    Ok(json)
}

fn unreadable() -> SessionError {
    encode_error(serde_json::Error::custom(
        "its JSON would not be read back as it is; reasons are NaN or an infinity, more than 128 \
         levels of nesting, a field that is skipped only when reading or only when writing \
         (skip_deserializing, skip_serializing_if without a default), or an untagged enum whose \
         variants look alike",
    ))
}

/// Returns whether the data holds a number that JSON lacks, which is then written as `null`.
fn has_no_json<D: Serialize>(data: &D) -> bool {
    fn is_in(value: &figment::Value) -> bool {
        match value {
            figment::Value::Num(_, figment::Num::F32(number)) => !number.is_finite(),
            figment::Value::Num(_, figment::Num::F64(number)) => !number.is_finite(),
            figment::Value::Array(_, elements) => elements.iter().any(is_in),
            figment::Value::Dict(_, fields) => fields.values().any(is_in),
            _ => false,
        }
    }
    figment::Value::serialize(data).is_ok_and(|value| is_in(&value))
}

/// Returns whether the type reads `json` as data that it would write as `expected`.
fn means<D: TypedData>(json: &str, expected: &str) -> bool {
    let Ok(data) = serde_json::from_str::<D>(json) else {
        return false;
    };
    let Ok(again) = serde_json::to_string(&data) else {
        return false;
    };
    again == expected || unordered(&again).is_some_and(|again| Some(again) == unordered(expected))
}

/// The value of a JSON text in a form in which the order of arrays does not count: a set has none.
fn unordered(json: &str) -> Option<Value> {
    fn sort(value: Value) -> Value {
        match value {
            Value::Array(elements) => {
                let mut elements: Vec<Value> = elements.into_iter().map(sort).collect();
                elements.sort_by_cached_key(Value::to_string);
                Value::Array(elements)
            }
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (name, sort(value)))
                .collect(),
            value => value,
        }
    }
    serde_json::from_str(json).ok().map(sort)
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
