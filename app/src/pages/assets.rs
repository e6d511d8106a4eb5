//! The files that pages load, which are part of the program. Their addresses have a hash of their
//! content, so that browsers keep them until they change.

use std::sync::OnceLock;

use rocket::http::{ContentType, Status};
use rocket::request::Request;
use rocket::response::{self, Responder, Response};
use rocket::{Route, get, routes};
use sha2::{Digest, Sha256};

/// The bytes of the hash that are used, enough to tell versions apart.
const TAG_LEN: usize = 8;

/// A file that pages load.
struct Asset {
    name: &'static str,
    kind: ContentType,
    text: &'static str,
    tag: OnceLock<String>,
}

macro_rules! asset {
    ($name:literal, $kind:ident) => {
        Asset {
            name: $name,
            kind: ContentType::$kind,
            text: include_str!(concat!("../../static/", $name)),
            tag: OnceLock::new(),
        }
    };
}

/// All files. Pages work without the scripts. Without an icon, browsers request `/favicon.ico` in
/// vain.
static ASSETS: [Asset; 14] = [
    asset!("tokens.css", CSS),
    asset!("base.css", CSS),
    asset!("forms.css", CSS),
    asset!("components.css", CSS),
    asset!("pages.css", CSS),
    asset!("admin.css", CSS),
    asset!("charts.css", CSS),
    asset!("people.css", CSS),
    asset!("admin.js", JavaScript),
    asset!("copy.js", JavaScript),
    asset!("fields.js", JavaScript),
    asset!("idle.js", JavaScript),
    asset!("live.js", JavaScript),
    asset!("icon.svg", SVG),
];

impl Asset {
    /// Returns the hash of the content.
    fn tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let hash = Sha256::digest(self.text);
            let hex = hash.iter().take(TAG_LEN).map(|byte| format!("{byte:02x}"));
            hex.collect()
        })
    }

    /// Returns the address for a page.
    fn url(&self) -> String {
        format!("/static/{}?v={}", self.name, self.tag())
    }

    fn of_version(&'static self, version: Option<&str>) -> Served {
        Served {
            asset: self,
            is_immutable: version == Some(self.tag()),
        }
    }
}

fn find(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Returns the address of the file with this name, if there is one.
pub(super) fn url(name: &str) -> Option<String> {
    find(name).map(Asset::url)
}

/// A file as it was requested.
struct Served {
    asset: &'static Asset,
    /// Whether the address has the hash of this version, so that its content never changes.
    is_immutable: bool,
}

impl<'r> Responder<'r, 'static> for Served {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let etag = format!("\"{}\"", self.asset.tag());
        let is_known = request.headers().get("If-None-Match").any(|known| {
            let mut tags = known.split(',').map(str::trim);
            tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
        });
        let mut response = if is_known {
            Response::build().status(Status::NotModified).finalize()
        } else {
            (self.asset.kind.clone(), self.asset.text).respond_to(request)?
        };
        response.set_raw_header("ETag", etag);
        let caching = if self.is_immutable {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        response.set_raw_header("Cache-Control", caching);
        Ok(response)
    }
}

#[get("/static/<name>?<v>")]
fn file(name: &str, v: Option<&str>) -> Option<Served> {
    Some(find(name)?.of_version(v))
}

pub(super) fn routes() -> Vec<Route> {
    routes![file]
}
