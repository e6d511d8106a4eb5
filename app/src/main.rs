//! The program: what can be done from the command line, serving among it.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
