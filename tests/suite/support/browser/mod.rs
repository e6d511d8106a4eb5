//! Chromium, and what its user does and sees.

pub(crate) mod axe;
mod chromium;
pub(crate) mod focus;
pub(crate) mod look;
pub(crate) mod site;
mod tab;

pub(crate) use chromium::Chromium;
pub(crate) use tab::Tab;
