//! A deserializer from texts by name to a struct that has a field for each.
//!
//! Serde's own deserializer for maps does not name a missing field in a form of ours, and gives no text
//! to an optional field.

use std::collections::HashMap;
use std::fmt::Display;

use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use thiserror::Error;

/// Gives each field of a struct the text with its name. Other texts are ignored.
///
/// # Errors
/// A message that begins with the name of the missing field.
pub(super) fn typed<T: DeserializeOwned>(texts: HashMap<String, String>) -> Result<T, String> {
    let texts = texts.into_iter().map(|(name, text)| (name, Text(text)));
    T::deserialize(MapDeserializer::new(texts)).map_err(|Unfit(message)| message)
}

/// The reason why texts do not fit a struct.
#[derive(Debug, Error)]
#[error("{0}")]
struct Unfit(String);

impl de::Error for Unfit {
    fn custom<M: Display>(message: M) -> Self {
        Self(message.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("{name}: is missing"))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self(format!("{name}: is given under two names"))
    }
}

/// A text for a required or an optional field.
struct Text(String);

impl<'de> Deserializer<'de> for Text {
    type Error = Unfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unfit> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl IntoDeserializer<'_, Unfit> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Change {
        #[serde(alias = "new_name")]
        new_name: String,
        reason: Option<String>,
    }

    fn change(texts: &[(&str, &str)]) -> Result<Change, String> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        typed(texts.iter().map(owned).collect())
    }

    #[test]
    fn fields_get_the_texts_of_their_names() {
        let made = change(&[("new_name", "Ada"), ("other", "x")]).unwrap();
        assert_eq!((made.new_name.as_str(), made.reason), ("Ada", None));
        let made = change(&[("newName", ""), ("reason", "")]).unwrap();
        assert_eq!(
            (made.new_name.as_str(), made.reason.as_deref()),
            ("", Some(""))
        );
    }

    #[test]
    fn the_field_that_does_not_fit_is_named() {
        let missing = change(&[("reason", "x")]).unwrap_err();
        assert_eq!(missing, "newName: is missing");
        let twice = change(&[("newName", "Ada"), ("new_name", "Bob")]).unwrap_err();
        assert_eq!(twice, "newName: is given under two names");
    }
}
