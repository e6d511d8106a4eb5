//! Cookies and bearer tokens that no server issued.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::local::SECRET;

/// Returns a cookie for a chosen token and handle, as anyone with the signing secret can make it.
pub(crate) fn signed(session_id: Uuid, secret_half: [u8; 32], handle: &str) -> String {
    signed_as("", "session", session_id, secret_half, handle)
}

/// Returns such a cookie of a kind of session.
pub(crate) fn signed_as(
    kind: &str,
    name: &str,
    session_id: Uuid,
    secret_half: [u8; 32],
    handle: &str,
) -> String {
    let context = format!("session cookie\0{kind}\0{name}\0");
    let value = signed_for(context.as_bytes(), session_id, secret_half, handle);
    format!("{name}={value}")
}

/// Returns a bearer token for a chosen token and handle.
pub(crate) fn bearer(session_id: Uuid, secret_half: [u8; 32], handle: &str) -> String {
    signed_for(
        b"session bearer\0\0session\0",
        session_id,
        secret_half,
        handle,
    )
}

fn signed_for(context: &[u8], session_id: Uuid, secret_half: [u8; 32], handle: &str) -> String {
    let token = [
        session_id.as_bytes(),
        secret_half.as_slice(),
        handle.as_bytes(),
    ]
    .concat();
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let signature = key
        .chain_update(context)
        .chain_update(&token)
        .finalize()
        .into_bytes();
    let (token, signature) = (
        URL_SAFE_NO_PAD.encode(token),
        URL_SAFE_NO_PAD.encode(signature),
    );
    format!("{token}.{signature}")
}
