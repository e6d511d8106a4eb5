//! The links from a page of a list to the one before and the one after.

use rocket::http::RawStr;

/// How many of the pages before are remembered.
const REMEMBERED: usize = 20;

/// A page of a list. The list itself is read in one direction, so the address remembers the cursors of
/// the pages before, one per line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    /// The cursor of the page. `None` for the first.
    pub(super) after: Option<&'a str>,
    /// The cursors of the pages before, without the first.
    pub(super) back: Option<&'a str>,
}

/// The addresses of the pages before and after.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Paging {
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

impl Paging {
    /// Makes the links of the page at `place` of the list with this path and query, whose next page has
    /// the cursor `next`.
    pub(super) fn new(
        path: &str,
        query: &[(&str, &str)],
        place: Place<'_>,
        next: Option<&str>,
    ) -> Self {
        let back: Vec<&str> = place.back.unwrap_or_default().lines().collect();
        let to = |after: Option<&str>, back: &[&str]| {
            let back = back.join("\n");
            let mut pairs = query.to_vec();
            pairs.extend(after.map(|after| ("after", after)));
            pairs.extend((!back.is_empty()).then_some(("back", back.as_str())));
            address(path, &pairs)
        };
        let previous = place.after.map(|_| match back.split_last() {
            Some((after, back)) => to(Some(after), back),
            None => to(None, &[]),
        });
        let next = next.map(|next| {
            let back: Vec<&str> = back.iter().copied().chain(place.after).collect();
            let forgotten = back.len().saturating_sub(REMEMBERED);
            to(Some(next), &back[forgotten..])
        });
        Self { previous, next }
    }

    /// Returns whether there is another page.
    pub(super) fn is_needed(&self) -> bool {
        self.previous.is_some() || self.next.is_some()
    }
}

/// Returns the address with this path and query, without the values that are empty.
pub(super) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let pair = |(name, value): &(&str, &str)| {
        let value = RawStr::new(value).percent_encode();
        format!("{name}={value}")
    };
    let given = query.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given.map(pair).collect();
    if pairs.is_empty() {
        return path.to_owned();
    }
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(after: Option<&'a str>, back: Option<&'a str>, next: Option<&str>) -> Paging {
        Paging::new(
            "/x",
            &[("q", "a b"), ("f", "")],
            Place { after, back },
            next,
        )
    }

    #[test]
    fn pages_lead_forth_and_back() {
        assert!(!of(None, None, None).is_needed());
        let first = of(None, None, Some("1"));
        assert_eq!(first.previous, None);
        assert_eq!(first.next.as_deref(), Some("/x?q=a%20b&after=1"));
        let second = of(Some("1"), None, Some("2"));
        assert_eq!(second.previous.as_deref(), Some("/x?q=a%20b"));
        assert_eq!(second.next.as_deref(), Some("/x?q=a%20b&after=2&back=1"));
        let third = of(Some("2"), Some("1"), Some("3"));
        assert_eq!(third.previous.as_deref(), Some("/x?q=a%20b&after=1"));
        assert_eq!(third.next.as_deref(), Some("/x?q=a%20b&after=3&back=1%0A2"));
    }

    #[test]
    fn an_address_stays_short_however_many_pages_there_were() {
        let back: Vec<String> = (0..100).map(|page| page.to_string()).collect();
        let next = of(Some("100"), Some(&back.join("\n")), Some("101"))
            .next
            .unwrap();
        assert_eq!(next.matches("%0A").count(), REMEMBERED - 1);
        assert!(next.ends_with("%0A100"), "{next}");
    }
}
