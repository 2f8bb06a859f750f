//! Our server on a free port, for as long as the value lives, and a client that says what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A server of a repository.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    /// The line that it printed.
    pub(crate) url: String,
    child: Child,
}

impl Serving {
    pub(crate) fn start(repo: &Path) -> Self {
        Self::start_with(repo, &[])
    }

    pub(crate) fn start_with(repo: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ostree-rs"))
            .arg("serve")
            .arg(format!("--repo={}", repo.display()))
            .arg("--listen=127.0.0.1:0")
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().to_owned();
        let (_, rest) = url.split_once("://").expect("a URL");
        Self { address: rest.trim_end_matches('/').parse().unwrap(), url, child }
    }

    /// Where C ostree pulls from.
    pub(crate) fn repo_url(&self) -> String {
        format!("{}repo", self.url)
    }

    /// Asks for `path` with some header lines.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        ask(self.address, method, path, headers)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn interrupt(mut self) -> ExitStatus {
        kill_process(self.pid(), Signal::INT).unwrap();
        self.child.wait().unwrap()
    }

    /// The memory that the server has, in KiB, at its highest.
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks a server for `path` with some header lines.
pub(crate) fn ask(address: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    // The older version has no pieces: the content goes to the end of the connection.
    write!(stream, "{method} {path} HTTP/1.0\r\n{lines}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Reply::parse(&bytes)
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("the end of the headers");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
