//! What all pages of administrators share: their tabs, and the banner of open administration.

use super::viewer::AdminViewer;
use crate::guards::admin::Admin;

/// A page of the administration that has a tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Sessions,
    Users,
    Events,
    Maintenance,
}

impl Tab {
    const ALL: [Self; 5] = [
        Self::Overview,
        Self::Sessions,
        Self::Users,
        Self::Events,
        Self::Maintenance,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Sessions => "Sessions",
            Self::Users => "Users",
            Self::Events => "Events",
            Self::Maintenance => "Maintenance",
        }
    }

    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/admin",
            Self::Sessions => "/admin/sessions",
            Self::Users => "/admin/users",
            Self::Events => "/admin/events",
            Self::Maintenance => "/admin/maintenance",
        }
    }
}

/// What surrounds the content of a page of administrators, within the frame of every page. Its
/// template extends `admin/frame.html` and has this as `shell`.
pub(super) struct Shell {
    pub(super) tab: Tab,
    /// Whether the page is of the tab itself and not one below it, such as a single session.
    is_tab_page: bool,
    /// Whether administration is open to everyone on this machine.
    pub(super) is_open: bool,
}

impl Shell {
    /// The shell of a tab's own page.
    pub(super) fn of(tab: Tab, visitor: &AdminViewer) -> Self {
        Self {
            tab,
            is_tab_page: true,
            is_open: matches!(visitor.admin, Admin::Local),
        }
    }

    /// The shell of a page below a tab's own, such as that of a single session.
    pub(super) fn below(tab: Tab, visitor: &AdminViewer) -> Self {
        Self {
            is_tab_page: false,
            ..Self::of(tab, visitor)
        }
    }

    /// Returns the tabs, each with the value of its `aria-current`, if it has one.
    pub(super) fn tabs(&self) -> [(Tab, Option<&'static str>); 5] {
        let current = if self.is_tab_page { "page" } else { "true" };
        Tab::ALL.map(|tab| (tab, (tab == self.tab).then_some(current)))
    }
}
