//! I8: secrets are neither stored nor printed.

mod secrets;
mod urls;
