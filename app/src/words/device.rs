//! Kinds of devices.

use woothee::parser::Parser;

/// What a device is, as its user agent tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A desktop computer or a laptop.
    Desktop,
    /// A phone.
    Phone,
    /// A tablet.
    Tablet,
    /// A program without a screen, such as curl.
    Program,
    /// A crawler.
    Bot,
    /// Anything else.
    Unknown,
}

impl DeviceKind {
    /// Returns the kind of the sender of this user agent.
    pub fn of(user_agent: Option<&str>) -> Self {
        let Some(agent) = user_agent.map(str::trim).filter(|agent| !agent.is_empty()) else {
            return Self::Unknown;
        };
        let is_tablet =
            agent.contains("iPad") || (agent.contains("Android") && !agent.contains("Mobile"));
        match Parser::new().parse(agent).map(|result| result.category) {
            Some("crawler") => Self::Bot,
            Some("pc" | "smartphone") if is_tablet => Self::Tablet,
            Some("smartphone" | "mobilephone") => Self::Phone,
            Some("pc" | "appliance") => Self::Desktop,
            _ if agent.starts_with("Mozilla/") => Self::Unknown,
            _ => Self::Program,
        }
    }

    /// Returns the name of its icon.
    pub fn icon(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Program => "terminal",
            Self::Bot => "bot",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_kind() {
        for (agent, kind) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36",
                DeviceKind::Desktop,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
                DeviceKind::Phone,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
                DeviceKind::Tablet,
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/144.0.0.0 Mobile Safari/537.36",
                DeviceKind::Phone,
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; SM-X710) AppleWebKit/537.36 Chrome/144.0.0.0 Safari/537.36",
                DeviceKind::Tablet,
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                DeviceKind::Bot,
            ),
            ("curl/8.5.0", DeviceKind::Program),
            ("Mozilla/5.0", DeviceKind::Unknown),
            (" ", DeviceKind::Unknown),
        ] {
            assert_eq!(DeviceKind::of(Some(agent)), kind, "{agent}");
        }
        assert_eq!(DeviceKind::of(None), DeviceKind::Unknown);
    }
}
