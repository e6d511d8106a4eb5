//! I8: no message contains the database's password, whatever else is wrong with the URL.

use crate::support::server::run_to_end;
use crate::support::start::{folder, release};

/// All passwords begin with hunter2 and contain a character that is not encoded.
#[test]
fn i8_an_unreadable_url_is_refused_without_showing_its_password() {
    let folder = folder();
    for (url, word) in [
        ("postgres://app:hunter2100%@127.0.0.1/app", "%25"),
        ("postgres://app:hunter2%zz@127.0.0.1/app", "%25"),
        ("postgres://app:hunter2%00@127.0.0.1/app", "%00"),
        ("postgres://app:hunter2 x@127.0.0.1/app", "%20"),
        ("postgres://app@127.0.0.1/app?password=hunter2%", "%25"),
        ("postgres://app:x@hunter2@127.0.0.1/app", "%40"),
        ("postgres://app:x/hunter2@127.0.0.1/app", "%2F"),
        ("postgres://app:hunter2@[::1/app", "lacks its ]"),
        ("postgres://app:hunter2@[::1]x/app", "only a port"),
        ("postgres://app:hunter2@127.0.0.1:x/app", "65535"),
        ("postgres://app:hunter2@127.0.0.1/app?x&y", "name=value"),
        (
            "postgres://app:hunter2@127.0.0.1/app?schema=public",
            "\"schema\"",
        ),
        (
            "postgres://app:hunter2@127.0.0.1/app?sslmode=reqire",
            "reqire",
        ),
        ("POSTGRES://app:hunter2@127.0.0.1/app", "unknown scheme"),
        ("postgres:/app:hunter2@127.0.0.1/app", "not a URL"),
        ("host=127.0.0.1 password=hunter2", "not a URL"),
    ] {
        for arguments in [&["serve"][..], &["migrate"], &["sessions", "list"]] {
            let mut command = release(folder.path());
            command
                .args(arguments)
                .env("DATABASE_URL", url)
                .env("RUST_LOG", "trace");
            let output = run_to_end(command);
            let said = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
            assert!(!output.status.success(), "{url}: {said}");
            assert!(said.contains(word), "{url}: {said}");
            assert!(!said.contains("hunter2"), "{url}: {said}");
            assert!(!said.contains("waiting"), "{url}: {said}");
        }
    }
}
