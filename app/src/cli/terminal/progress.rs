//! The progress of a command that deletes many rows.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::Failure;

/// Returns a progress bar on standard error, which is hidden without a terminal. If the rows cannot
/// be counted within a statement's time limit, it shows progress without an end, and `done` is the
/// participle in it.
pub(in crate::cli) fn bar<E>(
    count: impl FnOnce() -> Result<u64, E>,
    done: &str,
) -> Result<ProgressBar, Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let (bar, style) = match count() {
        Ok(number) => (
            ProgressBar::new(number),
            "{wide_bar} {human_pos} of {human_len}, {per_sec}, {eta} left".to_owned(),
        ),
        Err(_) => (
            ProgressBar::new_spinner(),
            format!("{{spinner}} {{human_pos}} {done}, {{per_sec}}"),
        ),
    };
    bar.set_style(ProgressStyle::with_template(&style)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    Ok(bar)
}
