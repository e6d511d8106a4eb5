//! Texts that the application checks itself.

use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use crate::accounts::{passwords, username};

/// A username as it is typed. Which letters are allowed is more than a pattern can say.
pub(crate) fn username() -> Object {
    text(username::MIN, username::MOST_TYPED, "ada")
        .description(Some(
            "Letters and digits of one script, and punctuation (RFC 8265)",
        ))
        .build()
}

/// A password that is chosen. Common ones are refused.
pub(crate) fn new_password() -> Object {
    text(
        passwords::MIN,
        passwords::MAX,
        "staple battery horse correct",
    )
    .description(Some("Anything but a common password"))
    .build()
}

fn text(least: usize, most: usize, example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(least))
        .max_length(Some(most))
        .examples([example])
}
