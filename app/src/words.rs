//! Values in words: devices, times, numbers and the data of sessions.

mod device;
pub mod event;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rocket::serde::json::{Value, from_str, to_pretty_string};
use woothee::parser::Parser;

pub use device::DeviceKind;

/// Returns the name of an operating system as its maker writes it. Browsers give Windows 10 for
/// newer ones too.
fn system(name: &str) -> &str {
    match name {
        "Windows 10" => "Windows",
        "Mac OSX" => "macOS",
        name => name,
    }
}

/// The name that a person would give to the sender of this user agent.
pub fn name(user_agent: Option<&str>) -> String {
    let Some(agent) = user_agent.map(str::trim).filter(|agent| !agent.is_empty()) else {
        return "Unknown device".to_owned();
    };
    let parsed = Parser::new()
        .parse(agent)
        .filter(|result| result.category != "misc");
    let known = |word: &str| !word.is_empty() && word != "UNKNOWN";
    match parsed {
        Some(result) if known(result.name) && known(result.os) => {
            format!("{} on {}", result.name, system(result.os))
        }
        Some(result) if known(result.name) => result.name.to_owned(),
        // A program is named by its first product (RFC 9110, section 10.1.5).
        _ => {
            let product = agent.split(['/', ' ']).next().unwrap_or(agent);
            product.chars().take(40).collect()
        }
    }
}

/// The distance of a past time, as in "3 minutes ago".
pub fn ago(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let since = (now - then).to_std().unwrap_or_default();
    if since < Duration::from_secs(5) {
        return "just now".to_owned();
    }
    timeago::Formatter::new().convert(since)
}

/// The distance of a future time, as in "in 3 minutes". A time that has passed is put as [`ago`] does.
pub fn until(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (then - now).to_std() {
        Ok(left) if !left.is_zero() => {
            let left = timeago::Formatter::new().ago("").convert(left);
            format!("in {}", left.trim_end())
        }
        _ => ago(then, now),
    }
}

/// A time to the second, as in "7 March 2026, 14:05:09 UTC".
pub fn exact(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M:%S UTC").to_string()
}

/// A duration in days, or in hours below one day, as in "30 days".
pub fn lasting(duration: Duration) -> String {
    let hours = duration.as_secs() / 3600;
    let (number, unit) = if hours < 24 {
        (hours, "hour")
    } else {
        (hours / 24, "day")
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// A time to wait in its largest unit, rounded up, as in "5 minutes".
pub fn wait(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (number, unit) = match seconds {
        0..=90 => (seconds, "second"),
        91..=5400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3600), "hour"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// A text that begins with a capital letter.
pub fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).collect()
}

/// The data of a session as JSON on several lines. Data that is not JSON stays as it is.
pub fn data(data: &str) -> String {
    let json = from_str::<Value>(data).and_then(|value| to_pretty_string(&value));
    json.unwrap_or_else(|_| data.to_owned())
}

/// A number with its digits in groups of three, as in "1,234,567".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn browsers_and_programs_have_names_and_nothing_is_unknown() {
        let linux = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                     Chrome/156.0.0.0 Safari/537.36";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
                     (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
        let firefox = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 \
                       Firefox/140.0";
        for (agent, expected) in [
            (Some(linux), "Chrome on Linux"),
            (Some(phone), "Safari on iPhone"),
            (Some(firefox), "Firefox on Windows"),
            (Some("curl/8.5.0"), "curl"),
            (Some("<script>"), "<script>"),
            (Some(" "), "Unknown device"),
            (None, "Unknown device"),
        ] {
            assert_eq!(name(agent), expected);
        }
    }

    #[test]
    fn times_are_put_in_words() {
        let now = Utc::now();
        assert_eq!(ago(now, now), "just now");
        assert_eq!(ago(now + TimeDelta::seconds(9), now), "just now");
        assert_eq!(ago(now - TimeDelta::seconds(185), now), "3 minutes ago");
        assert_eq!(ago(now - TimeDelta::hours(25), now), "1 day ago");
        assert_eq!(until(now + TimeDelta::hours(25), now), "in 1 day");
        assert_eq!(until(now, now), "just now");
        assert_eq!(until(now - TimeDelta::hours(2), now), "2 hours ago");
        let then = DateTime::from_timestamp(1_772_892_309, 0).unwrap();
        assert_eq!(exact(then), "7 March 2026, 14:05:09 UTC");
        assert_eq!(lasting(Duration::from_hours(1)), "1 hour");
        assert_eq!(lasting(Duration::from_hours(720)), "30 days");
        for (seconds, words) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (91, "2 minutes"),
            (900, "15 minutes"),
            (901, "16 minutes"),
            (7200, "2 hours"),
        ] {
            assert_eq!(wait(Duration::from_secs(seconds)), words);
        }
        assert_eq!(wait(Duration::from_millis(1500)), "2 seconds");
        assert_eq!(capitalized("so it is"), "So it is");
        assert_eq!(capitalized(""), "");
    }

    #[test]
    fn digits_are_in_groups_of_three() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
