//! What administrators do to a user, from the user's page.

use rocket::http::{RawStr, Status};
use rocket::request::FromParam;
use rocket::serde::Deserialize;
use rocket::{Route, State, get, post, routes};
use rocket_diesel_sessions::store::UserRecord;
use rocket_diesel_sessions::{SessionAdmin, UserId, UserSessions};

use super::detail;
use crate::accounts::administration::{Administration, Change};
use crate::accounts::username;
use crate::accounts::users::Users;
use crate::http::body::Form;
use crate::http::error::ApiError;
use crate::monitoring::audit::Trail;
use crate::pages::admin::shell::Tab;
use crate::pages::admin::viewer::AdminViewer;
use crate::pages::confirm::{Confirmed, Question};
use crate::pages::notice::{Marks, Notice};
use crate::pages::page::{Page, PageResult};

/// A button of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Change(Change),
    SignOut,
    Delete,
}

impl Action {
    const ALL: [Self; 6] = [
        Self::Change(Change::Promote),
        Self::Change(Change::Demote),
        Self::Change(Change::Disable),
        Self::Change(Change::Enable),
        Self::SignOut,
        Self::Delete,
    ];

    /// Returns the last part of the form's address.
    const fn path(self) -> &'static str {
        match self {
            Self::Change(Change::Promote) => "promote",
            Self::Change(Change::Demote) => "demote",
            Self::Change(Change::Disable) => "disable",
            Self::Change(Change::Enable) => "enable",
            Self::SignOut => "sign-out",
            Self::Delete => "delete",
        }
    }

    /// Returns the words of the button that carries it out, and what the password is needed for.
    fn question(self, name: &str) -> (&'static str, String) {
        match self {
            Self::Change(Change::Promote) => (
                "Make an administrator",
                format!("to make {name} an administrator"),
            ),
            Self::Change(Change::Demote) => (
                "Remove as administrator",
                format!("to remove {name} as an administrator"),
            ),
            Self::Change(Change::Disable) => (
                "Disable",
                format!("to disable {name}, who is then signed out everywhere"),
            ),
            Self::Change(Change::Enable) => ("Enable", format!("to let {name} sign in again")),
            Self::SignOut => (
                "Sign out everywhere",
                format!("to sign {name} out on all devices"),
            ),
            Self::Delete => (
                "Delete this user",
                format!("to delete {name}. This cannot be undone"),
            ),
        }
    }

    /// Returns the notice that says that it was done.
    const fn done(self) -> Notice {
        match self {
            Self::Change(Change::Promote) => Notice::UserPromoted,
            Self::Change(Change::Demote) => Notice::UserDemoted,
            Self::Change(Change::Disable) => Notice::UserDisabled,
            Self::Change(Change::Enable) => Notice::UserEnabled,
            Self::SignOut => Notice::UserSignedOut,
            Self::Delete => Notice::UserDeleted,
        }
    }
}

impl<'a> FromParam<'a> for Action {
    type Error = ApiError;

    fn from_param(param: &'a str) -> Result<Self, ApiError> {
        let is_meant = |action: &Self| action.path() == param;
        let action = Self::ALL.into_iter().find(is_meant);
        action.ok_or_else(|| ApiError::of(Status::NotFound))
    }
}

/// The form of an action. The deletion has the user's name as well.
#[derive(Deserialize)]
#[serde(crate = "rocket::serde")]
struct Fields {
    name: Option<String>,
    password: Option<String>,
}

/// Carries out an action. If the form was sent twice, the second answer says that nothing was left to
/// do.
#[post("/admin/users/<id>/<action>", data = "<form>")]
#[expect(clippy::too_many_arguments, reason = "the state that it needs")]
async fn act(
    visitor: AdminViewer,
    users: &State<Users>,
    all: &State<SessionAdmin>,
    sessions: &State<UserSessions>,
    marks: &State<Marks>,
    trail: Trail,
    id: &str,
    action: Result<Action, ApiError>,
    form: Form<Fields>,
) -> PageResult {
    let (action, Form(fields)) = (action?, form);
    let Some(user) = users.find(&UserId::from(id)).await? else {
        let list = Tab::Users.path().to_owned();
        let address = visitor.go_on(list, Notice::UserWasGone, marks);
        return Ok(Page::NextWith(address.await));
    };
    if visitor.is(&user.id) {
        return Err(own_account());
    }
    if let Some(error) = refusal(action, &user, fields.name.as_deref()) {
        return detail::show(&visitor, users, all, user, None, Some(&error)).await;
    }
    let path = format!(
        "{}/{}",
        Tab::Users.path(),
        RawStr::new(user.id.as_str()).percent_encode()
    );
    let (verb, purpose) = action.question(&user.username);
    let address = format!("{path}/{}", action.path());
    let question = Question {
        fields: match action {
            Action::Delete => vec![("name", user.username.as_str())],
            _ => Vec::new(),
        },
        is_final: action == Action::Delete,
        ..Question::again(&purpose, &address, verb, &path)
    };
    let password = fields.password.as_deref();
    let confirmed = match visitor.confirm(&question, users, trail, password).await? {
        Confirmed::NotYet(page) => return Ok(page),
        confirmed => confirmed,
    };
    let administration = Administration {
        users,
        all,
        sessions,
        acting: visitor.acting(trail),
    };
    let has_changed = carry_out(&administration, action, &user).await?;
    if let Some(session) = &visitor.session {
        confirmed.renew(session, trail).await?;
    }
    let notice = if has_changed {
        action.done()
    } else {
        Notice::UserUnchanged
    };
    let next = match action {
        Action::Delete => Tab::Users.path().to_owned(),
        _ => path.clone(),
    };
    Ok(Page::NextWith(visitor.go_on(next, notice, marks).await))
}

/// Carries out an action. Returns whether it made a difference.
async fn carry_out(
    administration: &Administration<'_>,
    action: Action,
    user: &UserRecord,
) -> Result<bool, ApiError> {
    Ok(match action {
        Action::Change(change) => administration.change(&user.id, change).await?,
        Action::SignOut => administration.sign_out(&user.id).await? > 0,
        Action::Delete => {
            administration.delete(&user.id).await?;
            true
        }
    })
}

/// Refuses a deletion unless the user's name was typed.
fn refusal(action: Action, user: &UserRecord, typed: Option<&str>) -> Option<ApiError> {
    let typed = typed.and_then(|name| username::fold(name).ok());
    if action != Action::Delete || typed.as_deref() == Some(user.username.as_str()) {
        return None;
    }
    let error = ApiError::unprocessable("name: is not the user's name");
    Some(error.in_other_words("Nothing was deleted: type the name of the user as it is shown."))
}

/// 409: administrators do not change their own accounts by accident.
fn own_account() -> ApiError {
    let message = "administrators change their own accounts at /account";
    ApiError::new(Status::Conflict, "own_account", message).in_other_words(
        "This is your own account. Change it on your account page, or ask another administrator.",
    )
}

/// Redirects to the user's page if the address of a form's target is typed or reloaded.
#[get("/admin/users/<id>/<action>")]
fn act_page(id: &str, action: Result<Action, ApiError>) -> PageResult {
    action?;
    let id = RawStr::new(id).percent_encode();
    Ok(Page::NextWith(format!("{}/{id}", Tab::Users.path())))
}

pub(super) fn routes() -> Vec<Route> {
    routes![act, act_page]
}
