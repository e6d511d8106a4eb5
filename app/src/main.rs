//! The program: its command line, of which running the server is one command.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
