//! The body of a request: named texts, as a form or as a JSON object.

use std::collections::HashMap;

use rocket::data::{ByteUnit, Data, FromData, Outcome, ToByteUnit};
use rocket::http::{RawStr, Status};
use rocket::request::Request;
use rocket::serde::DeserializeOwned;
use rocket::serde::json::Value;

use super::error::ApiError;
use super::failure::outcome;
use super::texts;

/// The largest body, in KiB: a name and two passwords, percent-encoded.
const LIMIT: u64 = 16;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON_OR_FORM: &str = "application/json or application/x-www-form-urlencoded";

/// The body of a request to the API: JSON or a form.
pub(crate) struct Body<T>(pub(crate) T);

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromData<'r> for Body<T> {
    type Error = ();

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> Outcome<'r, Self> {
        let read = match request.content_type() {
            Some(kind) if kind.is_form() => read(body, from_form).await,
            Some(kind) if kind.is_json() => read(body, from_json).await,
            _ => Err(unsupported(JSON_OR_FORM)),
        };
        outcome(request, read.map(Self))
    }
}

/// The body that a page's form sends.
pub(crate) struct Form<T>(pub(crate) T);

#[rocket::async_trait]
impl<'r, T: DeserializeOwned> FromData<'r> for Form<T> {
    type Error = ();

    async fn from_data(request: &'r Request<'_>, body: Data<'r>) -> Outcome<'r, Self> {
        let read = match request.content_type() {
            Some(kind) if kind.is_form() => read(body, from_form).await,
            _ => Err(unsupported(FORM)),
        };
        outcome(request, read.map(Self))
    }
}

/// Texts by name.
type Texts = HashMap<String, String>;

async fn read<T: DeserializeOwned>(
    body: Data<'_>,
    parse: fn(&[u8]) -> Result<Texts, ApiError>,
) -> Result<T, ApiError> {
    let body = read_body(body, LIMIT.kibibytes()).await?;
    texts::typed(parse(&body)?).map_err(|message| {
        ApiError::unprocessable(message)
            .in_other_words("The form is incomplete. Open its page and fill it in again.")
    })
}

/// Reads the fields of a form. If several have the same name, the last one counts. What is not UTF-8 is
/// refused, because replacing it would change passwords.
fn from_form(body: &[u8]) -> Result<Texts, ApiError> {
    let body = std::str::from_utf8(body).map_err(|_| not_utf8())?;
    let decode = |text: &str| RawStr::new(text).url_decode().map(String::from);
    let mut texts = Texts::new();
    for field in body.split('&').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let (Ok(name), Ok(value)) = (decode(name), decode(value)) else {
            return Err(not_utf8());
        };
        texts.insert(name, value);
    }
    Ok(texts)
}

/// Reads the fields of a JSON object, all of which must be strings.
fn from_json(body: &[u8]) -> Result<Texts, ApiError> {
    let Value::Object(fields) = parse_json(body)? else {
        return Err(ApiError::unprocessable("the body is not a JSON object"));
    };
    let text = |(name, value)| match value {
        Value::String(value) => Ok((name, value)),
        _ => Err(ApiError::unprocessable(format!("{name}: is not a string"))),
    };
    fields.into_iter().map(text).collect()
}

/// Parses a body as JSON.
pub(crate) fn parse_json(body: &[u8]) -> Result<Value, ApiError> {
    rocket::serde::json::from_slice(body)
        .map_err(|error| bad_request(format!("the body is not JSON: {error}")))
}

/// Reads the whole body, if it is within the limit.
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

/// 415. Says which types are allowed.
pub(crate) fn unsupported(allowed: &str) -> ApiError {
    let message = format!("the body must be sent as Content-Type: {allowed}");
    ApiError::of(Status::UnsupportedMediaType).saying(message)
}

fn bad_request(message: String) -> ApiError {
    ApiError::of(Status::BadRequest).saying(message)
}

fn not_utf8() -> ApiError {
    bad_request("the body is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_json_have_the_same_texts() {
        let form = from_form(b"a=1&username=Zo%C3%AB&password=a+b%26c&empty=&flag&a=2").unwrap();
        let texts = [
            ("username", "Zoë"),
            ("password", "a b&c"),
            ("empty", ""),
            ("flag", ""),
            ("a", "2"),
        ];
        assert_eq!(form.len(), texts.len());
        for (name, text) in texts {
            assert_eq!(form[name], text);
        }
        let json = r#"{"username":"Zoë","password":"a b&c"}"#;
        let json = from_json(json.as_bytes()).unwrap();
        assert_eq!(json["username"], form["username"]);
        assert_eq!(json["password"], form["password"]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        assert!(from_form(b"username=%ff").is_err());
        assert!(from_form(b"\xff=1").is_err());
        for json in ["[]", "{", r#"{"username":7}"#, r#"{"username":null}"#, ""] {
            assert!(from_json(json.as_bytes()).is_err(), "{json}");
        }
    }
}
