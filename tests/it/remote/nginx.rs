//! nginx with a directory, on a free port, for as long as the value lives.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::oracle;
use crate::registry::server::Certificates;

/// Where the server says how many are connected.
const CONNECTIONS: &str = "/.connections";

/// A running server.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    dir: TempDir,
    child: Child,
}

impl Nginx {
    /// Serves the files below `root`; `None`, with a line that says so, if there is no nginx.
    pub(crate) fn start(root: &Path) -> Option<Self> {
        Self::start_with(root, "")
    }

    /// Serves the files below `root`, with more lines of configuration for them.
    pub(crate) fn start_with(root: &Path, more: &str) -> Option<Self> {
        Self::start_as("", root, more)
    }

    /// Serves the files below `root` by TLS and HTTP/2, with more lines of configuration for them.
    pub(crate) fn start_tls(root: &Path, files: &Certificates, more: &str) -> Option<Self> {
        let at = |name: &str| files.path(name).display().to_string();
        let own = format!("ssl_certificate {}; ssl_certificate_key {};", at("server.crt"), at("server.key"));
        Self::start_as("ssl http2", root, &format!("{own} {more}"))
    }

    /// Serves the files below `root`, listening in a certain way.
    fn start_as(how: &str, root: &Path, more: &str) -> Option<Self> {
        if !oracle::need("nginx") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = dir.path().display();
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .collect();
        let config = format!(
            "daemon off; {user} pid {at}/pid; error_log {at}/errors; worker_processes 1;\n\
             events {{ worker_connections 512; }}\n\
             http {{\n{temporary}\
             log_format asked '$request_method $uri $status $http_range';\n\
             access_log {at}/asked asked;\n\
             server {{ listen {address} {how}; root {}; location = {CONNECTIONS} {{ stub_status; access_log off; }} {more} }}\n}}\n",
            root.display()
        );
        fs::write(dir.path().join("config"), config).unwrap();
        let child = Command::new("nginx")
            .arg("-e")
            .arg(dir.path().join("errors"))
            .arg("-c")
            .arg(dir.path().join("config"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { address, dir, child };
        for _ in 0..200 {
            if TcpStream::connect(server.address).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("nginx does not start: {:?}", fs::read_to_string(server.dir.path().join("errors")));
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Waits until no client is connected any more: what one asked for that was killed is in the log from then on, which
    /// nginx writes when it sees that the client is gone, perhaps after it has answered others. Not for TLS.
    pub(crate) fn wait_for_clients(&self) {
        let ask = || -> std::io::Result<String> {
            let mut own = TcpStream::connect(self.address)?;
            own.write_all(format!("GET {CONNECTIONS} HTTP/1.0\r\n\r\n").as_bytes())?;
            let mut answer = String::new();
            own.read_to_string(&mut answer).map(|_| answer)
        };
        for _ in 0..1000 {
            if ask().unwrap().contains("\nActive connections: 1 ") {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("clients stay connected: {:?}", ask());
    }

    /// What was asked for since the last time: method, path, status, range.
    pub(crate) fn asked(&self) -> Vec<String> {
        // A line is written once the answer is out: those of all that came before are there when this one's is.
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"LAST / HTTP/1.0\r\n\r\n").unwrap();
        let log = self.dir.path().join("asked");
        for _ in 0..1000 {
            let text = fs::read_to_string(&log).unwrap();
            if text.lines().any(|line| line.starts_with("LAST ")) {
                fs::File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
                return text.lines().filter(|line| !line.starts_with("LAST ")).map(str::to_owned).collect();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("nginx does not answer: {:?}", fs::read_to_string(self.dir.path().join("errors")));
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only if it is asked.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}
