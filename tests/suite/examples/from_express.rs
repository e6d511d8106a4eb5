//! The example that takes over the sessions of express-session. Its cookies are signed here by the
//! documented formula: `s:`, the id, `.`, and the HMAC-SHA-256 of the id in base64 without padding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::support::example::{Answered, Example};
use crate::support::{Database, Kind, wait_until};

/// The id of a session of Express.
const SID: &str = "k8gW2V0uXwq4m1nHqZ0b7aR3yT5cE9fJ";

/// The table of connect-pg-simple 10.
const TABLE: &str = r#"
    CREATE TABLE "session" (
        "sid" varchar NOT NULL COLLATE "default" PRIMARY KEY,
        "sess" json NOT NULL,
        "expire" timestamp(6) NOT NULL
    )"#;

/// The application, and the database that it shares with Express.
struct Shop {
    example: Example,
    database: Database,
}

impl Shop {
    fn open() -> Option<Self> {
        let database = Database::new(Kind::Postgres)?;
        database.execute(TABLE);
        let variables = [
            ("DATABASE_URL", database.direct_url()),
            ("EXPRESS_SECRETS", "new,keyboard cat"),
        ];
        let example = Example::start_with("from_express", &variables);
        Some(Self { example, database })
    }

    /// Stores a session for an hour, as Express does.
    fn remember(&self, sess: &str) {
        self.database.execute(&format!(
            r#"INSERT INTO "session" (sess, expire, sid) SELECT '{sess}', now() + interval '1 hour', '{SID}'
               ON CONFLICT (sid) DO UPDATE SET sess = excluded.sess, expire = excluded.expire"#
        ));
    }

    fn remember_ada(&self) {
        self.remember(
            r#"{"cookie":{"originalMaxAge":3600000,"expires":"2026-11-26T15:20:09.000Z","httpOnly":true,"path":"/"},"cart":["pen"],"userId":7}"#,
        );
    }

    fn send(&self, method: &str, path: &str, cookies: &[&str]) -> Answered {
        let header = cookies.join("; ");
        self.example
            .send(method, path, &[("Cookie", header.as_str())], "")
    }

    fn count(&self, condition: &str) -> i64 {
        self.database
            .number(&format!("SELECT count(*) AS n FROM {condition}"))
    }

    /// Moves the time of all moves into the past.
    fn after(&self, interval: &str) {
        self.database.execute(&format!(
            "UPDATE express_moves SET moved_at = moved_at - interval '{interval}',
                                      issued_at = issued_at - interval '{interval}'"
        ));
    }
}

/// Returns the cookie of Express for a session, signed with a secret.
fn signed(sid: &str, secret: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(sid).finalize().into_bytes();
    let signature = STANDARD_NO_PAD.encode(mac);
    let signature = signature.replace('+', "%2B").replace('/', "%2F");
    format!("connect.sid=s%3A{sid}.{signature}")
}

/// Returns the cookie of this application that an answer sets.
fn own_cookie(answer: &Answered) -> Option<&str> {
    let mut cookies = answer.cookies.iter().map(String::as_str);
    cookies.find(|cookie| cookie.starts_with("session="))
}

fn removes_the_old_cookie(answer: &Answered) -> bool {
    answer.cookies.contains(&"connect.sid=".to_owned())
}

#[test]
fn from_express_signs_no_one_out() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    let old = signed(SID, "keyboard cat");
    let moved = shop.send("POST", "/cart/ink", &[&old]);
    assert_eq!(moved.status, 200, "{}", moved.body);
    assert!(removes_the_old_cookie(&moved));
    let new = own_cookie(&moved).unwrap();

    assert_eq!(shop.send("GET", "/cart", &[new]).body, "pen, ink");
    assert_eq!(shop.send("GET", "/account", &[new]).body, "7");
    assert_eq!(shop.count(r#""session""#), 0, "the old session is gone");
    let prolonged = "sessions, express_moves WHERE absolute_expires_at > expire";
    assert_eq!(shop.count(prolonged), 0);
    let secret = shop.send("GET", "/account/secret", &[new]);
    assert_eq!(
        secret.status, 403,
        "the move is no proof of who the user is"
    );
    let both = shop.send("GET", "/account", &[&old, new]);
    assert!(both.body == "7" && removes_the_old_cookie(&both));
}

#[test]
fn i3_a_session_of_express_is_moved_once() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    let old = signed(SID, "new");
    let moved = shop.send("GET", "/account", &[&old]);
    let new = own_cookie(&moved).unwrap();
    shop.send("POST", "/logout", &[new]);
    shop.after("5 seconds");
    assert_eq!(shop.send("GET", "/account", &[&old]).status, 401);

    // Express has written its row again, at the end of a request that was in progress.
    shop.remember_ada();
    shop.after("1 minute");
    let again = shop.send("GET", "/account", &[&old]);
    assert_eq!(again.status, 401);
    assert!(removes_the_old_cookie(&again));
    assert_eq!(shop.count("sessions"), 0);
}

#[test]
fn one_of_several_requests_moves_a_session_of_express() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    let old = signed(SID, "keyboard cat");
    let answers: Vec<Answered> = std::thread::scope(|scope| {
        let send = || scope.spawn(|| shop.send("GET", "/account", &[&old]));
        let requests: Vec<_> = (0..8).map(|_| send()).collect();
        let answers = requests.into_iter().map(|request| request.join().unwrap());
        answers.collect()
    });
    let (moved, put_off): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(moved.len(), 1);
    for answer in put_off {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.cookies.len(), 0, "neither cookie changes");
    }
    let new = own_cookie(moved[0]).unwrap();
    assert_eq!(shop.send("GET", "/account", &[new]).body, "7");
    wait_until("one session is left", || shop.count("sessions") == 1);
}

#[test]
fn a_visitor_whose_first_response_was_lost_is_not_signed_out() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    let old = signed(SID, "keyboard cat");
    let lost = shop.send("POST", "/cart/ink", &[&old]);
    let at_once = shop.send("GET", "/cart", &[&old]);
    assert_eq!((at_once.status, at_once.cookies.len()), (503, 0));
    shop.after("5 seconds");
    let again = shop.send("GET", "/cart", &[&old]);
    assert_eq!(again.body, "pen, ink");
    assert_eq!(shop.send("GET", "/cart", &[&old]).status, 503);
    let new = own_cookie(&again).unwrap();
    assert_eq!(shop.send("GET", "/account", &[new]).body, "7");
    let replaced = own_cookie(&lost).unwrap();
    assert_eq!(shop.send("GET", "/account", &[replaced]).status, 401);
    assert_eq!(shop.count("sessions"), 1);

    shop.after("1 minute");
    assert_eq!(shop.send("GET", "/account", &[&old]).status, 401);
    assert_eq!(shop.send("GET", "/account", &[new]).body, "7");
}

#[test]
fn i6_a_move_is_undone_after_a_503() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    shop.database.execute(
        "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(30); RETURN NEW; END $$;
         CREATE TRIGGER hang BEFORE UPDATE OF data ON sessions FOR EACH ROW
             WHEN (NEW.data LIKE '%slow%') EXECUTE FUNCTION hang()",
    );
    let old = signed(SID, "keyboard cat");
    let failed = shop.send("POST", "/cart/slow", &[&old]);
    assert_eq!((failed.status, failed.cookies.len()), (503, 0));
    wait_until("the old session is back", || {
        shop.count(r#""session""#) == 1
    });
    let moved = shop.send("GET", "/cart", &[&old]);
    assert_eq!(moved.body, "pen");
    let new = own_cookie(&moved).unwrap();
    assert_eq!(shop.send("GET", "/account", &[new]).body, "7");
}

#[test]
fn visitors_of_express_who_are_not_signed_in_keep_their_data() {
    let Some(shop) = Shop::open() else { return };
    shop.remember(r#"{"cookie":{"originalMaxAge":null,"expires":null},"cart":["pen"]}"#);
    let old = signed(SID, "keyboard cat");
    let moved = shop.send("GET", "/cart", &[&old]);
    assert_eq!(moved.body, "pen");
    let new = own_cookie(&moved).unwrap();
    assert_eq!(shop.send("POST", "/cart/ink", &[new]).status, 200);
    assert_eq!(shop.send("GET", "/cart", &[new]).body, "pen, ink");
    assert_eq!(shop.send("GET", "/account", &[new]).status, 401);
    assert_eq!(shop.count(r#""session""#), 0);
}

#[test]
fn a_cookie_of_express_that_ends_with_the_browser_still_does() {
    let Some(shop) = Shop::open() else { return };
    shop.remember(r#"{"cookie":{"originalMaxAge":null,"expires":null},"cart":7,"userId":7}"#);
    let moved = shop.send("GET", "/account", &[&signed(SID, "new")]);
    assert_eq!(moved.body, "7", "data that does not fit is left behind");
    assert_eq!(shop.count("sessions WHERE browser_session"), 1);
}

#[test]
fn i4_an_expired_session_of_express_is_not_moved() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    shop.database
        .execute(r#"UPDATE "session" SET expire = now()"#);
    let answer = shop.send("GET", "/account", &[&signed(SID, "new")]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.cookies, ["connect.sid="]);
    assert_eq!(shop.count("sessions"), 0);
}

#[test]
fn i7_a_forged_cookie_of_express_reaches_no_table() {
    let Some(shop) = Shop::open() else { return };
    shop.remember_ada();
    shop.database
        .execute("ALTER TABLE express_moves RENAME TO hidden");
    let forged = shop.send("GET", "/cart", &[&signed(SID, "guessed")]);
    assert_eq!((forged.status, forged.cookies.len()), (200, 0));
    let unsigned = format!("connect.sid={SID}");
    assert_eq!(shop.send("GET", "/cart", &[&unsigned]).status, 200);
    let genuine = shop.send("GET", "/cart", &[&signed(SID, "new")]);
    assert_eq!(
        (genuine.status, genuine.cookies.len()),
        (503, 0),
        "it was asked for"
    );
}
