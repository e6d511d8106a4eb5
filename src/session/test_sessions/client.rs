//! Rocket's local clients, and the visitors of a test.

use rocket::futures::future::BoxFuture;
use rocket::http::Cookie;
use rocket::local::{asynchronous, blocking};

use self::sealed::{HasCookie, SignsIn};
use super::sign_in::{Asked, SignedIn};

/// A client of Rocket's module `local`, asynchronous or blocking.
pub trait TestClient: SignsIn {}

impl TestClient for asynchronous::Client {}
impl TestClient for blocking::Client {}

/// A visitor of a test: a tracked client, or the cookie that
/// [`login_as`](super::TestSessions::login_as) has returned.
pub trait TestVisitor: HasCookie {}

impl TestVisitor for asynchronous::Client {}
impl TestVisitor for blocking::Client {}
impl TestVisitor for Cookie<'_> {}

mod sealed {
    use super::Asked;

    pub trait SignsIn {
        /// A result, or a future of one.
        type SignedIn<'c>
        where
            Self: 'c;

        /// Sends the request that signs a visitor in. `name` is that of the session's cookie.
        fn sign_in<'c>(&'c self, path: &str, asked: Asked, name: String) -> Self::SignedIn<'c>;
    }

    pub trait HasCookie {
        /// Returns the value of the visitor's cookie with this name.
        fn cookie(&self, name: &str) -> Option<String>;
    }
}

impl SignsIn for asynchronous::Client {
    type SignedIn<'c> = BoxFuture<'c, SignedIn>;

    fn sign_in<'c>(&'c self, path: &str, asked: Asked, name: String) -> Self::SignedIn<'c> {
        let request = self.get(path.to_owned());
        request.inner().local_cache(|| asked.clone());
        Box::pin(async move {
            let response = request.dispatch().await;
            asked.answer(response.cookies().get(&name))
        })
    }
}

impl SignsIn for blocking::Client {
    type SignedIn<'c> = SignedIn;

    fn sign_in<'c>(&'c self, path: &str, asked: Asked, name: String) -> Self::SignedIn<'c> {
        let request = self.get(path.to_owned());
        request.inner().local_cache(|| asked.clone());
        let response = request.dispatch();
        asked.answer(response.cookies().get(&name))
    }
}

impl HasCookie for asynchronous::Client {
    fn cookie(&self, name: &str) -> Option<String> {
        Some(self.cookies().get(name)?.value().to_owned())
    }
}

impl HasCookie for blocking::Client {
    fn cookie(&self, name: &str) -> Option<String> {
        Some(self.cookies().get(name)?.value().to_owned())
    }
}

impl HasCookie for Cookie<'_> {
    fn cookie(&self, name: &str) -> Option<String> {
        (self.name() == name).then(|| self.value().to_owned())
    }
}
