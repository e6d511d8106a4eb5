//! `completions`: prints a completion script for a shell.

use std::io::{self, Write};

use clap::Args;
use clap_complete::Shell;

use super::Failure;

/// The program's name.
const NAME: &str = "rocket_diesel_sessions";

#[derive(Args)]
#[command(after_help = "\
Examples:
  rocket_diesel_sessions completions bash > ~/.local/share/bash-completion/completions/rocket_diesel_sessions
  rocket_diesel_sessions completions fish > ~/.config/fish/completions/rocket_diesel_sessions.fish")]
pub(super) struct Arguments {
    /// The shell to complete commands in.
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), NAME, &mut script);
    Ok(io::stdout().write_all(&script)?)
}
