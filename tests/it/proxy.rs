//! A TCP proxy that does to connections what bad networks and busy servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Every connection ends after so many bytes from the server.
    pub(crate) cut_answer: Option<u64>,
    /// So many connections end after so many bytes from the server.
    pub(crate) cut_answers: Option<(u64, u64)>,
    /// Every connection ends after so many bytes to the server.
    pub(crate) cut_request: Option<u64>,
    /// So many connections end after 2 MB to the server.
    pub(crate) cut_first: Option<u64>,
    /// Every so many connections the first request is answered with 429 or 500.
    pub(crate) refuse_every: Option<u64>,
    /// Nothing of requests for a part of a file but the file comes to the server.
    pub(crate) no_parts: bool,
    /// The byte at this place of the first longer answer is changed.
    pub(crate) corrupt_at: Option<u64>,
}

/// A running proxy; it ends with the test.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    answered: AtomicU64,
    asked: AtomicU64,
    corrupted: AtomicU64,
}

impl Proxy {
    pub(crate) fn start(to: SocketAddr, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counts = Arc::clone(&shared);
                std::thread::spawn(move || serve(client, to, faults, &counts));
            }
        });
        Self { address, counts }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes that went to the client, headers included.
    pub(crate) fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::SeqCst)
    }

    /// Bytes that went to the server, headers included.
    pub(crate) fn asked(&self) -> u64 {
        self.counts.asked.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, to: SocketAddr, faults: Faults, counts: &Arc<Counts>) {
    let number = counts.connections.fetch_add(1, Ordering::SeqCst) + 1;
    if faults.refuse_every.is_some_and(|every| number.is_multiple_of(every)) {
        refuse(&mut client, number);
        return;
    }
    let Ok(server) = TcpStream::connect(to) else { return };
    let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
    let (shared, (answers, answered)) = (Arc::clone(counts), mpsc::channel::<()>());
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    std::thread::spawn(move || {
        let early = faults.cut_first.filter(|count| number <= *count).map(|_| 2_000_000);
        let see = |_, bytes: &mut [u8]| {
            shared.asked.fetch_add(bytes.len() as u64, Ordering::SeqCst);
            let part = bytes.windows(8).position(|text| text == b"\nrange: ");
            if let Some(at) = part.filter(|_| faults.no_parts) {
                bytes[at + 1] = b'x';
            }
            true
        };
        if pump(&client2, &server2, faults.cut_request.or(early), see) == Ended::Cut {
            // Else the next connection may overtake the bytes that are still on their way.
            cut.store(true, Ordering::SeqCst);
            let _ = server2.shutdown(Shutdown::Write);
            let _ = answered.recv_timeout(Duration::from_secs(5));
        }
        close(&client2, &server2);
    });
    let early = faults.cut_answers.filter(|(count, _)| number <= *count).map(|(_, bytes)| bytes);
    let _ = pump(&server, &client, faults.cut_answer.or(early), |at, bytes| {
        if is_cut.load(Ordering::SeqCst) {
            return false;
        }
        counts.answered.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        let place = faults.corrupt_at.and_then(|place| place.checked_sub(at));
        if let Some(place) = place
            && let Some(byte) = bytes.get_mut(usize::try_from(place).unwrap())
            && counts.corrupted.fetch_add(1, Ordering::SeqCst) == 0
        {
            *byte ^= 1;
        }
        true
    });
    drop(answers);
    close(&server, &client);
}

fn refuse(client: &mut TcpStream, number: u64) {
    let mut head: Vec<u8> = Vec::new();
    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut buf = [0; 1024];
        match client.read(&mut buf) {
            Ok(n) if n > 0 => head.extend(&buf[..n]),
            _ => return,
        }
    }
    let status =
        if number.is_multiple_of(2) { "429 Too Many Requests\r\nRetry-After: 0" } else { "500 Sorry" };
    let _ = write!(client, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

#[derive(PartialEq)]
enum Ended {
    Cut,
    Over,
}

/// Copies until the end, or until `limit` bytes passed, what `see` lets through.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    limit: Option<u64>,
    mut see: impl FnMut(u64, &mut [u8]) -> bool,
) -> Ended {
    let (mut passed, mut buf) = (0, vec![0; 16 * 1024]);
    loop {
        let room = limit.map_or(u64::MAX, |limit| limit - passed);
        let want = buf.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        if want == 0 {
            return Ended::Cut;
        }
        match from.read(&mut buf[..want]) {
            Ok(n) if n > 0 => {
                let through = see(passed, &mut buf[..n]);
                passed += n as u64;
                if through && to.write_all(&buf[..n]).is_err() {
                    return Ended::Over;
                }
            }
            _ => return Ended::Over,
        }
    }
}

fn close(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}
