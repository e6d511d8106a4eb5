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
    path: &'static str,
    kind: ContentType,
    text: &'static str,
    tag: OnceLock<String>,
}

/// The stylesheet of every page.
static STYLE: Asset = Asset::new(
    "/static/style.css",
    ContentType::CSS,
    include_str!("../../static/style.css"),
);

/// The additional stylesheet of the dashboard.
static ADMIN_STYLE: Asset = Asset::new(
    "/static/admin.css",
    ContentType::CSS,
    include_str!("../../static/admin.css"),
);

/// The script of users' pages, which work without it.
static IDLE_SCRIPT: Asset = Asset::new(
    "/static/idle.js",
    ContentType::JavaScript,
    include_str!("../../static/idle.js"),
);

/// The additional script of the dashboard, which works without it too.
static LIVE_SCRIPT: Asset = Asset::new(
    "/static/live.js",
    ContentType::JavaScript,
    include_str!("../../static/live.js"),
);

/// The icon of tabs and bookmarks. Without it, browsers request `/favicon.ico` in vain.
static ICON: Asset = Asset::new(
    "/static/icon.svg",
    ContentType::SVG,
    include_str!("../../static/icon.svg"),
);

impl Asset {
    const fn new(path: &'static str, kind: ContentType, text: &'static str) -> Self {
        Self {
            path,
            kind,
            text,
            tag: OnceLock::new(),
        }
    }

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
        format!("{}?v={}", self.path, self.tag())
    }

    fn of_version(&'static self, version: Option<&str>) -> Served {
        Served {
            asset: self,
            is_immutable: version == Some(self.tag()),
        }
    }
}

/// Returns the address of the file with this path, if there is one.
pub(super) fn url(path: &str) -> Option<String> {
    let assets = [&STYLE, &ADMIN_STYLE, &IDLE_SCRIPT, &LIVE_SCRIPT, &ICON];
    let asset = assets.into_iter().find(|asset| asset.path == path)?;
    Some(asset.url())
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

#[get("/static/style.css?<v>")]
fn style(v: Option<&str>) -> Served {
    STYLE.of_version(v)
}

#[get("/static/admin.css?<v>")]
fn admin_style(v: Option<&str>) -> Served {
    ADMIN_STYLE.of_version(v)
}

#[get("/static/idle.js?<v>")]
fn idle_script(v: Option<&str>) -> Served {
    IDLE_SCRIPT.of_version(v)
}

#[get("/static/live.js?<v>")]
fn live_script(v: Option<&str>) -> Served {
    LIVE_SCRIPT.of_version(v)
}

#[get("/static/icon.svg?<v>")]
fn icon(v: Option<&str>) -> Served {
    ICON.of_version(v)
}

pub(super) fn routes() -> Vec<Route> {
    routes![style, admin_style, idle_script, live_script, icon]
}
