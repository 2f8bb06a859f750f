//! A server before another one: it answers some requests itself, and passes the others on.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query; all of the URL where we are asked as a proxy.
    pub(crate) target: String,
    /// Names in small letters.
    pub(crate) headers: Vec<(String, String)>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
pub(crate) struct Answer {
    /// Status and headers: `200 OK\r\nX-Y: z`.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn new(head: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { head: head.into(), body: body.into() }
    }
}

/// A running server; it ends with the test.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Decide = dyn Fn(&Asked) -> Option<Answer> + Send + Sync;

impl Front {
    /// What `decide` does not answer goes on to `to`.
    pub(crate) fn start(
        to: SocketAddr,
        decide: impl Fn(&Asked) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, decide): (_, Arc<Decide>) = (Arc::default(), Arc::new(decide));
        let log: Arc<Mutex<Vec<Asked>>> = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, decide) = (Arc::clone(&log), Arc::clone(&decide));
                // A client that goes away is no failure of the test.
                std::thread::spawn(move || serve(&client, to, &*decide, &log).ok());
            }
        });
        Self { address, asked }
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(client: &TcpStream, to: SocketAddr, decide: &Decide, log: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let mut input = BufReader::new(client);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines[0].split(' ').map(str::to_owned);
    let (method, target) = (first.next().unwrap(), first.next().unwrap());
    let pair = |line: &String| line.split_once(": ").map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()));
    let asked = Asked { method, target, headers: lines[1..].iter().filter_map(pair).collect() };
    log.lock().unwrap().push(asked.clone());
    let mut client = client;
    if asked.method == "CONNECT" {
        let server = TcpStream::connect(to)?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        return tunnel(client, &server);
    }
    let mut body = vec![0; asked.header("content-length").map_or(0, |l| l.parse().unwrap())];
    input.read_exact(&mut body)?;
    if let Some(answer) = decide(&asked) {
        let length = if asked.method == "HEAD" { 0 } else { answer.body.len() };
        write!(client, "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n", answer.head)?;
        return client.write_all(&answer.body[..length]);
    }
    let mut server = TcpStream::connect(to)?;
    // As a proxy we were asked for all of a URL.
    let path = match asked.target.strip_prefix("http://") {
        Some(rest) => &rest[rest.find('/').unwrap_or(0)..],
        None => &asked.target,
    };
    write!(server, "{} {path} HTTP/1.1\r\nConnection: close\r\n", asked.method)?;
    for (key, value) in asked.headers.iter().filter(|(key, _)| !key.contains("connection")) {
        write!(server, "{key}: {value}\r\n")?;
    }
    server.write_all(b"\r\n")?;
    server.write_all(&body)?;
    io::copy(&mut server, &mut client).map(drop)
}

fn tunnel(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut client, mut server) = (client, server);
    let done = io::copy(&mut server, &mut client).map(drop);
    let _ = client.shutdown(std::net::Shutdown::Both);
    done
}
