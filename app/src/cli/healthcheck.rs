//! `healthcheck`: asks a running server whether it is ready.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use clap::Args;
use rocket::figment::Figment;
use rocket_diesel_sessions_app as app;

use super::serve::Listener;
use super::{Failure, parse, say};

/// The most bytes that are read of a status line.
const MAX_STATUS_LINE: u64 = 1024;

#[derive(Args)]
#[command(after_help = "\
Examples:
  rocket_diesel_sessions healthcheck
  HEALTHCHECK CMD [\"rocket_diesel_sessions\", \"healthcheck\"]")]
pub(super) struct Arguments {
    #[command(flatten)]
    listener: Listener,
    /// How long the answer may take.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse::timeout)]
    timeout: Duration,
}

pub(super) fn run(arguments: &Arguments, figment: Figment) -> Result<(), Failure> {
    let figment = arguments.listener.over(figment);
    if figment.contains("tls") {
        return Err("tls is set, but a health check speaks http only".into());
    }
    let config = app::rocket_config(&figment)?;
    if config.port == 0 {
        return Err("port = 0: the server has chosen its own port; give it with --port".into());
    }
    let server = SocketAddr::new(reachable(config.address), config.port);
    let url = format!("http://{server}/readyz");
    match status(server, arguments.timeout) {
        Ok(200) => say(format_args!("ready: {url}")),
        Ok(status) => Err(format!("{url} answered {status}: the server is not ready").into()),
        Err(error) if is_timeout(&error) => {
            let limit = humantime::format_duration(arguments.timeout);
            Err(format!("{url}: no answer within {limit} (--timeout)").into())
        }
        Err(error) => Err(format!("{url}: {error}").into()),
    }
}

/// Returns the address itself, or the loopback address if a server listens on all addresses.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// Returns the status of the answer to `GET /readyz`.
fn status(server: SocketAddr, timeout: Duration) -> io::Result<u16> {
    let deadline = Instant::now() + timeout;
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_write_timeout(Some(timeout))?;
    write!(
        stream,
        "GET /readyz HTTP/1.1\r\nHost: {server}\r\nAccept: application/json\r\n\
         User-Agent: rocket_diesel_sessions-healthcheck\r\nConnection: close\r\n\r\n"
    )?;
    status_of(&status_line(&stream, deadline)?)
        .ok_or_else(|| io::Error::other("the answer is not HTTP/1.1"))
}

/// Reads up to the end of the first line, one byte at a time and each within the time that is left. So
/// a server that sends slowly cannot prolong the check.
fn status_line(stream: &TcpStream, deadline: Instant) -> io::Result<String> {
    let mut line = Vec::new();
    let mut bytes = stream.take(MAX_STATUS_LINE);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let mut byte = [0];
        match bytes.read(&mut byte)? {
            1 if byte != *b"\n" => line.push(byte[0]),
            _ => return Ok(String::from_utf8_lossy(&line).into_owned()),
        }
    }
}

fn status_of(line: &str) -> Option<u16> {
    let (version, rest) = line.split_once(' ')?;
    let status = rest.split_whitespace().next()?;
    version.starts_with("HTTP/1.").then_some(())?;
    status.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_status_line() {
        assert_eq!(status_of("HTTP/1.1 200 OK\r"), Some(200));
        assert_eq!(status_of("HTTP/1.1 503\r"), Some(503));
        for line in ["", "HTTP/1.1", "SSH-2.0-x 200", "HTTP/1.1 x"] {
            assert_eq!(status_of(line), None, "{line}");
        }
    }

    #[test]
    fn an_unspecified_address_is_reached_on_the_loopback() {
        for (address, expected) in [
            ("0.0.0.0", "127.0.0.1"),
            ("::", "::1"),
            ("192.0.2.1", "192.0.2.1"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(reachable(address).to_string(), expected);
        }
    }
}
