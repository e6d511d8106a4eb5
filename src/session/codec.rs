//! Conversion between the typed data and its JSON in the row.
//!
//! During a rolling deploy, instances with an older type meet rows that a newer one wrote. Fields
//! that the older type does not know are kept unchanged.

mod envelope;
mod evolution;
mod fault;
mod versions;

use rocket::data::ByteUnit;
use rocket::figment::value as figment;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;

use super::error::SessionError;
use crate::Cause;

pub use self::envelope::typed_data;
pub(crate) use self::fault::Fault;
pub use self::versions::SessionData;
pub(crate) use self::versions::{Codec, Reading};

/// The data of a session. It is written and read as JSON and has a default value.
///
/// Stored data must have the same meaning when it is read back. Data is therefore checked before it
/// is stored, and refused with [`SessionError::Encode`] if it could not be read back or would then
/// be written differently (the order of a set's elements is ignored). `D::default()` is checked
/// when Rocket ignites. The check refuses `NaN` and infinities, more than 128 levels of nesting,
/// `skip_deserializing` without its counterpart, `skip_serializing_if` on a field without a
/// default, and untagged enums whose variants look alike. Two values pass and are read back as
/// `None`: a `Some` whose content JSON writes as `null`, such as `Some(None)` or `Some(())`, and,
/// beside a map whose keys are not strings, `Some(f64::NAN)`.
///
/// # Two versions side by side
///
/// During a rolling deploy, instances of two versions read and write the same sessions. Fields that
/// a version does not know are kept. Give new fields a default (`#[serde(default)]`) and do not
/// refuse unknown ones (`deny_unknown_fields`). Fields can be renamed and retired, and a type can
/// have versions ([`SessionData`]); the guide on [evolving data](crate::guide::evolving_data) says
/// how.
pub trait TypedData: Serialize + DeserializeOwned + Default + Send + Sync + 'static {}

impl<D: Serialize + DeserializeOwned + Default + Send + Sync + 'static> TypedData for D {}

/// Decodes the data of a row, regardless of its version.
fn decode<D: TypedData>(body: &str) -> Result<D, serde_json::Error> {
    serde_json::from_str(body)
        .or_else(|error| evolution::decode_present_names(body).unwrap_or(Err(error)))
}

/// Returns the data `body` after it changed from `before` to `after`, with the fields that the type
/// does not know. All are JSON.
fn merged<D: TypedData>(body: &str, before: &str, after: String) -> Result<String, SessionError> {
    // The usual case: the type knows all that the row holds.
    if body == before {
        return Ok(after);
    }
    let merged = evolution::keep_unknown::<D>(body, before, &after).map_err(encode_error)?;
    // Unknown fields must not change how the type reads the known ones.
    Ok(if means::<D>(&merged, &after) {
        merged
    } else {
        after
    })
}

/// Refuses JSON that the type cannot read or reads as different data.
fn readable<D: TypedData>(json: String) -> Result<String, SessionError> {
    if means::<D>(&json, &json) {
        return Ok(json);
    }
    Err(unreadable())
}

/// Encodes data as JSON. Refuses data that JSON cannot represent.
fn written<D: TypedData>(data: &D) -> Result<String, SessionError> {
    let json = to_json(data)?;
    if json.contains("null") && has_no_json(data) {
        return Err(unreadable());
    }
    Ok(json)
}

fn unreadable() -> SessionError {
    encode_error(serde_json::Error::custom(
        "its JSON would be read back differently; possible reasons are NaN or an infinity, more \
         than 128 levels of nesting, a field that is skipped only when reading or only when \
         writing (skip_deserializing, skip_serializing_if without a default), or an untagged enum \
         whose variants look alike",
    ))
}

/// Returns whether the data contains a number that JSON cannot represent and writes as `null`.
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

/// Parses JSON and sorts its arrays, so that the unordered elements of sets compare equal.
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
    SessionError::Encode(Cause::new(error))
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
        let codec = Codec::unversioned();
        let Reading { mut data, origin } = codec.read(raw).unwrap();
        let before = to_json(&data).unwrap();
        change(&mut data);
        let json = codec
            .write(&origin, &before, &data, 1.kibibytes())
            .unwrap()?;
        Some(serde_json::from_str(&json).unwrap())
    }

    #[test]
    fn fields_of_a_newer_type_are_kept_at_every_depth() {
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
    fn removed_map_entries_stay_removed() {
        let raw = r#"{"count":1,"cart":{"a":1,"b":2},"inner":{"theme":""},"newer":1}"#;
        let changed = change(raw, |data| {
            data.cart.remove("a");
        })
        .unwrap();
        assert_eq!(changed["cart"], serde_json::json!({"b": 2}));
        assert_eq!(changed["newer"], 1);
    }

    #[test]
    fn unchanged_data_causes_no_write() {
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
    fn data_over_the_size_limit_is_refused() {
        let error = Codec::unversioned()
            .encode(&"x".repeat(100), 64.bytes())
            .unwrap_err();
        assert!(matches!(
            error,
            SessionError::TooLarge {
                size: 102,
                limit: 64
            }
        ));
    }
}
