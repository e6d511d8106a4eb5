//! nginx with the site of `deploy/`, on loopback in front of a server.

use std::fmt::Write as _;
use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::server::Server;
use crate::support::certificates::certificates;
use crate::support::wait_until;

/// The site as shipped.
const SITE: &str = include_str!("../../../../deploy/nginx.conf");

/// The loopback address from which a [`Visitor`] connects. nginx itself uses another.
pub(crate) const ADDRESS: &str = "127.0.0.3";

/// A running nginx; dropping it kills it.
pub(crate) struct Nginx {
    process: Child,
    folder: TempDir,
    https: u16,
    http: u16,
}

impl Nginx {
    /// Starts nginx in front of `server`. Returns `None` if its tests are to be skipped.
    pub(crate) fn start(server: &Server) -> Option<Self> {
        Self::start_with(server, &[])
    }

    /// Starts nginx with a changed site: each first text is replaced by the second.
    pub(crate) fn start_with(server: &Server, changes: &[(&str, &str)]) -> Option<Self> {
        if std::env::var("SKIP_NGINX").is_ok_and(|skip| skip == "1") {
            eprintln!("SKIP_NGINX=1: the tests behind nginx are skipped");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        certificates(folder.path()).expect(
            "openssl is missing: install it (Debian's name), as tests/run does; SKIP_NGINX=1 \
             leaves the tests behind nginx out",
        );
        // Another program may take a port between the check and nginx' start.
        for _ in 0..10 {
            let [https, http] = free_ports();
            configure(folder.path(), server, changes, [https, http]);
            let checked = nginx(folder.path()).arg("-t").output();
            assert_is_accepted(&checked.expect(
                "nginx is missing: install it (Debian's name), as tests/run does; SKIP_NGINX=1 \
                 leaves its tests out",
            ));
            let mut command = nginx(folder.path());
            let mut process = command.stderr(Stdio::null()).spawn().unwrap();
            wait_until("nginx listens or has given up", || {
                is_open(https) && is_open(http) || process.try_wait().unwrap().is_some()
            });
            if process.try_wait().unwrap().is_none() {
                return Some(Self {
                    process,
                    folder,
                    https,
                    http,
                });
            }
        }
        let log = std::fs::read_to_string(folder.path().join("error.log"));
        panic!("nginx does not start: {}", log.unwrap_or_default());
    }

    /// Returns the site's origin.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.host())
    }

    /// Returns what a browser sends as `Host`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.https)
    }

    /// Returns the port for plain HTTP.
    pub(crate) fn http_port(&self) -> u16 {
        self.http
    }

    /// Connects a visitor over TLS.
    pub(crate) fn connect(&self) -> Visitor {
        let mut tls = Command::new("openssl")
            .args(["s_client", "-quiet", "-verify_return_error", "-CAfile"])
            .arg(self.folder.path().join("root.pem"))
            .args(["-bind", &format!("{ADDRESS}:0")])
            .args(["-connect", &self.host()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = tls.stdin.take().unwrap();
        let mut output = BufReader::new(tls.stdout.take().unwrap());
        let received: Arc<Mutex<Vec<u8>>> = Arc::default();
        let reader = {
            let received = Arc::clone(&received);
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = output.read(&mut bytes) {
                    received.lock().unwrap().extend_from_slice(&bytes[..n]);
                }
            })
        };
        Visitor {
            tls,
            input,
            received,
            reader: Some(reader),
        }
    }

    /// Sends one request over its own connection. `start` is a method and a path, and each of the
    /// `headers` ends with a line break.
    pub(crate) fn ask(&self, start: &str, headers: &str, body: &str) -> String {
        let mut visitor = self.connect();
        let (host, length) = (self.host(), body.len());
        visitor.send(&format!(
            "{start} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ));
        visitor.wait_for_end();
        visitor.received()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection through TLS to nginx, from [`ADDRESS`].
pub(crate) struct Visitor {
    /// An `openssl s_client` process, which ends when nginx closes the connection.
    tls: Child,
    input: ChildStdin,
    received: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Visitor {
    pub(crate) fn send(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// Returns everything received so far.
    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().unwrap()).into_owned()
    }

    /// Returns whether nginx still holds the connection open.
    pub(crate) fn is_open(&mut self) -> bool {
        self.tls.try_wait().unwrap().is_none()
    }

    pub(crate) fn wait_for_end(&mut self) {
        wait_until("nginx closes the connection", || !self.is_open());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.tls.kill();
        let _ = self.tls.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Returns nginx' command. It runs as one process and keeps all its files in `folder`.
fn nginx(folder: &Path) -> Command {
    let debian = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if debian.exists() {
        debian
    } else {
        Path::new("nginx")
    });
    command
        .arg("-p")
        .arg(folder)
        .args(["-c", "main.conf", "-e", "error.log"])
        .stdin(Stdio::null());
    command
}

/// Fails if `nginx -t` has refused the site or warned of anything.
fn assert_is_accepted(checked: &Output) {
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{said}");
    assert!(!said.contains("[warn]"), "{said}");
}

/// Writes `site.conf`, a copy of the site for this machine, and the main file that includes it.
fn configure(folder: &Path, server: &Server, changes: &[(&str, &str)], [https, http]: [u16; 2]) {
    let upstream = server.url().strip_prefix("http://").unwrap().to_owned();
    let path = |file: &str| folder.join(file).display().to_string();
    let live = "/etc/letsencrypt/live/app.example.com";
    let mut site = SITE.to_owned();
    let mut replace = |from: &str, to: &str| {
        assert!(site.contains(from), "the site has no {from:?}");
        site = site.replace(from, to);
    };
    for (from, to) in changes {
        replace(from, to);
    }
    replace(&format!("{live}/fullchain.pem"), &path("server.pem"));
    replace(&format!("{live}/privkey.pem"), &path("server.key"));
    replace("server_name app.example.com", "server_name 127.0.0.1");
    replace("127.0.0.1:8000", &upstream);
    replace("listen [::]:443 ssl http2;", "");
    replace("listen [::]:80;", "");
    replace("listen 443 ", &format!("listen 127.0.0.1:{https} "));
    replace("listen 80;", &format!("listen 127.0.0.1:{http};"));
    std::fs::write(path("site.conf"), site).unwrap();

    let mut main = "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {}\nhttp {\n\
                    access_log off;\ninclude site.conf;\n"
        .to_owned();
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(main, "{kind}_temp_path {kind};").unwrap();
    }
    main.push_str("}\n");
    std::fs::write(path("main.conf"), main).unwrap();
}

/// Returns two free ports of the loopback address.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
