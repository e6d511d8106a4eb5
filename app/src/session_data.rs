//! The data of this application's sessions, and the changes that a visitor may make to it.

use rocket::serde::json::{Value, json};
use rocket::serde::{Deserialize, DeserializeOwned, Serialize};
use thiserror::Error;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, schema::AdditionalProperties};
use utoipa::{PartialSchema, ToSchema};

/// The longest display name, in characters.
const MAX_NAME: usize = 64;

/// The first number that a `u64` cannot hold.
const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;

/// The typed data of a session. Fields have defaults and unknown ones are kept, so that instances
/// of two versions can run side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase", default)]
pub struct SessionData {
    /// The number of visits that were counted.
    pub visit_count: u64,
    /// The name by which pages greet the visitor.
    pub display_name: Option<String>,
    /// The theme of the pages.
    pub theme: Theme,
    /// The code of a message for the next page (see `pages::notice`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// A theme of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "lowercase")]
pub enum Theme {
    /// The theme of the visitor's system.
    #[default]
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl Theme {
    /// Every theme, in the order of a form's choices.
    pub(super) const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// The name in JSON and forms.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The name on a page.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    pub(super) fn from_name(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|theme| theme.name() == name)
            .ok_or_else(|| format!("theme: {name:?} is not one of system, light, dark"))
    }
}

impl SessionData {
    /// Counts a visit and returns the new count.
    pub(super) fn visit(&mut self) -> u64 {
        self.visit_count = self.visit_count.saturating_add(1);
        self.visit_count
    }
}

/// A change of some fields, as defined by JSON Merge Patch (RFC 7396). An absent field stays as it
/// is, and `null` (the inner `None`) resets a field to its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::option_option,
    reason = "absent and null mean different things here"
)]
pub(super) struct DataPatch {
    pub(super) visit_count: Option<Option<u64>>,
    pub(super) display_name: Option<Option<String>>,
    pub(super) theme: Option<Option<Theme>>,
}

/// Describes what [`DataPatch::from_json`] takes.
impl PartialSchema for DataPatch {
    fn schema() -> RefOr<Schema> {
        let count = or_null(Type::Integer).minimum(Some(0));
        let count = count.maximum(Some(u64::MAX));
        merge_patch(ObjectBuilder::new().property("visitCount", count)).into()
    }
}

fn or_null(kind: Type) -> ObjectBuilder {
    let types = SchemaType::from_iter([kind, Type::Null]);
    ObjectBuilder::new().schema_type(types)
}

/// Describes a change of the fields so far, the display name and the theme.
pub(super) fn merge_patch(fields: ObjectBuilder) -> ObjectBuilder {
    let name = or_null(Type::String)
        .min_length(Some(1))
        .max_length(Some(MAX_NAME))
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
    let themes = Theme::ALL.map(|theme| Value::from(theme.name()));
    let theme = or_null(Type::String).enum_values(Some(themes.into_iter().chain([Value::Null])));
    fields
        .property("displayName", name)
        .property("theme", theme)
        .examples([json!({"displayName": "Ada", "theme": "dark"})])
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .description(Some(
            "A JSON Merge Patch (RFC 7396): absent fields stay, null resets a field",
        ))
}

impl ToSchema for DataPatch {}

/// What is wrong with a display name.
#[derive(Clone, Copy, Debug, Error)]
enum NameFault {
    #[error("displayName: has {0} characters, allowed are 1 to {MAX_NAME}")]
    Length(usize),
    #[error("displayName: control characters are not allowed")]
    Control,
}

impl NameFault {
    /// Returns what to do.
    fn in_words(self) -> String {
        match self {
            Self::Length(_) => {
                format!("This display name is too long. Use at most {MAX_NAME} characters.")
            }
            Self::Control => "This display name contains characters that cannot be shown. Type it \
                              instead of pasting it."
                .to_owned(),
        }
    }
}

/// The values of a form's fields.
#[derive(Clone, Copy, Default)]
pub(super) struct Entered<'a> {
    pub(super) display_name: Option<&'a str>,
    pub(super) theme: Option<&'a str>,
}

fn field<T: DeserializeOwned>(name: &str, value: Value) -> Result<Option<T>, String> {
    Option::deserialize(value).map_err(|error| format!("{name}: {error}"))
}

/// Writes a whole number without its fraction: `3.0` and `3e0` are the number 3 in JSON.
fn whole(value: Value) -> Value {
    match value.as_f64() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and within the type"
        )]
        Some(number)
            if value.is_f64() && number.fract() == 0.0 && (0.0..TWO_TO_64).contains(&number) =>
        {
            Value::from(number as u64)
        }
        _ => value,
    }
}

impl DataPatch {
    /// Reads a change from a JSON object.
    ///
    /// # Errors
    /// The reason, if the body is not an object, or a field or its value is not allowed.
    pub(super) fn from_json(body: Value) -> Result<Self, String> {
        let Value::Object(fields) = body else {
            return Err("the body is not a JSON object".to_owned());
        };
        let mut patch = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "visitCount" => patch.visit_count = Some(field(&name, whole(value))?),
                "displayName" => patch.display_name = Some(field(&name, value)?),
                "theme" => patch.theme = Some(field(&name, value)?),
                _ => {
                    return Err(format!(
                        "{name:?} is not a field of the session's data; allowed are visitCount, \
                         displayName and theme"
                    ));
                }
            }
        }
        patch.check().map_err(|fault| fault.to_string())?;
        Ok(patch)
    }

    /// Reads a change from a form of a page. Only fields that differ from what the form showed are changed, so
    /// that the form does not revert what another page has changed in the meantime. An empty name
    /// removes the name.
    ///
    /// # Errors
    /// What to do, if a field is missing or its value is not allowed.
    pub(super) fn from_form(entered: Entered<'_>, shown: Entered<'_>) -> Result<Self, String> {
        let (Some(name), Some(theme)) = (entered.display_name, entered.theme) else {
            return Err("The form is incomplete. Open its page and fill it in again.".to_owned());
        };
        let theme = Theme::from_name(theme)
            .map_err(|_| "Choose one of the themes: system, light, dark.".to_owned())?;
        let name = name.trim();
        let is_same_name = shown.display_name.is_some_and(|shown| shown.trim() == name);
        let is_same_theme = shown.theme == Some(theme.name());
        let name = (!name.is_empty()).then(|| name.to_owned());
        let patch = Self {
            visit_count: None,
            display_name: (!is_same_name).then_some(name),
            theme: (!is_same_theme).then_some(Some(theme)),
        };
        patch.check().map_err(NameFault::in_words)?;
        Ok(patch)
    }

    /// Refuses values that the type can hold but a page cannot show.
    fn check(&self) -> Result<(), NameFault> {
        let Some(Some(name)) = &self.display_name else {
            return Ok(());
        };
        let length = name.chars().count();
        if length == 0 || length > MAX_NAME {
            return Err(NameFault::Length(length));
        }
        if name.chars().any(char::is_control) {
            return Err(NameFault::Control);
        }
        Ok(())
    }

    pub(super) fn apply(&self, data: &mut SessionData) {
        if let Some(visit_count) = self.visit_count {
            data.visit_count = visit_count.unwrap_or_default();
        }
        if let Some(display_name) = &self.display_name {
            data.display_name.clone_from(display_name);
        }
        if let Some(theme) = self.theme {
            data.theme = theme.unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(patch: &str) -> SessionData {
        let mut data = SessionData {
            visit_count: 7,
            display_name: Some("Ada".into()),
            theme: Theme::Dark,
            notice: None,
        };
        let patch = rocket::serde::json::from_str(patch).unwrap();
        DataPatch::from_json(patch).unwrap().apply(&mut data);
        data
    }

    #[test]
    fn absent_stays_null_resets_a_value_replaces() {
        assert_eq!(patched("{}").theme, Theme::Dark);
        assert_eq!(patched(r#"{"theme":null}"#).theme, Theme::System);
        assert_eq!(patched(r#"{"displayName":null}"#).display_name, None);
        let data = patched(r#"{"displayName":"Bob","visitCount":3}"#);
        assert_eq!(data.display_name.as_deref(), Some("Bob"));
        assert_eq!((data.visit_count, data.theme), (3, Theme::Dark));
        for three in ["3.0", "3e0", "0.3e1"] {
            assert_eq!(
                patched(&format!(r#"{{"visitCount":{three}}}"#)).visit_count,
                3
            );
        }
    }

    #[test]
    fn a_refusal_names_the_field() {
        for (patch, reason) in [
            ("[1]", "object"),
            ("7", "object"),
            (r#"{"visitCount":"x"}"#, "visitCount"),
            (r#"{"visitCount":-1}"#, "visitCount"),
            (r#"{"visitCount":1.5}"#, "visitCount"),
            (r#"{"visitCount":18446744073709551616.0}"#, "visitCount"),
            (r#"{"displayName":7}"#, "displayName"),
            (r#"{"displayName":""}"#, "displayName"),
            (r#"{"theme":"neon"}"#, "theme"),
            (r#"{"isAdmin":true}"#, "isAdmin"),
        ] {
            let patch = rocket::serde::json::from_str(patch).unwrap();
            let error = DataPatch::from_json(patch).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn names_are_one_to_64_characters_of_text() {
        let long = "ä".repeat(64);
        let nothing = Entered::default();
        assert!(DataPatch::from_form(entered(&long, "dark"), nothing).is_ok());
        for (name, reason) in [
            (format!("{long}ä"), "too long"),
            ("a\tb".into(), "cannot be shown"),
        ] {
            let error = DataPatch::from_form(entered(&name, "dark"), nothing).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let error = DataPatch::from_form(entered("", "neon"), nothing).unwrap_err();
        assert!(error.contains("system"), "{error}");
    }

    fn entered<'a>(display_name: &'a str, theme: &'a str) -> Entered<'a> {
        Entered {
            display_name: Some(display_name),
            theme: Some(theme),
        }
    }

    #[test]
    fn a_form_changes_only_the_fields_that_were_changed_in_it() {
        let shown = entered("Ada", "system");
        for (form, name, theme) in [
            (entered("Ada", "light"), "Grace", Theme::Light),
            (entered("Bob ", "system"), "Bob", Theme::Dark),
            (entered(" Ada", "system"), "Grace", Theme::Dark),
            (entered("", "system"), "", Theme::Dark),
        ] {
            // What another page has saved in the meantime.
            let mut data = SessionData {
                display_name: Some("Grace".into()),
                theme: Theme::Dark,
                ..SessionData::default()
            };
            DataPatch::from_form(form, shown).unwrap().apply(&mut data);
            assert_eq!(data.display_name.as_deref().unwrap_or_default(), name);
            assert_eq!(data.theme, theme, "{name}");
        }
    }
}
