//! A server that speaks the beginning of PostgreSQL's protocol and answers as a real server here
//! cannot.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// The behaviour towards a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Accepts and stays silent.
    Silent,
    /// Accepts every login and answers no query.
    Deaf,
    /// Refuses with a message, like a server with messages in another language.
    Refusing(&'static str),
}

/// Serves the first connections with these behaviours, and all others with the last. Returns a URL.
pub(crate) fn start(behaviours: &'static [Behaviour]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let behaviour = behaviours.get(number).or(behaviours.last()).unwrap();
            answer(&mut stream, *behaviour);
            open.push(stream);
        }
    });
    format!("postgres://app:hunter2@127.0.0.1:{port}/app?sslmode=disable")
}

fn answer(stream: &mut TcpStream, behaviour: Behaviour) {
    let mut start = [0; 8];
    let mut answer = Vec::new();
    match behaviour {
        Behaviour::Silent => return,
        Behaviour::Deaf => {
            answer.extend(message(b'R', &0_i32.to_be_bytes()));
            answer.extend(message(b'Z', b"I"));
        }
        Behaviour::Refusing(text) => {
            let fields = format!("SFATAL\0VFATAL\0CXX000\0M{text}\0\0");
            answer.extend(message(b'E', fields.as_bytes()));
        }
    }
    let _ = stream.read_exact(&mut start);
    let _ = stream.write_all(&answer);
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}
