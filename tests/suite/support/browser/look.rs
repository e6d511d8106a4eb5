//! The ways in which visitors see a page: the width of their screen, and the theme of their system.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use rocket::serde::json::{Value, json};

use super::tab::Tab;

#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) theme: &'static str,
}

/// A laptop and a phone, by day and by night.
pub(crate) const LOOKS: [Look; 4] = [
    Look::new(1280, "light"),
    Look::new(1280, "dark"),
    Look::new(390, "dark"),
    Look::new(390, "light"),
];

/// The narrowest screen (WCAG 2.2, 1.4.10).
pub(crate) const NARROWEST: Look = Look::new(320, "light");

impl Look {
    const fn new(width: u32, theme: &'static str) -> Self {
        Self { width, theme }
    }

    /// Shows the page in this way, without motion.
    pub(crate) fn take(self, tab: &Tab) {
        let size =
            json!({"width": self.width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        tab.devtools("Emulation.setDeviceMetricsOverride", &size);
        let feature = |name: &str, value: &str| json!({"name": name, "value": value});
        let features = [
            feature("prefers-color-scheme", self.theme),
            feature("prefers-reduced-motion", "reduce"),
        ];
        tab.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }
}

/// Keeps a picture of the page if the variable `PICTURES` names a folder for it.
pub(crate) fn keep_picture(tab: &Tab, name: &str) {
    if let Some(folder) = std::env::var_os("PICTURES") {
        let picture = STANDARD.decode(tab.picture()).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} px, {}", self.width, self.theme)
    }
}

/// Finds what is wider than the window.
const OVERFLOW: &str = "
    const {scrollWidth, clientWidth} = document.documentElement;
    if (scrollWidth <= clientWidth) return null;
    const wide = [...document.querySelectorAll('body *')]
        .filter((element) => element.getBoundingClientRect().right > clientWidth)
        .map((element) => element.outerHTML.split('>')[0] + '>');
    return `${scrollWidth - clientWidth} px too wide: ${wide.slice(0, 5).join(' ')}`;
";

/// Returns what is wider than the window, if anything is.
#[track_caller]
pub(crate) fn overflow(tab: &Tab) -> Option<String> {
    match tab.execute(OVERFLOW) {
        Value::String(overflow) => Some(overflow),
        _ => None,
    }
}
