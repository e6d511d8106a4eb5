//! [`Session::token_once`]: hands a new token to the application, for clients without cookies.

use std::fmt;

use super::Session;
use crate::session::codec::TypedData;

/// A new bearer token, for the body of the response. Whoever has it has the session, so neither
/// `Debug` nor `Display` shows it.
#[derive(Clone)]
pub struct BearerToken(String);

impl BearerToken {
    /// Returns the token's text, for the client to send as `Authorization: Bearer <token>`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket_diesel_sessions::BearerToken;
    ///
    /// fn answer(token: &BearerToken) -> String {
    ///     // The text is of letters, digits, `-`, `_` and one `.`.
    ///     format!("{{\"token\":\"{}\"}}", token.expose())
    /// }
    /// ```
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

impl fmt::Display for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl<D: TypedData> Session<D> {
    /// Returns the token that was issued in this request, by the first
    /// [`update`](Self::update), by [`login`](Self::login) or by [`rotate`](Self::rotate). It
    /// returns each token once, and `None` if none was issued.
    ///
    /// This is for [`Transport::Bearer`](crate::Transport::Bearer) and
    /// [`Transport::Both`](crate::Transport::Both). With the latter, the response carries the token
    /// in a cookie unless this is called. A token that has been returned is never sent as a cookie,
    /// and neither is any later one of the same request. With
    /// [`Transport::Cookie`](crate::Transport::Cookie), it always returns `None`.
    ///
    /// If a token is issued in a bearer request and not taken, no client could ever use it. It is
    /// withdrawn: a new session is deleted, and a login or a rotation is undone. A successful
    /// response to such a login or rotation is replaced by an empty 500, and the log has a warning.
    ///
    /// A token that was taken counts as delivered with the response. If the response becomes a 5xx
    /// or is never sent, it is withdrawn, and the client's old token is valid again: a handler that
    /// fails after it has taken a token passes nothing on. The response gets
    /// `Cache-Control: no-store`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::{http::Status, post};
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// # async fn authenticate(_: &str) -> Option<i64> { Some(42) }
    /// #[post("/token", data = "<code>")]
    /// async fn sign_in(session: Session<u64>, code: String) -> Result<String, Status> {
    ///     let user = authenticate(&code).await.ok_or(Status::Unauthorized)?;
    ///     session.login(user).await?;
    ///     let token = session.token_once().ok_or(Status::InternalServerError)?;
    ///     Ok(token.expose().to_owned())
    /// }
    /// ```
    pub fn token_once(&self) -> Option<BearerToken> {
        let shared = self.inner.shared();
        if !shared.transport.takes_bearer() {
            return None;
        }
        let (token, id) = self.inner.state().hand_out()?;
        let now = self.inner.context.now;
        Some(BearerToken(shared.bearer_seal.close(&token, &id, now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i8_a_bearer_token_is_not_shown() {
        let token = BearerToken("secret".to_owned());
        let shown = format!("{token} {token:?} {:#?}", Some(&token));
        assert!(!shown.contains("secret"), "{shown}");
        assert_eq!(token.expose(), "secret");
    }
}
