//! What people see who use a page with the keyboard.

use rocket::serde::json::from_value;

use super::tab::Tab;

/// Focuses each element that Tab reaches, as the keyboard does, and finds those that do not show it.
const UNMARKED: &str = "
    const reachable = 'a[href], button, input, select, textarea, summary, [tabindex=\"0\"]';
    const marks = (element) => {
        const {outlineStyle, outlineWidth, boxShadow, borderColor} = getComputedStyle(element);
        return [outlineStyle === 'none' ? '' : outlineWidth, boxShadow, borderColor].join();
    };
    return [...document.querySelectorAll(reachable)]
        .filter((element) => element.checkVisibility() && !element.disabled)
        .filter((element) => {
            element.blur();
            const before = marks(element);
            element.focus({focusVisible: true, preventScroll: true});
            return document.activeElement !== element || marks(element) === before;
        })
        .map((element) => `no mark of the focus: ${element.outerHTML.split('>')[0]}>`);
";

/// Returns the elements of the page that can be reached with Tab and do not show it.
#[track_caller]
pub(crate) fn unmarked(tab: &Tab) -> Vec<String> {
    from_value(tab.execute(UNMARKED)).unwrap()
}
