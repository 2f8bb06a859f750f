//! A server with a thousand clients: right answers, first bytes, memory; on a generated tree or, with
//! `OSTREE_RS_BENCH_TREE=DIR`, on any directory. `OSTREE_RS_BENCH_PROGRAM=FILE` is another program than the one that was
//! built with this. Scratch space is `TMPDIR`. Everything stays on this machine, and ends by itself.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ostree_rs::format::Checksum;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

const CLIENTS: usize = 1000;
/// Objects that each client asks for, one after the other on its connection.
const OBJECTS: usize = 30;
/// Bytes of the layer that each client asks for.
const PART_BYTES: usize = 256 * 1024;
/// Requests whose first byte is waited for.
const ROUNDS: usize = 200;

fn main() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let dir = TempDir::new().unwrap();
    let repo = repository(dir.path());

    let server = Server::start(&repo);
    let begun = Instant::now();
    let manifest = server.get("/v2/main/manifests/latest");
    println!("image described for the first time      {:>9.1?}", begun.elapsed());
    let text = String::from_utf8(manifest).unwrap();
    let layer = text.split("\"layers\"").nth(1).unwrap().split("\"sha256:").nth(1).unwrap()[..64].to_owned();
    let layer_path = format!("/v2/main/blobs/sha256:{layer}");
    let whole = server.get(&layer_path);
    assert_eq!(Checksum::of(&whole).to_string(), layer, "the layer has its digest");
    let objects = objects(&repo);
    let expected: Vec<Vec<u8>> = objects.iter().map(|path| server.get(path)).collect();
    first_bytes("first byte of a layer", &server, &layer_path);
    first_bytes("first byte of an object", &server, &objects[0]);
    println!("memory so far                           {:>6} MiB", server.peak_kib() / 1024);

    many(&server, &objects, &expected, &layer_path, &whole);
    println!("memory with {CLIENTS} clients                {:>6} MiB", server.peak_kib() / 1024);

    let ask = format!("GET {layer_path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let lazy: Vec<TcpStream> = (0..CLIENTS).map(|_| server.send(&ask)).collect();
    first_bytes("… of a layer, beside 1000 that do not read", &server, &layer_path);
    first_bytes("… of an object, beside 1000 that do not read", &server, &objects[0]);
    println!("memory with {CLIENTS} that do not read       {:>6} MiB", server.peak_kib() / 1024);
    drop(lazy);
}

/// A repository with one commit of the tree.
fn repository(dir: &Path) -> PathBuf {
    let (tree, repo) = (dir.join("tree"), dir.join("repo"));
    let tree = match std::env::var_os("OSTREE_RS_BENCH_TREE") {
        Some(tree) => PathBuf::from(tree),
        None => {
            generate(&tree);
            tree
        }
    };
    let arg = format!("--repo={}", repo.display());
    let run = |args: &[&str]| {
        assert!(Command::new(program()).args(args).output().unwrap().status.success(), "{args:?}")
    };
    run(&["init", &arg, "--mode=bare-user"]);
    run(&["commit", &arg, "-b", "main", &format!("--tree=dir={}", tree.display())]);
    repo
}

/// 2,000 files of up to 200 kB, half of whose bytes can be compressed.
fn generate(tree: &Path) {
    let mut state = 1_u64;
    for number in 0..2000_usize {
        let dir = tree.join(format!("usr/{}", number % 50));
        fs::create_dir_all(&dir).unwrap();
        let len = 200_000 / (1 + number % 40);
        let bytes = (0..len).map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if at % 2 == 0 { b'x' } else { (state >> 56) as u8 }
        });
        fs::write(dir.join(number.to_string()), bytes.collect::<Vec<_>>()).unwrap();
    }
}

fn program() -> PathBuf {
    std::env::var_os("OSTREE_RS_BENCH_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_ostree-rs").into(), PathBuf::from)
}

/// Paths of content objects.
fn objects(repo: &Path) -> Vec<String> {
    let arg = format!("--repo={}", repo.display());
    let list = Command::new(program()).args(["ls", &arg, "-R", "-C", "main"]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    let files = list.lines().filter(|line| line.starts_with('-'));
    let ids = files.filter_map(|line| line.split_whitespace().find(|word| word.len() == 64));
    ids.take(10 * OBJECTS).map(|id| format!("/repo/objects/{}/{}.filez", &id[..2], &id[2..])).collect()
}

/// Clients that are all connected at the same time, each of which asks for other objects and another part of the layer.
fn many(server: &Server, objects: &[String], expected: &[Vec<u8>], layer_path: &str, layer: &[u8]) {
    let all_here = Barrier::new(CLIENTS + 1);
    let client = |number: usize| {
        let mut stream = BufReader::new(server.connect());
        all_here.wait();
        for at in (0..OBJECTS).map(|n| (number + 7 * n) % objects.len()) {
            let line = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", objects[at]);
            stream.get_mut().write_all(line.as_bytes()).unwrap();
            assert!(answer(&mut stream) == expected[at], "{}", objects[at]);
        }
        let from = number * 4096 % layer.len().saturating_sub(PART_BYTES).max(1);
        let to = (from + PART_BYTES).min(layer.len());
        let range = format!("Range: bytes={from}-{}", to - 1);
        let line = format!("GET {layer_path} HTTP/1.1\r\nHost: x\r\n{range}\r\n\r\n");
        stream.get_mut().write_all(line.as_bytes()).unwrap();
        let part = answer(&mut stream);
        assert!(part == layer[from..to], "bytes {from} to {to} of the layer");
        part.len() + (0..OBJECTS).map(|n| expected[(number + 7 * n) % objects.len()].len()).sum::<usize>()
    };
    let client = &client;
    thread::scope(|scope| {
        let start = |number| {
            let small = thread::Builder::new().stack_size(128 * 1024);
            small.spawn_scoped(scope, move || client(number)).unwrap()
        };
        let clients: Vec<_> = (0..CLIENTS).map(start).collect();
        all_here.wait();
        let begun = Instant::now();
        let bytes: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
        let (took, requests) = (begun.elapsed(), CLIENTS * (OBJECTS + 1));
        println!("{CLIENTS} clients, {requests} right answers      {took:>9.1?}, {} MB", bytes / 1_000_000);
    });
}

/// How long the first byte takes on a new connection: the median and the longest of many.
fn first_bytes(what: &str, server: &Server, path: &str) {
    let mut all: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            let mut stream = server.send(&format!("GET {path} HTTP/1.0\r\n\r\n"));
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            stream.read_exact(&mut byte).unwrap();
            begun.elapsed()
        })
        .collect();
    all.sort();
    println!("{what:<45} {:>8.1?} median, {:>8.1?} longest", all[ROUNDS / 2], all[ROUNDS - 1]);
}

/// The content of the next answer on a connection.
fn answer(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let (mut line, mut len) = (String::new(), None);
    loop {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            len = value.trim().parse::<usize>().ok();
        }
    }
    let mut content = vec![0; len.unwrap()];
    stream.read_exact(&mut content).unwrap();
    content
}

/// A server on a free port, for as long as the value lives.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(repo: &Path) -> Self {
        let arg = format!("--repo={}", repo.display());
        let mut command = Command::new(program());
        let mut child =
            command.args(["serve", &arg, "--listen=127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    }

    /// All of what has this path.
    fn get(&self, path: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.send(&format!("GET {path} HTTP/1.0\r\n\r\n")).read_to_end(&mut bytes).unwrap();
        assert!(bytes.starts_with(b"HTTP/1.0 200") || bytes.starts_with(b"HTTP/1.1 200"), "{path}");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        bytes.split_off(end + 4)
    }

    /// The memory that the server had at its highest, in KiB.
    fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
