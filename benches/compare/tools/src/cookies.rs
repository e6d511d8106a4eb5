//! The cookies of the benchmark's sessions, and the counts stored for them.

use std::fmt::Write;

use serde_json::Value;

/// Returns the cookies, "name=value" on a line each, that the headers of some answers set.
pub fn cookies(headers: &str) -> String {
    let mut cookies = String::new();
    for line in headers.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        if name.eq_ignore_ascii_case("set-cookie") {
            let cookie = value.split(';').next().unwrap_or_default();
            let _ = writeln!(cookies, "{}", cookie.trim());
        }
    }
    cookies
}

/// Returns a configuration for curl: asks for the URL with each cookie, and writes each answer to a
/// file in the directory.
pub fn reads(cookies: &str, url: &str, directory: &str) -> String {
    let requests = cookies.lines().enumerate().map(|(number, cookie)| {
        format!(
            "fail\nurl = \"{url}\"\nheader = \"Cookie: {cookie}\"\n\
             output = \"{directory}/{number}\"\n"
        )
    });
    requests.collect::<Vec<_>>().join("next\n")
}

/// Returns the count in an answer to a read: a number, or the application's view of a session.
pub fn count(answer: &str) -> Result<u64, String> {
    let wrong = || format!("no count in the answer {answer:?}");
    let answer: Value = serde_json::from_str(answer).map_err(|_| wrong())?;
    let count = answer
        .pointer("/session/data/visitCount")
        .unwrap_or(&answer);
    count.as_u64().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{cookies, count, reads};

    #[test]
    fn cookies_are_taken_without_their_attributes() {
        let headers = "HTTP/1.1 200 OK\r\nSet-Cookie: session=a%3Db; Path=/; HttpOnly\r\n\
                       Date: today\r\n\r\nset-cookie: id=c\r\n";
        assert_eq!(cookies(headers), "session=a%3Db\nid=c\n");
    }

    #[test]
    fn each_cookie_is_a_request_of_its_own() {
        let expected = "fail\nurl = \"http://h/read\"\nheader = \"Cookie: s=1\"\noutput = \"d/0\"\n\
                        next\n\
                        fail\nurl = \"http://h/read\"\nheader = \"Cookie: s=2\"\noutput = \"d/1\"\n";
        assert_eq!(reads("s=1\ns=2\n", "http://h/read", "d"), expected);
    }

    #[test]
    fn a_count_is_a_number_or_a_visit_count() {
        assert_eq!(count("17"), Ok(17));
        let session = r#"{"session":{"id":"x","data":{"visitCount":3,"theme":"dark"}}}"#;
        assert_eq!(count(session), Ok(3));
        assert!(count(r#"{"session":null}"#).is_err());
        assert!(count("error").is_err());
    }
}
