//! The example with a WebSocket, spoken to byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::example::Example;

/// A text frame with "hi", masked with zeros (RFC 6455, section 5.2).
const HI: [u8; 8] = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];

/// Opens a WebSocket and returns it with the status of the answer.
fn open(example: &Example, cookie: &str) -> (TcpStream, String) {
    let address = example.address();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Cookie: {cookie}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let status = String::from_utf8(head).unwrap();
    (stream, status.lines().next().unwrap().to_owned())
}

#[test]
fn i2_a_socket_is_closed_when_its_session_ends() {
    let example = Example::start("socket", None);
    let cookie = example.send("POST", "/login/1", &[], "").cookies.remove(0);
    let (mut socket, status) = open(&example, &cookie);
    assert!(status.contains("101"), "{status}");
    socket.write_all(&HI).unwrap();
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).unwrap();
    assert_eq!(echo, [0x81, 2, b'h', b'i']);

    example.send("POST", "/logout", &[("Cookie", &cookie)], "");
    let mut frame = [0; 2];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!(frame[0], 0x88, "a close frame");
    let (_, status) = open(&example, &cookie);
    assert!(status.contains("401"), "{status}");
}
