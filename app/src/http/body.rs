//! The body of a request: a few texts by name, as a form or as a JSON object.

use std::collections::HashMap;

use rocket::data::{ByteUnit, Data, FromData, Outcome as DataOutcome, ToByteUnit};
use rocket::http::{RawStr, Status};
use rocket::outcome::Outcome;
use rocket::request::Request;
use rocket::serde::json::Value;

use super::error::ApiError;

/// Largest body: a name and two passwords, percent-encoded.
const LIMIT: u64 = 16;

/// Texts by name.
pub(crate) struct Fields {
    is_form: bool,
    values: HashMap<String, String>,
}

impl Fields {
    /// The text of this name, which may be empty.
    pub(crate) fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.optional(name)
            .ok_or_else(|| ApiError::unprocessable(format!("{name}: is missing")))
    }

    /// The same, in camel case or snake case.
    pub(crate) fn required_as(&self, name: &str, other: &str) -> Result<&str, ApiError> {
        self.optional(other).map_or_else(|| self.required(name), Ok)
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Refuses what no form of a page sends.
    pub(crate) fn of_form(self) -> Result<Self, ApiError> {
        if self.is_form {
            Ok(self)
        } else {
            Err(unsupported("application/x-www-form-urlencoded"))
        }
    }

    fn from_form(body: &[u8]) -> Result<Self, ApiError> {
        let body = std::str::from_utf8(body).map_err(|_| not_utf8())?;
        let decode = |text: &str| RawStr::new(text).url_decode().map(String::from);
        let mut values = HashMap::new();
        for field in body.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let (Ok(name), Ok(value)) = (decode(name), decode(value)) else {
                return Err(not_utf8());
            };
            values.insert(name, value);
        }
        let is_form = true;
        Ok(Self { is_form, values })
    }

    fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let body = rocket::serde::json::from_slice(body)
            .map_err(|error| bad_request(format!("the body is not JSON: {error}")))?;
        let Value::Object(fields) = body else {
            return Err(ApiError::unprocessable("the body is not a JSON object"));
        };
        let mut values = HashMap::new();
        for (name, value) in fields {
            let Value::String(value) = value else {
                return Err(ApiError::unprocessable(format!("{name}: is not a string")));
            };
            values.insert(name, value);
        }
        let is_form = false;
        Ok(Self { is_form, values })
    }
}

#[rocket::async_trait]
impl<'r> FromData<'r> for Fields {
    type Error = ApiError;

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> DataOutcome<'r, Self> {
        match read(request, body).await {
            Ok(fields) => Outcome::Success(fields),
            Err(error) => Outcome::Error((error.status(), error)),
        }
    }
}

async fn read(request: &Request<'_>, body: Data<'_>) -> Result<Fields, ApiError> {
    let kind = request.content_type();
    let is_form = kind.is_some_and(|kind| kind.is_form());
    if !is_form && !kind.is_some_and(|kind| kind.is_json()) {
        return Err(unsupported(
            "application/json or application/x-www-form-urlencoded",
        ));
    }
    let body = read_body(body, LIMIT.kibibytes()).await?;
    if is_form {
        Fields::from_form(&body)
    } else {
        Fields::from_json(&body)
    }
}

/// The whole body, if it is within the limit.
pub(crate) async fn read_body(body: Data<'_>, limit: ByteUnit) -> Result<Vec<u8>, ApiError> {
    let body = body
        .open(limit)
        .into_bytes()
        .await
        .map_err(|error| bad_request(format!("the body could not be read: {error}")))?;
    if !body.is_complete() {
        let message = format!("the body is larger than {limit}");
        return Err(ApiError::of(Status::PayloadTooLarge).saying(message));
    }
    Ok(body.into_inner())
}

pub(crate) fn bad_request(message: String) -> ApiError {
    ApiError::of(Status::BadRequest).saying(message)
}

pub(crate) fn unsupported(allowed: &str) -> ApiError {
    let message = format!("the body must be sent as Content-Type: {allowed}");
    ApiError::of(Status::UnsupportedMediaType).saying(message)
}

fn not_utf8() -> ApiError {
    bad_request("the body is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_json_name_the_same_texts() {
        let form = Fields::from_form(b"username=Zo%C3%AB&password=a+b%26c&empty=&flag").ok();
        let form = form.unwrap();
        assert_eq!(form.optional("username"), Some("Zoë"));
        assert_eq!(form.optional("password"), Some("a b&c"));
        assert_eq!(form.optional("empty"), Some(""));
        assert_eq!(form.optional("flag"), Some(""));
        assert_eq!(form.optional("none"), None);
        let json = r#"{"username":"Zoë","password":"a b&c"}"#;
        let json = Fields::from_json(json.as_bytes()).ok().unwrap();
        assert_eq!(json.values["username"], form.values["username"]);
        assert_eq!(json.values["password"], form.values["password"]);
        assert!(form.of_form().is_ok() && json.of_form().is_err());
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(Fields::from_form(b"username=%ff").is_err());
        assert!(Fields::from_form(b"\xff=1").is_err());
        for json in ["[]", "{", r#"{"username":7}"#, r#"{"username":null}"#, ""] {
            assert!(Fields::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
