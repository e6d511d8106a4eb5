//! The response to a request that has used sessions, of one kind or of several.
//!
//! Each kind may turn the response into an error, and a kind may pass its new token on only if no
//! kind does. So all kinds take each step together, in the fairing of the kind attached last.

use std::marker::PhantomData;

use rocket::{Request, Response};

use crate::session::codec::TypedData;
use crate::session::guard::Inner;
use crate::session::pipeline::Untold;
use crate::session::request::slot::Slot;
use crate::session::response::{
    CLEAR_SITE_DATA, challenge, clear_site_data, end_replaced, refuse_missed, respond, retry_later,
    undo, withhold,
};

/// One kind's part in a response.
#[rocket::async_trait]
pub(super) trait Answer: Send + Sync {
    /// Closes the session of this request for changes of its token. Refuses a response that relies on
    /// data that is not the visitor's. Returns whether the request has asked for the session.
    fn close(&self, request: &Request<'_>, response: &mut Response<'_>) -> bool;

    /// Withholds a token that the response does not deliver, which may refuse the response.
    fn withhold(&self, request: &Request<'_>, response: &mut Response<'_>);

    /// Ends the sessions that a login has replaced. If that fails, the response becomes a 503.
    async fn end_replaced(&self, request: &Request<'_>, response: &mut Response<'_>);

    /// Adds this kind's headers to the response, whose status is final. Returns the changes of the
    /// token that it does not deliver.
    fn respond(&self, request: &Request<'_>, response: &mut Response<'_>) -> Vec<Untold>;

    /// Tells the browser what to forget after a logout.
    fn clear_site_data(&self, request: &Request<'_>, response: &mut Response<'_>);

    /// Undoes the changes that the response does not deliver.
    async fn undo(&self, request: &Request<'_>, untold: Vec<Untold>);
}

/// The part of the kind with data of type `D`.
pub(super) struct AnswerOf<D>(PhantomData<fn() -> D>);

impl<D: TypedData> AnswerOf<D> {
    pub(super) const IT: &'static dyn Answer = &Self(PhantomData);

    fn slot<'r>(request: &'r Request<'_>) -> &'r Slot<D> {
        request.local_cache(Slot::<D>::empty)
    }

    /// Returns what the request knows of its session, if it has asked for it and got it.
    fn inner<'r>(request: &'r Request<'_>) -> Option<&'r Inner<D>> {
        let inner = Self::slot(request).get()?.as_ref().ok()?;
        Some(inner)
    }
}

#[rocket::async_trait]
impl<D: TypedData> Answer for AnswerOf<D> {
    fn close(&self, request: &Request<'_>, response: &mut Response<'_>) -> bool {
        let slot = Self::slot(request);
        slot.answered();
        let session = slot.get();
        if let Some(Ok(inner)) = session {
            refuse_missed(inner, response);
        }
        session.is_some()
    }

    fn withhold(&self, request: &Request<'_>, response: &mut Response<'_>) {
        if let Some(inner) = Self::inner(request) {
            withhold(inner, response);
        }
    }

    async fn end_replaced(&self, request: &Request<'_>, response: &mut Response<'_>) {
        if let Some(inner) = Self::inner(request) {
            end_replaced(inner, response).await;
        }
    }

    fn respond(&self, request: &Request<'_>, response: &mut Response<'_>) -> Vec<Untold> {
        match Self::slot(request).get() {
            // Nothing in this request asked for the session.
            None => Vec::new(),
            Some(Ok(inner)) => {
                let untold = respond(inner, response);
                challenge(request, inner, response);
                untold
            }
            Some(Err(_)) => {
                retry_later(response);
                Vec::new()
            }
        }
    }

    fn clear_site_data(&self, request: &Request<'_>, response: &mut Response<'_>) {
        if let Some(inner) = Self::inner(request) {
            clear_site_data(inner, response);
        }
    }

    async fn undo(&self, request: &Request<'_>, untold: Vec<Untold>) {
        if let Some(inner) = Self::inner(request) {
            undo(inner, untold).await;
        }
    }
}

/// Completes a response on behalf of all kinds.
pub(super) async fn answer(
    kinds: &[&'static dyn Answer],
    request: &Request<'_>,
    response: &mut Response<'_>,
) {
    let mut asked = Vec::new();
    for kind in kinds {
        if kind.close(request, response) {
            asked.push(*kind);
        }
    }
    if asked.is_empty() {
        return;
    }
    answer_with(&asked, request, response).await;
}

/// Completes a response on behalf of the kinds that the request has asked for.
async fn answer_with(
    kinds: &[&'static dyn Answer],
    request: &Request<'_>,
    response: &mut Response<'_>,
) {
    // A refusal concerns the kinds before it too: their tokens leave with the handler's response only.
    for _ in 0..2 {
        for kind in kinds {
            kind.withhold(request, response);
        }
    }
    for kind in kinds {
        kind.end_replaced(request, response).await;
    }
    let mut undelivered = Vec::new();
    for kind in kinds {
        let untold = kind.respond(request, response);
        if !untold.is_empty() {
            undelivered.push((kind, untold));
        }
    }
    // The application may have decided by itself.
    if !response.headers().contains(CLEAR_SITE_DATA) {
        for kind in kinds {
            kind.clear_site_data(request, response);
        }
    }
    for (kind, untold) in undelivered {
        kind.undo(request, untold).await;
    }
}
