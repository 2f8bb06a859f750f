//! Many clients, slow ones, and those that say nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Serving;
use super::inside::Inside;
use crate::oracle::run;

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A repository with a file of some megabytes that do not compress well; gives the path of its object.
fn large(dir: &Path) -> String {
    let (tree, repo) = (dir.join("tree"), dir.join("repo"));
    std::fs::create_dir(&tree).unwrap();
    let content: Vec<u8> = (0..1_000_000_u64)
        .flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 13).to_le_bytes())
        .collect();
    std::fs::write(tree.join("large"), content).unwrap();
    let arg = format!("--repo={}", repo.display());
    run(OURS, &[&arg, "init", "--mode=bare-user"]);
    run(OURS, &[&arg, "commit", "-b", "main", &format!("--tree=dir={}", tree.display())]);
    let list = String::from_utf8(run(OURS, &[&arg, "ls", "-C", "main", "/large"])).unwrap();
    let id = list.split_whitespace().find(|word| word.len() == 64).unwrap();
    format!("/repo/objects/{}/{}.filez", &id[..2], &id[2..])
}

/// Clients that ask for something large and read nothing, and others that never finish their question, do not keep
/// the next one from its answer.
#[test]
fn slow_clients_hold_up_nobody() {
    let tmp = tempfile::tempdir().unwrap();
    let path = large(tmp.path());
    let serving = Serving::start(&tmp.path().join("repo"));
    let open = |text: &str| {
        let mut stream = TcpStream::connect(serving.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let mut lazy: Vec<_> =
        (0..200).map(|_| open(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))).collect();
    let silent: Vec<_> = (0..200).map(|_| open("GET /repo/config HTTP/1.1\r\nHost")).collect();
    let whole = serving.get(&path);
    assert_eq!(whole.status, 200);
    assert!(whole.body.len() > 1_000_000);
    assert_eq!(serving.get("/repo/config").status, 200);
    // A lazy one gets everything when it wakes up.
    let mut first = lazy.remove(0);
    first.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut bytes = vec![0; whole.body.len()];
    first.read_exact(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
    drop((lazy, silent));
}

/// Who never finishes a question, says nothing more after an answer, or takes nothing of what is sent, is sent away.
#[test]
fn idle_clients_are_sent_away() {
    let tmp = tempfile::tempdir().unwrap();
    let path = large(tmp.path());
    let server = Inside::start(&tmp.path().join("repo"), |limits| {
        limits.request_time = Duration::from_millis(300);
        limits.pace_time = Duration::from_millis(300);
    });
    let questions = [
        "GET /repo/config HTTP/1.1\r\nHo".to_owned(),
        "GET /repo/config HTTP/1.1\r\nHost: x\r\n\r\n".into(),
        String::new(),
    ];
    for question in questions {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(question.as_bytes()).unwrap();
        // It ends, which is what is asked here.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    let whole = server.get(&path).body.len();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    thread::sleep(Duration::from_secs(2));
    let mut got = Vec::new();
    // Cut off or reset, but not all of it.
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() < whole, "{} of {whole} bytes", got.len());
}

/// Where every connection that there may be is held by somebody who reads nothing, the next one is let in all the same.
#[test]
fn slow_clients_make_room() {
    let tmp = tempfile::tempdir().unwrap();
    let path = large(tmp.path());
    let server = Inside::start(&tmp.path().join("repo"), |limits| {
        limits.connections = 8;
        limits.pace_time = Duration::from_secs(3600);
        limits.request_time = Duration::from_secs(3600);
    });
    let lazy: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            // It is being answered.
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = server.address;
    thread::spawn(move || sender.send(super::server::ask(address, "GET", "/repo/config", &[]).status));
    assert_eq!(receiver.recv_timeout(Duration::from_secs(120)).unwrap(), 200);
    drop(lazy);
}

/// Many clients at the same time get the same, right, with bounded memory.
#[test]
fn many_clients() {
    let tmp = tempfile::tempdir().unwrap();
    let path = large(tmp.path());
    let serving = Serving::start(&tmp.path().join("repo"));
    let expected = serving.get(&path).body;
    thread::scope(|scope| {
        let all: Vec<_> = (0..200).map(|_| scope.spawn(|| serving.get(&path))).collect();
        for one in all {
            let reply = one.join().unwrap();
            assert!(reply.status == 200 && reply.body == expected);
        }
    });
    assert!(serving.peak_kib() < 256 * 1024, "{} KiB", serving.peak_kib());
}

/// Many clients that ask for different large things, where there is room for few: they take turns, and get what they
/// would get otherwise.
#[test]
fn where_there_is_little_room_clients_take_turns() {
    let tmp = tempfile::tempdir().unwrap();
    let (tree, repo) = (tmp.path().join("tree"), tmp.path().join("repo"));
    std::fs::create_dir(&tree).unwrap();
    for number in 0..40_u64 {
        let content: Vec<u8> = (0..20_000 + number).flat_map(|n| (n * n * number).to_le_bytes()).collect();
        std::fs::write(tree.join(number.to_string()), content).unwrap();
    }
    let arg = format!("--repo={}", repo.display());
    run(OURS, &[&arg, "init", "--mode=bare-user"]);
    run(OURS, &[&arg, "commit", "-b", "main", &format!("--tree=dir={}", tree.display())]);
    let list = String::from_utf8(run(OURS, &[&arg, "ls", "-C", "main"])).unwrap();
    let files = list.lines().filter(|line| line.starts_with('-'));
    let ids = files.map(|line| line.split_whitespace().find(|word| word.len() == 64).unwrap());
    let paths: Vec<_> = ids.map(|id| format!("/repo/objects/{}/{}.filez", &id[..2], &id[2..])).collect();
    assert_eq!(paths.len(), 40);
    let (roomy, narrow) = (Serving::start(&repo), Inside::start(&repo, |limits| limits.shelf_files = 3));
    thread::scope(|scope| {
        let all: Vec<_> = paths.iter().map(|path| scope.spawn(|| narrow.get(path))).collect();
        for (one, path) in all.into_iter().zip(&paths) {
            let reply = one.join().unwrap();
            assert!(reply.status == 200 && reply.body == roomy.get(path).body, "{path}: {}", reply.status);
        }
    });
}

/// Requests one after another on one connection, and the end of all of it while somebody is connected.
#[test]
fn connections_are_used_again_and_end() {
    let tmp = tempfile::tempdir().unwrap();
    large(tmp.path());
    let serving = Serving::start(&tmp.path().join("repo"));
    let mut stream = TcpStream::connect(serving.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    for _ in 0..3 {
        write!(stream, "HEAD /repo/config HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    }
    assert!(serving.interrupt().success());
    // The connection was closed in order.
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}
