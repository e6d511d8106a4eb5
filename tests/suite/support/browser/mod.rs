//! Chromium, and what its user does and sees.

mod chromium;
mod tab;

pub(crate) use chromium::Chromium;
pub(crate) use tab::Tab;
