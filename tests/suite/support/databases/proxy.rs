//! A TCP proxy between a server and its database that can disturb the traffic.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;

use crate::support::wait_until;

/// Time between two checks of a waiting thread.
const TICK: Duration = Duration::from_millis(2);

/// A direction through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the client to the database.
    Up,
    /// From the database to the client.
    Down,
}

/// The state of one connection.
#[derive(Debug, Default)]
struct Link {
    /// Bytes in this direction are held back. Indexed in [`Direction`]'s order.
    frozen: [AtomicBool; 2],
    /// Bytes in this direction are accepted and lost.
    dropped: [AtomicBool; 2],
    /// The next answer of the database is lost, and the connection is reset.
    ends_with_answer: AtomicBool,
    is_closed: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    links: Mutex<Vec<(Arc<Link>, [TcpStream; 2])>>,
    /// New connections are frozen too.
    freezes_new: AtomicBool,
    /// New connections are left in the listener's backlog.
    accepts_none: AtomicBool,
    /// Delay of each piece of data, in milliseconds.
    delay: AtomicU64,
    /// What a client has to say for the answer to be lost.
    unanswered: Mutex<Option<&'static str>>,
    is_over: AtomicBool,
}

/// A proxy on loopback. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy to `target`, such as `127.0.0.1:5432`.
    pub(crate) fn to(target: &str) -> Self {
        let target: SocketAddr = target.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            links: Mutex::default(),
            freezes_new: AtomicBool::new(false),
            accepts_none: AtomicBool::new(false),
            delay: AtomicU64::new(0),
            unanswered: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || of_listener.listen(&listener, target));
        Self { address, shared }
    }

    /// Starts a proxy to the server of this PostgreSQL URL. Also returns the URL through the proxy.
    pub(crate) fn before(url: &str) -> (Self, String) {
        let rest = url.split_once('@').unwrap().1;
        let target = rest.split('/').next().unwrap();
        let proxy = Self::to(target);
        let through = url.replace(target, &proxy.address.to_string());
        (proxy, through)
    }

    /// Holds back all bytes on existing connections. New ones pass.
    pub(crate) fn freeze_existing(&self) {
        self.each(|link| link.freeze(true));
    }

    /// Holds back all bytes, on new connections too.
    pub(crate) fn freeze_all(&self) {
        self.shared.freezes_new.store(true, Ordering::SeqCst);
        self.freeze_existing();
    }

    /// Releases all bytes that were held back.
    pub(crate) fn thaw(&self) {
        self.shared.freezes_new.store(false, Ordering::SeqCst);
        self.each(|link| link.freeze(false));
    }

    /// Loses all bytes in one direction on existing connections.
    pub(crate) fn drop_existing(&self, direction: Direction) {
        self.each(|link| link.dropped[direction as usize].store(true, Ordering::SeqCst));
    }

    /// Closes all connections normally (FIN).
    pub(crate) fn close_existing(&self) {
        self.cut(false);
    }

    /// Resets all connections (RST).
    pub(crate) fn reset_existing(&self) {
        self.cut(true);
    }

    /// Resets the next connection on which a client says `words` in plain text. The database
    /// does as told, and its answer is lost.
    pub(crate) fn lose_answer_to(&self, words: &'static str) {
        *self.shared.unanswered.lock().unwrap() = Some(words);
    }

    /// Sets whether new connections are accepted.
    pub(crate) fn accept(&self, accepts: bool) {
        self.shared.accepts_none.store(!accepts, Ordering::SeqCst);
    }

    /// Delays each piece of data in each direction.
    pub(crate) fn delay(&self, delay: Duration) {
        let milliseconds = u64::try_from(delay.as_millis()).unwrap();
        self.shared.delay.store(milliseconds, Ordering::SeqCst);
    }

    /// Returns the number of open connections.
    pub(crate) fn connections(&self) -> usize {
        let mut count = 0;
        self.each(|_| count += 1);
        count
    }

    fn each(&self, mut change: impl FnMut(&Link)) {
        let links = self.shared.links();
        let open = |link: &&(Arc<Link>, _)| !link.0.is_closed.load(Ordering::SeqCst);
        for (link, _) in links.iter().filter(open) {
            change(link);
        }
    }

    /// Ends all connections and waits until their sockets are closed.
    fn cut(&self, resets: bool) {
        for link in self.end(resets) {
            // The threads that forward data have the other references to the sockets.
            wait_until("the connection is closed", || Arc::strong_count(&link) == 1);
        }
    }

    fn end(&self, resets: bool) -> Vec<Arc<Link>> {
        let mut ended = Vec::new();
        for (link, streams) in std::mem::take(&mut *self.shared.links()) {
            link.is_closed.store(true, Ordering::SeqCst);
            for stream in streams {
                if resets {
                    reset_at_end(&stream);
                } else {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            ended.push(link);
        }
        ended
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.end(false);
    }
}

impl Link {
    fn freeze(&self, is_frozen: bool) {
        for way in &self.frozen {
            way.store(is_frozen, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, Vec<(Arc<Link>, [TcpStream; 2])>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(self: Arc<Self>, listener: &TcpListener, target: SocketAddr) {
        while !self.is_over.load(Ordering::SeqCst) {
            if self.accepts_none.load(Ordering::SeqCst) {
                std::thread::sleep(TICK);
                continue;
            }
            match listener.accept() {
                Ok((client, _)) => self.connect(client, target),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(TICK),
                Err(_) => return,
            }
        }
    }

    /// Forwards a new connection. If the database cannot be reached, closes it.
    fn connect(self: &Arc<Self>, client: TcpStream, target: SocketAddr) {
        let Ok(database) = TcpStream::connect(target) else {
            return;
        };
        let _ = client.set_nonblocking(false);
        for stream in [&client, &database] {
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(5 * TICK));
        }
        let link = Arc::new(Link::default());
        link.freeze(self.freezes_new.load(Ordering::SeqCst));
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        let ways = [
            (Direction::Up, clone(&client), clone(&database)),
            (Direction::Down, clone(&database), clone(&client)),
        ];
        self.links().push((Arc::clone(&link), [client, database]));
        for (direction, from, to) in ways {
            let (shared, link) = (Arc::clone(self), Arc::clone(&link));
            std::thread::spawn(move || shared.pass(&link, direction as usize, from, to));
        }
    }

    fn pass(&self, link: &Arc<Link>, way: usize, mut from: TcpStream, mut to: TcpStream) {
        let is_closed = || link.is_closed.load(Ordering::SeqCst);
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = match from.read(&mut buffer) {
                Ok(read) => read,
                // Time to check what the test wants.
                Err(error) if error.kind() == ErrorKind::WouldBlock && !is_closed() => continue,
                Err(_) => 0,
            };
            while link.frozen[way].load(Ordering::SeqCst) && !is_closed() {
                std::thread::sleep(TICK);
            }
            if read == 0 || is_closed() {
                break;
            }
            match self.delay.load(Ordering::SeqCst) {
                0 => {}
                delay => std::thread::sleep(Duration::from_millis(delay)),
            }
            if way == Direction::Up as usize {
                let mut unanswered = self.unanswered.lock().unwrap();
                if unanswered.is_some_and(|words| contains(&buffer[..read], words)) {
                    *unanswered = None;
                    link.ends_with_answer.store(true, Ordering::SeqCst);
                }
            } else if link.ends_with_answer.load(Ordering::SeqCst) {
                link.is_closed.store(true, Ordering::SeqCst);
                reset_at_end(&from);
                reset_at_end(&to);
                break;
            }
            let is_lost = link.dropped[way].load(Ordering::SeqCst);
            if !is_lost && to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        // When one side has ended, the other does too. Connections cut by the test are left as they
        // are.
        if !link.is_closed.swap(true, Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both);
        }
        self.links().retain(|(other, _)| !Arc::ptr_eq(other, link));
    }
}

/// Makes the last owner of a socket, the thread that reads from it, end it with a RST.
fn reset_at_end(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn contains(data: &[u8], words: &str) -> bool {
    let words = words.as_bytes();
    data.windows(words.len()).any(|part| part == words)
}
