//! Every error that a client can get. Programs get it as JSON and browsers as a page, never with a
//! stack trace.

use std::borrow::Cow;
use std::time::Duration;

use rocket::http::{Method, Status};
use rocket::response::{self, Responder};
use rocket::serde::Serialize;
use rocket::serde::json::{Json, Value, to_value};
use rocket::{Request, Response};
use rocket_diesel_sessions::SessionError;
use utoipa::ToSchema;
use uuid::Uuid;

use super::request_id;
use crate::accounts::error::AccountError;
use crate::words;

/// The code of a wrong username or password.
const WRONG_CREDENTIALS: &str = "wrong_credentials";

/// The code of a sign-in beyond the limit of devices.
const TOO_MANY_SESSIONS: &str = "too_many_sessions";

/// The code of a username that is taken.
const USERNAME_TAKEN: &str = "username_taken";

/// The code where visitors may not register.
const REGISTRATION_CLOSED: &str = "registration_closed";

/// The code where only signed-in users are allowed.
const SIGNED_OUT: &str = "signed_out";

/// The message where a form came from another site.
const CROSS_SITE: &str = "the request was sent by another site: its Origin is not this Host, and not \
                          one of the setting `origins`";

/// The challenges of a 401, for administrators and for users, whose scheme is the session cookie.
const ADMIN_CHALLENGE: &str = "Bearer";
const USER_CHALLENGE: &str = "Session";

/// The id in an example.
const EXAMPLE_ID: Uuid = Uuid::from_u128(0x0198_f2a4_6f6a_7c39_b6c7_0b5d_6f0a_9e11);

/// An error as `{"error":{"code":"…","message":"…","requestId":"…"}}`.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    status: Status,
    code: &'static str,
    message: String,
    /// The message for people, if it differs from the one for programs.
    in_words: Option<Cow<'static, str>>,
    /// The methods that the address takes, on 405.
    allowed: Option<Box<str>>,
    /// The time to wait before another attempt, in seconds.
    retry_after: Option<u64>,
    /// The way to authenticate, on 401 (RFC 9110, section 11.6.1).
    challenge: &'static str,
}

/// The answer to a request that failed.
#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde")]
#[schema(as = Error)]
pub(crate) struct ErrorAnswer<'a> {
    error: Detail<'a>,
}

#[derive(Serialize, ToSchema)]
#[serde(crate = "rocket::serde", rename_all = "camelCase")]
#[schema(as = ErrorDetail)]
struct Detail<'a> {
    /// What programs go by.
    code: &'a str,
    /// What happened, for people who write programs.
    message: &'a str,
    /// The `X-Request-Id` of the answer, which is also in the log.
    request_id: Uuid,
}

impl ApiError {
    pub(crate) fn new(status: Status, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            in_words: None,
            allowed: None,
            retry_after: (status == Status::ServiceUnavailable).then_some(1),
            challenge: USER_CHALLENGE,
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// Returns whether the error is about what was entered. Then the form says so, not a page of its
    /// own.
    pub(crate) fn is_for_the_form(&self) -> bool {
        matches!(self.status.code, 401 | 409 | 422 | 429) && self.code != "session_ended"
    }

    /// Returns whether the error says that no one is signed in.
    pub(crate) fn is_signed_out(&self) -> bool {
        self.code == SIGNED_OUT
    }

    /// Returns whether the error says that a form came from another site.
    pub(crate) fn is_cross_site(&self) -> bool {
        self.message == CROSS_SITE
    }

    /// Returns whether the error is about this field of a form.
    pub(crate) fn is_about(&self, field: &str) -> bool {
        let rest = self.message.strip_prefix(field);
        rest.is_some_and(|rest| rest.starts_with(':'))
    }

    /// Replaces the message for programs. People get the usual words.
    pub(crate) fn saying(self, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { message, ..self }
    }

    /// Replaces the words for people.
    pub(crate) fn in_other_words(self, words: impl Into<Cow<'static, str>>) -> Self {
        let in_words = Some(words.into());
        Self { in_words, ..self }
    }

    /// Returns the message for people.
    pub(crate) fn in_words(&self) -> &str {
        self.in_words.as_deref().unwrap_or(&self.message)
    }

    /// Responds with JSON.
    pub(crate) fn as_json(&self, request: &Request<'_>) -> response::Result<'static> {
        let body = self.answer(request_id::of(request));
        Ok(self.with_headers(Json(body).respond_to(request)?))
    }

    fn answer(&self, request_id: Uuid) -> ErrorAnswer<'_> {
        let (code, message) = (self.code, &*self.message);
        let error = Detail {
            code,
            message,
            request_id,
        };
        ErrorAnswer { error }
    }

    /// Returns the JSON of an answer, for the description of the API.
    pub(crate) fn example(&self) -> Value {
        let example = self.answer(EXAMPLE_ID);
        to_value(example).unwrap_or_default()
    }

    /// Gives a response the status of the error and its headers.
    pub(crate) fn with_headers(&self, mut response: Response<'static>) -> Response<'static> {
        response.set_status(self.status);
        if self.status == Status::Unauthorized {
            response.set_raw_header("WWW-Authenticate", self.challenge);
        }
        if let Some(seconds) = self.retry_after {
            response.set_raw_header("Retry-After", seconds.to_string());
        }
        if let Some(allowed) = &self.allowed {
            response.set_raw_header("Allow", allowed.to_string());
        }
        response
    }

    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Returns whether an address that refused a method takes `GET`.
    pub(crate) fn allows_get(&self) -> bool {
        let mut allowed = self.allowed.iter().flat_map(|allowed| allowed.split(", "));
        allowed.any(|method| method == Method::Get.as_str())
    }

    /// Returns whether the error says that visitors may not register.
    pub(crate) fn is_registration_closed(&self) -> bool {
        self.code == REGISTRATION_CLOSED
    }

    /// 422: the request was understood and is not allowed.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(Status::UnprocessableEntity, "invalid", message)
    }

    /// 401 that does not reveal whether the username or the password was wrong
    /// (OWASP ASVS 5.0, 6.3.8).
    pub(crate) fn wrong_credentials() -> Self {
        let message = "the username or the password is wrong";
        Self::new(Status::Unauthorized, WRONG_CREDENTIALS, message)
            .in_other_words("The username or the password is wrong. Check both and try again.")
    }

    /// 401: only signed-in users are allowed.
    pub(crate) fn signed_out() -> Self {
        Self::new(Status::Unauthorized, SIGNED_OUT, "sign in first")
    }

    /// 429: `what` was done too often. Says how long to wait.
    pub(crate) fn too_many(what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let message = format!("{what}; try again in {seconds} {unit}");
        let wait = words::wait(Duration::from_secs(seconds));
        let in_words = format!("{}. Try again in {wait}.", words::capitalized(what));
        Self {
            retry_after: Some(seconds),
            ..Self::new(Status::TooManyRequests, "too_many_attempts", message)
        }
        .in_other_words(in_words)
    }

    /// 500. The caller has logged the cause.
    pub(crate) fn internal() -> Self {
        Self::of(Status::InternalServerError)
    }

    /// 403: the request seems to come from another site.
    pub(crate) fn cross_site() -> Self {
        Self::new(Status::Forbidden, "forbidden", CROSS_SITE).in_other_words(
            "This form seems to have been sent by another site. Open the page here and send it \
             again. If that does not help, tell the operator that a proxy may be changing the \
             address of this site.",
        )
    }

    /// 405. Says which methods the address takes.
    pub(crate) fn wrong_method(method: Method, allowed: &[Method]) -> Self {
        let allowed: Vec<&str> = allowed.iter().map(|method| method.as_str()).collect();
        let allowed = allowed.join(", ");
        let message = format!("{method} is not possible here; allowed methods: {allowed}");
        Self {
            allowed: Some(allowed.into()),
            ..Self::new(Status::MethodNotAllowed, "method_not_allowed", message)
        }
        .in_other_words(
            "This address cannot be used in this way. Go to its page and try again from there.",
        )
    }

    /// Returns the error of a bare status.
    pub(crate) fn of(status: Status) -> Self {
        let (code, message, in_words) = match status.code {
            400 => (
                "bad_request",
                "the request could not be understood",
                Some("The address or the form could not be read."),
            ),
            401 => (
                "unauthorized",
                "this needs an administrator: sign in as one, or send `Authorization: Bearer` \
                 with the admin token",
                Some("This page is only for administrators. Sign in as one."),
            ),
            403 => (
                "forbidden",
                "this is only for administrators",
                Some(
                    "This page is only for administrators, and your account is not one of theirs.",
                ),
            ),
            404 => (
                "not_found",
                "there is nothing here",
                Some(
                    "There is no page at this address. The address may be mistyped, or the page may no longer \
                     exist.",
                ),
            ),
            409 => (
                "session_ended",
                "the session was ended by another request; send the request again",
                Some(
                    "Your session has ended or was renewed in the meantime, so nothing was done. Send \
                     the form again from its page.",
                ),
            ),
            413 => (
                "too_large",
                "the request or the session's data is too large",
                Some("What you sent is too large."),
            ),
            415 => (
                "unsupported_media_type",
                "the body must be application/json",
                Some("The form was sent in a way that this site does not accept."),
            ),
            422 => (
                "invalid",
                "the request was understood and is not allowed",
                Some("What you sent cannot be accepted."),
            ),
            503 => (
                "unavailable",
                "the session store is not available; try again shortly",
                Some(
                    "The database is not answering at the moment. If you were signed in, you still \
                     are.",
                ),
            ),
            500..=599 => (
                "internal",
                "something went wrong here",
                Some(
                    "An error occurred on the server. If it occurs again, give the operator the \
                     request ID below.",
                ),
            ),
            _ => ("error", status.reason_lossy(), None),
        };
        Self {
            challenge: ADMIN_CHALLENGE,
            in_words: in_words.map(Cow::Borrowed),
            ..Self::new(status, code, message)
        }
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            // The text is only about the caller's own data.
            SessionError::TooLarge { .. } => Self::of(error.status()).saying(error.to_string()),
            SessionError::UserRefused => Self::wrong_credentials(),
            SessionError::TooManySessions => Self::new(
                error.status(),
                TOO_MANY_SESSIONS,
                "you are signed in on as many devices as allowed; sign out on one of them first",
            )
            .in_other_words(
                "You are signed in on as many devices as allowed. Sign out on one of them first.",
            ),
            _ => Self::of(error.status()),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let message = error.to_string();
        match error {
            AccountError::Refused(refusal) => {
                Self::unprocessable(message).in_other_words(refusal.in_words().to_owned())
            }
            AccountError::Hash(_) => Self::internal(),
            AccountError::RegistrationClosed => {
                Self::new(Status::Forbidden, REGISTRATION_CLOSED, message)
                    .in_other_words("Only administrators add accounts here. Ask one for yours.")
            }
            AccountError::Taken(name) => Self::new(Status::Conflict, USERNAME_TAKEN, message)
                .in_other_words(format!("The username “{name}” is taken. Choose another.")),
            AccountError::NoUser => Self::new(Status::NotFound, "not_found", message)
                .in_other_words("There is no such user. The account may have been deleted."),
            AccountError::LastAdministrator => {
                Self::new(Status::Conflict, "last_administrator", message).in_other_words(
                    "This is the only administrator who can sign in. Make someone else an \
                     administrator first.",
                )
            }
            AccountError::WrongCredentials => Self::wrong_credentials(),
            AccountError::WrongPassword => {
                Self::new(Status::Unauthorized, WRONG_CREDENTIALS, message)
                    .in_other_words("The password is wrong. Try again.")
            }
            AccountError::PasswordReplaced => {
                Self::new(Status::Unauthorized, WRONG_CREDENTIALS, message).in_other_words(
                    "Your password has been changed in the meantime. If it was not you, change it \
                     again.",
                )
            }
            AccountError::SamePassword => {
                Self::unprocessable("newPassword: is the current password; choose another")
                    .in_other_words("The new password is the current one. Choose another.")
            }
            AccountError::TooMany { what, wait } => Self::too_many(what, wait),
            AccountError::Session(error) => error.into(),
        }
    }
}
