//! What `run` needs besides wrk and curl: reads cookies and counts, and prints the report.

mod cookies;
mod plot;
mod report;
mod results;
mod table;

use std::fs;
use std::process::ExitCode;

use results::Results;

const USAGE: &str = "usage:
  bench-report cookies HEADERS       the cookies that answers set, one a line
  bench-report reads COOKIES URL DIR a configuration for curl: reads URL with each cookie, into DIR
  bench-report sum DIR               the sum of the counts in the answers in DIR
  bench-report report RESULTS        the tables of what was measured
  bench-report plot RESULTS          the plot, as SVG";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(output) => {
            print!("{output}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<String, String> {
    match arguments {
        ["cookies", headers] => Ok(cookies::cookies(&text_of(headers)?)),
        ["reads", cookies, url, directory] => {
            Ok(cookies::reads(&text_of(cookies)?, url, directory))
        }
        ["sum", directory] => Ok(sum(directory)?.to_string()),
        ["report", file] => Ok(report::report(&Results::parse(&text_of(file)?)?)),
        ["plot", file] => Ok(plot::plot(&Results::parse(&text_of(file)?)?)),
        _ => Err(USAGE.to_owned()),
    }
}

fn sum(directory: &str) -> Result<u64, String> {
    let entries = fs::read_dir(directory).map_err(|error| format!("{directory}: {error}"))?;
    let mut sum = 0;
    for entry in entries {
        let entry = entry.map_err(|error| format!("{directory}: {error}"))?;
        sum += cookies::count(&text_of(&entry.path().to_string_lossy())?)?;
    }
    Ok(sum)
}

/// Reads a file. Headers may have bytes that are not UTF-8.
fn text_of(file: &str) -> Result<String, String> {
    let bytes = fs::read(file).map_err(|error| format!("{file}: {error}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
