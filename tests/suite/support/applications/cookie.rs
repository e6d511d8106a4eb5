//! Cookies that no server issued.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::local::SECRET;

/// Returns a cookie for a chosen token, as anyone with the signing secret can make it.
pub(crate) fn signed(session_id: Uuid, secret_half: [u8; 32]) -> String {
    let token = [session_id.as_bytes().as_slice(), &secret_half].concat();
    let key = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    let signature = key.chain_update(&token).finalize().into_bytes();
    let (token, signature) = (
        URL_SAFE_NO_PAD.encode(token),
        URL_SAFE_NO_PAD.encode(signature),
    );
    format!("session={token}.{signature}")
}
