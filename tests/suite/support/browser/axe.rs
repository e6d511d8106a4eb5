//! axe-core, which finds faults of a page for people who use it with a screen reader, a keyboard or weak
//! eyes. `tests/axe/fetch` brings it into `target/`.

use std::sync::LazyLock;

use rocket::serde::json::from_value;

use super::tab::Tab;

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/axe/node_modules/axe-core/axe.min.js"
);

static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
    let axe = std::fs::read_to_string(PATH).ok();
    if axe.is_none() {
        eprintln!("axe-core is skipped: tests/axe/fetch brings it, with npm");
    }
    axe
});

/// All rules of axe, also that of the size of targets, which is off by default.
const ALL: &str = "rules: {'target-size': {enabled: true}}";

/// The rules that depend on colours.
const COLOURS: &str = "runOnly: ['color-contrast', 'link-in-text-block']";

const RUN: &str = "
    const done = arguments[arguments.length - 1];
    const options = {resultTypes: ['violations'], iframes: false, preload: false, RULES};
    axe.run(document, options).then(
        ({violations}) => done(violations.flatMap(({id, nodes}) => nodes.map(({target, any, all}) =>
            `${id}: ${target} (${[...any, ...all].map(({message}) => message).join('; ')})`))),
        (error) => done([`axe: ${error}`]),
    );
";

/// Returns whether axe is there.
pub(crate) fn is_installed() -> bool {
    AXE.is_some()
}

/// Returns the faults of the page as it looks now. There are none without axe.
#[track_caller]
pub(crate) fn violations(tab: &Tab) -> Vec<String> {
    run(tab, ALL)
}

/// Returns the faults of the page's colours, if all else is as it was in another theme.
#[track_caller]
pub(crate) fn violations_of_colours(tab: &Tab) -> Vec<String> {
    run(tab, COLOURS)
}

#[track_caller]
fn run(tab: &Tab, rules: &str) -> Vec<String> {
    let Some(axe) = &*AXE else {
        return Vec::new();
    };
    if tab.execute("return typeof axe") == "undefined" {
        // WebDriver's scripts run outside the page's Content-Security-Policy.
        tab.execute(&format!("{axe}; window.axe = axe"));
    }
    from_value(tab.execute_async(&RUN.replace("RULES", rules))).unwrap()
}
