//! Rocket's local clients, and the visitors of a test.

use rocket::futures::future::BoxFuture;
use rocket::http::Cookie;
use rocket::local::{asynchronous, blocking};

use self::sealed::{HasSession, Presented, Sends};
use super::sign_in::Asked;
use crate::session::guard::token::BearerToken;

/// A client of Rocket's module `local`, asynchronous or blocking.
pub trait TestClient: Sends {}

impl TestClient for asynchronous::Client {}
impl TestClient for blocking::Client {}

/// A visitor of a test: a tracked client, the cookie that
/// [`login_as`](super::TestSessions::login_as) has returned, or a bearer token.
pub trait TestVisitor: HasSession {}

impl TestVisitor for asynchronous::Client {}
impl TestVisitor for blocking::Client {}
impl TestVisitor for Cookie<'_> {}
impl TestVisitor for BearerToken {}

pub(super) mod sealed {
    use rocket::http::Cookie;

    use super::Asked;

    pub trait Sends {
        /// `T`, or a future of `T`.
        type Reply<'c, T: 'c>
        where
            Self: 'c;

        /// Sends the request that signs a visitor in. `take` gets the session's cookie in the
        /// response, by its `name`.
        fn send<'c, T: 'c>(
            &'c self,
            path: &str,
            asked: Asked,
            name: String,
            take: fn(&Asked, Option<&Cookie<'_>>) -> T,
        ) -> Self::Reply<'c, T>;
    }

    /// What a visitor sends.
    #[derive(Debug)]
    pub enum Presented {
        Cookie(String),
        Bearer(String),
    }

    pub trait HasSession {
        /// Returns the visitor's token, or the value of the cookie with this name.
        fn presented(&self, name: &str) -> Option<Presented>;
    }
}

impl Sends for asynchronous::Client {
    type Reply<'c, T: 'c> = BoxFuture<'c, T>;

    fn send<'c, T: 'c>(
        &'c self,
        path: &str,
        asked: Asked,
        name: String,
        take: fn(&Asked, Option<&Cookie<'_>>) -> T,
    ) -> Self::Reply<'c, T> {
        let request = self.get(path.to_owned());
        request.inner().local_cache(|| asked.clone());
        Box::pin(async move {
            let response = request.dispatch().await;
            take(&asked, response.cookies().get(&name))
        })
    }
}

impl Sends for blocking::Client {
    type Reply<'c, T: 'c> = T;

    fn send<'c, T: 'c>(
        &'c self,
        path: &str,
        asked: Asked,
        name: String,
        take: fn(&Asked, Option<&Cookie<'_>>) -> T,
    ) -> Self::Reply<'c, T> {
        let request = self.get(path.to_owned());
        request.inner().local_cache(|| asked.clone());
        let response = request.dispatch();
        take(&asked, response.cookies().get(&name))
    }
}

impl HasSession for asynchronous::Client {
    fn presented(&self, name: &str) -> Option<Presented> {
        self.cookies().get(name)?.presented(name)
    }
}

impl HasSession for blocking::Client {
    fn presented(&self, name: &str) -> Option<Presented> {
        self.cookies().get(name)?.presented(name)
    }
}

impl HasSession for Cookie<'_> {
    fn presented(&self, name: &str) -> Option<Presented> {
        (self.name() == name).then(|| Presented::Cookie(self.value().to_owned()))
    }
}

impl HasSession for BearerToken {
    fn presented(&self, _: &str) -> Option<Presented> {
        Some(Presented::Bearer(self.expose().to_owned()))
    }
}
