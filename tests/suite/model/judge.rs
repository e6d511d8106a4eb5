//! Checks of a single answer: its status, its cookie, and its content.

use uuid::Uuid;

use super::app::{Reply, View};
use super::op::Action;
use super::order::Result as Outcome;
use super::world::{Seen, Standing, World};

/// A request, and the model's knowledge of its session.
pub(super) struct Asked<'a> {
    pub(super) world: &'a World,
    pub(super) action: Action,
    pub(super) has_cookie: bool,
    /// The request's session, if it had a live one.
    pub(super) before: Option<&'a Seen>,
    /// Whether no other request was sent at the same time.
    pub(super) is_alone: bool,
    pub(super) has_faults: bool,
}

fn holds(is_true: bool, what: &str) -> Result<(), String> {
    if is_true {
        Ok(())
    } else {
        Err(what.to_owned())
    }
}

/// Checks an answer. The error names the invariant that is violated.
pub(super) fn expect(asked: &Asked<'_>, reply: &Reply, result: &Outcome) -> Result<(), String> {
    let sets_none = reply.set_cookie.is_none();
    match result {
        Outcome::Failed => {
            holds(asked.has_faults, "it fails without a fault")?;
            let is_a_failure = [500, 503].contains(&reply.status);
            holds(is_a_failure, "it fails with another status")?;
            holds(sets_none, "I6: a failure sets a cookie")
        }
        Outcome::Ended => {
            let may = !asked.is_alone || asked.has_faults;
            holds(may && asked.before.is_some(), "nothing has ended it")?;
            holds(sets_none, "I2: an ended session sets a cookie")
        }
        Outcome::Stale => {
            let may = !asked.is_alone && asked.before.is_some();
            let is_set = matches!(asked.action, Action::Set(_));
            holds(may && is_set, "I1: nothing has changed the data")?;
            holds(sets_none, "I9: a refusal sets a cookie")
        }
        Outcome::Refused => {
            let Action::Login(user) = asked.action else {
                return Err("it is refused, and no login".to_owned());
            };
            let is_active = asked.world.users[user] == Standing::Active;
            holds(!is_active, "an active user is refused")?;
            holds(sets_none, "I6: a refusal sets a cookie")
        }
        Outcome::Done(view) => done(asked, reply, view),
        Outcome::Apart => apart(asked, reply),
    }
}

fn done(asked: &Asked<'_>, reply: &Reply, view: &View) -> Result<(), String> {
    match asked.action {
        Action::Read | Action::Count | Action::Set(_) => {
            holds(reply.set_cookie.is_none(), "I9: a cookie is set")?;
        }
        Action::Login(_) | Action::Rotate => is_new_cookie(asked, reply)?,
        Action::Destroy => {
            let removes = reply.set_cookie.is_some() && reply.cookie.is_none();
            return holds(removes || !asked.is_alone, "the cookie is not removed");
        }
    }
    let before = asked
        .before
        .ok_or("I4: a session that is not live is served")?;
    if let Action::Login(user) = asked.action {
        is_active(asked, user)?;
    }
    if asked.action == Action::Read && asked.is_alone {
        let shown = (view.count, &view.user);
        holds(
            shown == (before.count, &before.user),
            "I13: it reads something else",
        )?;
    }
    Ok(())
}

fn is_active(asked: &Asked<'_>, user: usize) -> Result<(), String> {
    let is_active = asked.world.users[user] == Standing::Active;
    holds(is_active, "a user is signed in who may not be")
}

fn is_new_cookie(asked: &Asked<'_>, reply: &Reply) -> Result<(), String> {
    let Some(cookie) = &reply.cookie else {
        return Err("I3: no new token".to_owned());
    };
    holds(!asked.world.knows(cookie), "I3: the token is not new")
}

fn apart(asked: &Asked<'_>, reply: &Reply) -> Result<(), String> {
    let view = reply.view.as_ref().ok_or("it shows nothing")?;
    match asked.action {
        Action::Read | Action::Rotate => {
            holds(reply.set_cookie.is_none(), "I9: a cookie is set")?;
            let is_empty = view.session.is_none() && view.count == 0 && view.user.is_none();
            holds(is_empty, "I2: it shows a session that it has not")
        }
        Action::Destroy => {
            let says = reply.set_cookie.is_some();
            holds(says == asked.has_cookie, "a removal that does not fit")?;
            holds(reply.cookie.is_none(), "a cookie is set")
        }
        Action::Count | Action::Set(_) | Action::Login(_) => {
            is_new_cookie(asked, reply)?;
            let id = view.session.as_ref().map(|(id, _)| id);
            let is_known = id.is_none_or(|id| asked.world.rows.contains_key(id));
            holds(!is_known, "I3: a session is adopted")?;
            match asked.action {
                Action::Login(user) => is_active(asked, user),
                _ => Ok(()),
            }
        }
    }
}

/// Returns the handle, the cookie and the token of the session that an answer created, if any.
pub(super) fn fresh_session(world: &World, reply: &Reply) -> Option<(String, String, Uuid)> {
    let (id, session_id) = reply.view.as_ref()?.session.clone()?;
    let cookie = reply.cookie.clone()?;
    (!world.rows.contains_key(&id)).then_some((id, cookie, session_id))
}
