//! The session's data: reading, changing and ending it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Session;
use crate::session::codec::TypedData;
use crate::session::error::SessionError;
use crate::store::EndReason;

impl<D: TypedData> Session<D> {
    /// Returns the data as this request last saw it: as loaded, or as left by the request's last
    /// update. For a visitor without a session, it is `D::default()`.
    ///
    /// If `on_undecodable` is `"error"` and the visitor's data could not be decoded, this returns
    /// `D::default()`, and a successful response is replaced by an empty 500, because the handler
    /// has acted on data that is not the visitor's. With [`try_data`](Self::try_data), the handler
    /// can respond itself.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rocket::{get, serde::{Deserialize, Serialize, json::Json}};
    /// use rocket_diesel_sessions::Session;
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// #[serde(crate = "rocket::serde", default)]
    /// struct Cart {
    ///     items: Vec<String>,
    /// }
    ///
    /// #[get("/cart")]
    /// fn cart(session: Session<Cart>) -> Json<Arc<Cart>> {
    ///     Json(session.data())
    /// }
    ///
    /// #[get("/cart/size")]
    /// fn size(session: Session<Cart>) -> String {
    ///     session.data().items.len().to_string()
    /// }
    /// ```
    pub fn data(&self) -> Arc<D> {
        let inner = &self.inner;
        if inner.undecodable().is_some() {
            inner.is_data_missed.store(true, Ordering::Relaxed);
        }
        Arc::clone(&inner.state().data)
    }

    /// Returns the [`data`](Self::data), or an error if `on_undecodable` is `"error"` and it could
    /// not be decoded.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rocket::{get, serde::json::Json};
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[get("/items")]
    /// fn items(session: Session<Vec<String>>) -> Result<Json<Arc<Vec<String>>>, SessionError> {
    ///     session.try_data().map(Json)
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Undecodable`] until the session is ended or replaced by a login.
    pub fn try_data(&self) -> Result<Arc<D>, SessionError> {
        match self.inner.undecodable() {
            Some(error) => Err(error),
            None => Ok(Arc::clone(&self.inner.state().data)),
        }
    }

    /// Creates the session with `D::default()` if there is none, for an application that needs a
    /// handle before it has data to store. [`update`](Self::update) and [`set`](Self::set) create
    /// one only for data that differs from `D::default()`.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[post("/uploads")]
    /// async fn begin(session: Session<Vec<String>>) -> Result<String, SessionError> {
    ///     session.start().await?;
    ///     Ok(session.handle().map(String::from).unwrap_or_default())
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails as [`update`](Self::update) does.
    pub async fn start(&self) -> Result<(), SessionError> {
        self.inner.start().await
    }

    /// Applies `change` to the newest data, commits, and returns its result. Creates the session if
    /// there is none and the data differs from `D::default()`.
    ///
    /// No concurrent update is lost. If another request or process has changed the data first,
    /// `change` is applied again to the result. It may therefore run several times, must not have
    /// side effects, and should be quick. If it changes nothing, nothing is written.
    ///
    /// What `change` returns does not decide what is stored: a closure that can fail belongs in
    /// [`try_update`](Self::try_update). It is not async. Await what it needs beforehand, and check
    /// in it what may have changed since.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[post("/items/<item>")]
    /// async fn add(session: Session<Vec<String>>, item: &str) -> Result<String, SessionError> {
    ///     // The closure outlives the borrow of the request, and may run again.
    ///     let item = item.to_owned();
    ///     let count = session.update(move |items| {
    ///         items.push(item.clone());
    ///         items.len()
    ///     });
    ///     Ok(format!("{} items", count.await?))
    /// }
    /// ```
    ///
    /// # Errors
    /// - [`SessionError::Ended`] if the session was ended, its token was replaced, or a deadline
    ///   passed in the meantime. The session is never re-created.
    /// - [`SessionError::Encode`] if the data could not be read back from its JSON (see
    ///   [`TypedData`]). Nothing is stored.
    /// - [`SessionError::Undecodable`] if the stored data could not be decoded and `on_undecodable`
    ///   is `"error"`.
    /// - [`SessionError::TooLarge`] if the data exceeds `max_data_size`. Nothing is stored.
    /// - [`SessionError::Unavailable`] or [`SessionError::Timeout`] if the store failed. It may be
    ///   unknown whether the change was committed.
    ///
    /// # Panics
    /// Panics if `change` panics. Nothing is stored then.
    pub async fn update<R, F>(&self, mut change: F) -> Result<R, SessionError>
    where
        F: FnMut(&mut D) -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner
            .write(move |mut data| {
                let result = change(&mut data);
                (Some(Arc::new(data)), result)
            })
            .await
    }

    /// Applies `change` like [`update`](Self::update) if it returns `Ok`. If it returns an `Err`,
    /// nothing is stored, no session is created, and the error is returned.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::post;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[post("/items/<item>")]
    /// async fn add(session: Session<Vec<String>>, item: &str) -> Result<String, SessionError> {
    ///     let item = item.to_owned();
    ///     let added: Result<usize, CartError> = session
    ///         .try_update(move |items| {
    ///             if items.len() == 10 {
    ///                 return Err(CartError::Full);
    ///             }
    ///             items.push(item.clone());
    ///             Ok(items.len())
    ///         })
    ///         .await;
    ///     match added {
    ///         Ok(count) => Ok(format!("{count} items")),
    ///         Err(CartError::Full) => Ok("the cart is full".to_owned()),
    ///         Err(CartError::Session(error)) => Err(error),
    ///     }
    /// }
    ///
    /// enum CartError {
    ///     Full,
    ///     Session(SessionError),
    /// }
    ///
    /// impl From<SessionError> for CartError {
    ///     fn from(error: SessionError) -> Self {
    ///         Self::Session(error)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns the error of the closure, and the errors of `update`.
    pub async fn try_update<R, E, F>(&self, mut change: F) -> Result<R, E>
    where
        F: FnMut(&mut D) -> Result<R, E> + Send + 'static,
        R: Send + 'static,
        E: From<SessionError> + Send + 'static,
    {
        self.inner
            .write(move |mut data| {
                let result = change(&mut data);
                (result.is_ok().then(|| Arc::new(data)), result)
            })
            .await?
    }

    /// Replaces the data and commits. Creates the session if there is none and the data differs
    /// from `D::default()`. Fields stored by a newer version of the type are kept.
    ///
    /// The data is replaced only if no other request has changed it since this one last saw it, by
    /// its load or by its own last change. Otherwise a change would be lost that no one has
    /// considered. Use [`update`](Self::update) for changes that can be applied to any data. After
    /// an `update`, even one that changes nothing, this request has seen the newest data.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::delete;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[delete("/items")]
    /// async fn clear(session: Session<Vec<String>>) -> Result<(), SessionError> {
    ///     session.set(Vec::new()).await
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`SessionError::Stale`] (409) if another request has changed the data. Nothing is
    /// stored then. Fails as [`update`](Self::update) does.
    pub async fn set(&self, data: D) -> Result<(), SessionError> {
        self.inner.replace(data).await
    }

    /// Ends the session: deletes its row and removes the cookie from the browser. This also works
    /// if another request has replaced the token, because ending a session is always safe. If the
    /// request brought tokens of several live sessions, all of them end, because the next request
    /// would otherwise be served another one.
    ///
    /// With [`clear_site_data`](crate::SessionConfig::clear_site_data), the browser is also told to
    /// forget what the site has stored.
    ///
    /// # Example
    ///
    /// ```
    /// use rocket::delete;
    /// use rocket_diesel_sessions::{Session, SessionError};
    ///
    /// #[delete("/session")]
    /// async fn end(session: Session<Vec<String>>) -> Result<(), SessionError> {
    ///     session.destroy().await
    /// }
    /// ```
    ///
    /// # Errors
    /// Fails if the store failed. The session may then still exist, and the cookie is not removed.
    pub async fn destroy(&self) -> Result<(), SessionError> {
        let inner = &self.inner;
        let _turn = inner.turn().await?;
        let (own, hidden) = {
            let state = inner.state();
            (state.record().cloned(), state.hidden.clone())
        };
        let pipeline = &inner.shared.pipeline;
        if let Some(record) = own {
            let facts = inner.facts_of(&record);
            pipeline.delete(record.id, EndReason::Logout, facts).await?;
        }
        for id in hidden.into_iter().chain(inner.others.clone()) {
            let facts = inner.facts();
            pipeline.delete(id, EndReason::Logout, facts).await?;
        }
        inner.state().ended();
        Ok(())
    }
}
