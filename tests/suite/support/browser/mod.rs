//! Chromium, and what its user does and sees.

mod chromium;
pub(crate) mod site;
mod tab;

pub(crate) use chromium::Chromium;
pub(crate) use tab::Tab;
