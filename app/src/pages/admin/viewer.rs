//! Who looks at the pages of administrators.

use rocket::http::Status;
use rocket::request::{self, FromRequest, Request};
use rocket_diesel_sessions::{EventContext, Session, SessionHandle, UserId};

use crate::accounts::administration::Acting;
use crate::accounts::users::Users;
use crate::guards::admin::Admin;
use crate::guards::admin_token::presented_token;
use crate::guards::signed_in::{SignedIn, session};
use crate::http::error::ApiError;
use crate::http::failure::outcome;
use crate::monitoring::audit::Trail;
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::frame::Frame;
use crate::pages::notice::{Marks, Notice};
use crate::session_data::SessionData;

/// An administrator who looks at a page. No session is created for one who has none, because they
/// present the token, or the server is under development.
pub(super) struct AdminViewer {
    pub(super) admin: Admin,
    pub(super) session: Option<Session<SessionData>>,
    /// The user, if it is a user's rights that admit the visitor.
    pub(super) signed_in: Option<SignedIn>,
    has_token: bool,
    /// The request, for the events that it causes.
    context: EventContext,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for AdminViewer {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        outcome(request, Self::of(request).await)
    }
}

impl AdminViewer {
    pub(super) async fn of(request: &Request<'_>) -> Result<Self, ApiError> {
        let has_token = presented_token(request).is_some();
        let admin = match Admin::of(request).await {
            Err(error) if error.status() == Status::Unauthorized && !has_token => {
                return Err(ApiError::signed_out());
            }
            admitted => admitted?,
        };
        let session = if has_token {
            None
        } else {
            let session = session(request).await?;
            session.handle().is_some().then_some(session)
        };
        let signed_in = match &admin {
            Admin::User { .. } => Some(SignedIn::of(request).await?),
            Admin::Token | Admin::Local => None,
        };
        Ok(Self {
            context: admin.context(request),
            admin,
            session,
            signed_in,
            has_token,
        })
    }

    /// The context of the events that the visitor causes.
    pub(super) fn context(&self) -> EventContext {
        self.context.clone()
    }

    /// The visitor's request, as it changes users.
    pub(super) fn acting(&self, trail: Trail) -> Acting {
        Acting {
            by: self.admin.name().to_owned(),
            context: self.context(),
            trail,
        }
    }

    /// The frame of a page. For a visitor without a session, the notice is in the address.
    pub(super) async fn frame(
        &self,
        users: &Users,
        done: Option<Notice>,
    ) -> Result<Frame, ApiError> {
        match &self.session {
            Some(session) => Ok(Frame::of(session, users).await?.at("/admin")),
            None => Ok(Frame {
                notice: done.map(Notice::text),
                is_known: !self.has_token,
                can_register: users.has_registration(),
                ..Frame::of_no_one()
            }),
        }
    }

    /// Returns whether the visitor is admitted as this user.
    pub(super) fn is(&self, user_id: &UserId) -> bool {
        let signed_in = self.signed_in.as_ref();
        signed_in.is_some_and(|signed_in| signed_in.user_id == *user_id)
    }

    /// The handle of the visitor's own session.
    pub(super) fn handle(&self) -> Option<SessionHandle> {
        self.session.as_ref()?.handle()
    }

    /// Returns an address that reports what was done. The visitor's session keeps the notice, so that it
    /// is shown once. Without a session, the address carries it, because no session is created for it.
    pub(super) async fn go_on(&self, address: String, notice: Notice, marks: &Marks) -> String {
        let is_kept = match &self.session {
            Some(session) => session.update(move |data| notice.leave(data)).await.is_ok(),
            None => false,
        };
        if is_kept {
            return address;
        }
        let join = if address.contains('?') { '&' } else { '?' };
        format!("{address}{join}done={}", marks.mark(notice))
    }

    /// Confirms an action that cannot be undone. A user must have entered the password recently, while
    /// other administrators have none.
    pub(super) async fn confirm(
        &self,
        question: &Question<'_>,
        users: &Users,
        trail: Trail,
        password: Option<&str>,
    ) -> Result<Confirmed, ApiError> {
        match &self.signed_in {
            Some(signed_in) => question.confirm(signed_in, users, trail, password).await,
            None => Ok(Confirmed::Recently),
        }
    }
}
