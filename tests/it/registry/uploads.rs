//! The upload half of a registry that keeps every byte that arrives, as the specification would like it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running server with one upload at a time; it ends with the test.
pub(crate) struct Uploads {
    pub(crate) address: SocketAddr,
    store: Arc<Store>,
}

#[derive(Default)]
struct Store {
    current: Mutex<Vec<u8>>,
    finished: Mutex<Vec<Vec<u8>>>,
}

impl Uploads {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let store = Arc::new(Store::default());
        let shared = Arc::clone(&store);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let store = Arc::clone(&shared);
                std::thread::spawn(move || serve(&client, &store));
            }
        });
        Self { address, store }
    }

    pub(crate) fn finished(&self) -> Vec<Vec<u8>> {
        self.store.finished.lock().unwrap().clone()
    }
}

fn serve(client: &TcpStream, store: &Store) {
    let mut input = BufReader::new(client);
    while let Some((method, length, start)) = request(&mut input) {
        let mut data = store.current.lock().unwrap();
        if method == "PATCH" && start != Some(data.len() as u64) {
            return;
        }
        let mut left = length;
        while left > 0 {
            let mut buf = [0; 8192];
            let want = buf.len().min(left);
            match input.read(&mut buf[..want]) {
                Ok(n) if n > 0 => {
                    data.extend(&buf[..n]);
                    left -= n;
                }
                _ => return,
            }
        }
        let status = match method.as_str() {
            "PUT" => {
                store.finished.lock().unwrap().push(std::mem::take(&mut data));
                "201 Created"
            }
            "GET" => "204 No Content",
            _ => "202 Accepted",
        };
        let last = data.len().saturating_sub(1);
        let head = format!(
            "HTTP/1.1 {status}\r\nLocation: /v2/a/blobs/uploads/1?state={last}\r\nRange: 0-{last}\r\nContent-Length: 0\r\n\r\n"
        );
        drop(data);
        let mut client = client;
        if client.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

/// Method, length of the body, and the first byte in `Content-Range`.
fn request(input: &mut impl BufRead) -> Option<(String, usize, Option<u64>)> {
    let mut lines = input.lines().map_while(Result::ok);
    let method = lines.next()?.split(' ').next()?.to_string();
    let (mut length, mut start) = (0, None);
    for line in lines.take_while(|l| !l.is_empty()) {
        let (key, value) = line.split_once(": ")?;
        match key.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "content-range" => start = value.split('-').next()?.parse().ok(),
            _ => {}
        }
    }
    Some((method, length, start))
}
