//! A server that does what a test wants with each connection, down to single bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use ostree_rs::net::registry::Registry;
use ostree_rs::net::{Error, Http, HttpOptions, Limits};

/// A server that does something with each connection after its first request; it ends with the test.
pub(super) struct Peer {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// A request's first line and headers, and the line that it came over.
pub(super) struct Call<'a> {
    pub(super) head: Vec<String>,
    /// How many connections there were before.
    pub(super) number: usize,
    pub(super) line: &'a mut TcpStream,
}

impl Call<'_> {
    pub(super) fn is(&self, method: &str) -> bool {
        self.head[0].starts_with(method)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let is_it = |line: &&String| line.to_ascii_lowercase().starts_with(&format!("{name}: "));
        self.head.iter().find(is_it).and_then(|line| Some(line.split_once(": ")?.1))
    }

    /// Answers, and lets the connection end.
    pub(super) fn answer(&mut self, head: &str, body: &[u8]) {
        let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
        let _ = self.line.write_all(head.as_bytes()).and_then(|()| self.line.write_all(body));
    }

    /// So many bytes again and again, each time after a while.
    pub(super) fn drip(&mut self, bytes: usize, pause_ms: u64) {
        while self.line.write_all(&vec![0; bytes]).is_ok() {
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
    }

    /// Nothing, until the other side goes away.
    pub(super) fn silence(&mut self) {
        let _ = std::io::copy(self.line, &mut std::io::sink());
    }
}

impl Peer {
    pub(super) fn start(serve: impl Fn(&mut Call<'_>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, serve) = (Arc::new(AtomicUsize::new(0)), Arc::new(serve));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for mut line in listener.incoming().flatten() {
                let (number, serve) = (count.fetch_add(1, Ordering::SeqCst), Arc::clone(&serve));
                std::thread::spawn(move || {
                    let lines = BufReader::with_capacity(1, line.try_clone().unwrap()).lines();
                    let head: Vec<_> =
                        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                    if !head.is_empty() {
                        serve(&mut Call { head, number, line: &mut line });
                    }
                });
            }
        });
        Self { address, connections }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn registry(&self, limits: Limits) -> Registry {
        let http = Http::new(&HttpOptions { limits, ..HttpOptions::default() }).unwrap();
        Registry::new(http, &format!("http://{}", self.address), "a", None).unwrap()
    }

    /// Reads a blob; gives how much of it came.
    pub(super) fn blob(&self, limits: Limits, size: u64) -> (usize, Result<(), Error>) {
        let blob = self.registry(limits).blob(&Checksum::of(b"x"), Some(size), &Ctx::default());
        let mut out = Vec::new();
        let result = blob.unwrap().read_to_end(&mut out).map(drop);
        (out.len(), result.map_err(|error| error.downcast::<Error>().unwrap()))
    }
}
