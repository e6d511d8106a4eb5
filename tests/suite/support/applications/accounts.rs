//! Accounts that tests register and sign in to.

use rocket::http::Status;
use rocket::local::blocking::Client;

use super::local::Visitor;

pub(crate) const PASSWORD: &str = "correct horse battery";

/// Returns a visitor who has registered.
pub(crate) fn registered<'c>(client: &'c Client, username: &str) -> Visitor<'c> {
    let mut visitor = Visitor::new(client);
    let answer = visitor.enter("register", username, PASSWORD);
    assert_eq!(answer.status, Status::Created, "{}", answer.body);
    visitor
}

/// Returns the same user signed in on another device.
pub(crate) fn signed_in<'c>(client: &'c Client, username: &str) -> Visitor<'c> {
    let mut visitor = Visitor::new(client);
    let answer = visitor.enter("login", username, PASSWORD);
    assert_eq!(answer.status, Status::Ok, "{}", answer.body);
    visitor
}
