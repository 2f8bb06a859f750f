//! Servers that want to do harm: they get neither the machine's memory nor the last word of another server.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ostree_rs::format::Summary;

use super::nginx::Nginx;
use super::{Fixture, OURS};
use crate::oracle::run;

/// Answers each request for a file below `root` by what `answer` makes of its path and its bytes.
fn serve(root: PathBuf, answer: fn(&str, Vec<u8>, &mut TcpStream) -> std::io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let root = root.clone();
            std::thread::spawn(move || -> Option<()> {
                let mut lines = BufReader::new(client.try_clone().ok()?).lines();
                let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
                while !lines.next()?.ok()?.is_empty() {}
                match fs::read(root.join(path.trim_start_matches('/'))) {
                    Ok(bytes) => answer(&path, bytes, &mut client).ok(),
                    Err(_) => client
                        .write_all(
                            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                        )
                        .ok(),
                }
            });
        }
    });
    address
}

fn whole(bytes: &[u8], client: &mut TcpStream) -> std::io::Result<()> {
    write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
    client.write_all(bytes)
}

/// A commit of an exbibyte, as the summary says and its server.
#[test]
fn no_room_is_made_for_what_is_only_announced() {
    let fixture = Fixture::new();
    let path = fixture.path("srv/repo/summary");
    let mut summary = Summary::parse(&fs::read(&path).unwrap()).unwrap();
    summary.refs.iter_mut().for_each(|found| found.commit_bytes = 1 << 60);
    fs::write(&path, summary.to_bytes()).unwrap();
    let address = serve(fixture.path("srv"), |path, bytes, client| match path.ends_with(".commit") {
        true => {
            write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 1_u64 << 60)?;
            client.write_all(&bytes)
        }
        false => whole(&bytes, client),
    });
    fixture.repository("ours", "bare-user", &format!("http://{address}/repo"));
    let said = fixture.refused(&["pull", "--repo=ours", "--network-retries=0", "origin", "main"]);
    assert!(said.contains("exceeded maximum size of 134217728 bytes"), "{said}");
}

/// Metadata without an announced length go on and on, in as many answers as are asked for at once.
#[test]
fn endless_metadata_take_the_room_of_one() {
    let fixture = Fixture::new();
    for n in 0..40 {
        let dir = fixture.path(&format!("tree/many/{n}"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("file"), format!("{n}")).unwrap();
    }
    fixture.commit("main", "2024-01-05");
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    let address = serve(fixture.path("srv"), |path, bytes, client| {
        // All but the root's dirtree, which leads to the others.
        if !path.ends_with(".dirtree") || bytes.len() > 100 {
            return whole(&bytes, client);
        }
        client.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
        for _ in 0..60 {
            client.write_all(&[0; 1 << 20])?;
        }
        Ok(())
    });
    fixture.repository("ours", "bare-user", &format!("http://{address}/repo"));
    let pull = [OURS, "pull", "--repo=ours", "--network-retries=0", "origin", "main"];
    let out = Command::new("/usr/bin/env")
        .args(["sh", "-c", "ulimit -v 1500000; exec \"$@\"", "sh"])
        .args(pull)
        .current_dir(fixture.dir.path())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("dirtree"), "{said}");
}

/// Content that is larger than the room which the config leaves, of which the server announces the size or nothing.
#[test]
fn endless_content_leaves_the_room_that_has_to_stay_free() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("large")).unwrap();
    fs::write(fixture.path("large/file"), super::noise(3_000_000)).unwrap();
    fixture.c(&["commit", "--repo=srv/repo", "-b", "large", "--tree=dir=large"]);
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    let silent = serve(fixture.path("srv"), |path, bytes, client| match path.ends_with(".filez") {
        true => endless("", client),
        false => whole(&bytes, client),
    });
    let announced = serve(fixture.path("srv"), |path, bytes, client| match path.ends_with(".filez") {
        true => endless("Content-Length: 1099511627776\r\n", client),
        false => whole(&bytes, client),
    });
    for address in [silent, announced] {
        fixture.repository("ours", "bare-user", &format!("http://{address}/repo"));
        fixture.c(&["config", "--repo=ours", "set", "core.min-free-space-size", "999TB"]);
        let said = fixture.refused(&["pull", "--repo=ours", "--network-retries=0", "origin", "large"]);
        assert!(said.contains("min-free-space-size 1047527424MB would be exceeded"), "{said}");
        let parts = fs::read_dir(fixture.path("ours/tmp")).unwrap().map(|entry| entry.unwrap().path());
        let bytes: u64 =
            parts.filter(|path| path.is_file()).map(|path| fs::metadata(path).unwrap().len()).sum();
        assert!(bytes < 4 << 20, "{bytes}");
    }
}

fn endless(header: &str, client: &mut TcpStream) -> std::io::Result<()> {
    write!(client, "HTTP/1.1 200 OK\r\n{header}Connection: close\r\n\r\n")?;
    (0..64).try_for_each(|_| client.write_all(&[0; 1 << 20]))
}

/// A summary with all of the room for files in memory, and the signature that comes beside it.
#[test]
fn a_summary_of_many_refs_comes_with_its_signature() {
    let fixture = Fixture::new();
    let path = fixture.path("srv/repo/summary");
    let mut summary = Summary::parse(&fs::read(&path).unwrap()).unwrap();
    summary.metadata.insert("example.many", "x".repeat(9 << 20).as_str());
    fs::write(&path, summary.to_bytes()).unwrap();
    fs::write(fixture.path("srv/repo/summary.sig"), b"").unwrap();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "bare-user", &server.url("repo"));
    let mut pull = Command::new(OURS)
        .args(["pull", "--repo=ours", "origin", "main"])
        .current_dir(fixture.dir.path())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let status = loop {
        match pull.try_wait().unwrap() {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(60) => {
                pull.kill().unwrap();
                panic!("it waits for ever");
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    assert!(status.success());
    fixture.fsck("ours");
}

/// What another server says in place of the remote's is not what the remote says afterwards.
#[test]
fn another_server_leaves_nothing_in_the_cache() {
    let fixture = Fixture::new();
    fixture.ours(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Test <test@example.org>"]);
    let sign =
        ["summary", "--repo=srv/repo", "-u", "--gpg-homedir=secret.asc", "--gpg-sign=test@example.org"];
    fixture.ours(&sign);
    run("cp", &["-a", &at(&fixture.path("srv/repo")), &at(&fixture.path("srv/old"))]);
    for name in ["summary", "summary.sig"] {
        run("touch", &["-d", "2035-01-01", &at(&fixture.path("srv/old").join(name))]);
    }
    let old = fixture.c(&["rev-parse", "--repo=srv/repo", "main"]);
    let new = fixture.commit("main", "2024-01-06");
    fixture.ours(&sign);
    let Some(server) = Nginx::start_with(&fixture.path("srv"), "etag off; if_modified_since before;") else {
        return;
    };
    fixture.repository("ours", "bare-user", &server.url("repo"));
    let other = format!("--url={}", server.url("old"));
    for (options, expected) in [(&[&*other][..], &old), (&[], &new)] {
        fixture.ours(&[&["pull", "--repo=ours"][..], options, &["origin", "main"]].concat());
        assert_eq!(&fixture.c(&["rev-parse", "--repo=ours", "origin:main"]), expected);
    }
}

fn at(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A server that compresses what it sends, though nobody asked for that, is named with what it did; one that only says so
/// is read, as C ostree reads it.
#[test]
fn a_server_that_compresses_unasked() {
    fn coded(bytes: &[u8], client: &mut TcpStream) -> std::io::Result<()> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes)?;
        said(&encoder.finish()?, client)
    }
    fn said(bytes: &[u8], client: &mut TcpStream) -> std::io::Result<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n";
        write!(client, "{head}Content-Length: {}\r\n\r\n", bytes.len())?;
        client.write_all(bytes)
    }
    type Answer = fn(&str, Vec<u8>, &mut TcpStream) -> std::io::Result<()>;
    let fixture = Fixture::new();
    let answers: [(&str, Answer); 3] = [
        ("summary", |path, bytes, client| match path.ends_with("summary") {
            true => coded(&bytes, client),
            false => whole(&bytes, client),
        }),
        (".commit", |path, bytes, client| match path.ends_with(".commit") {
            true => coded(&bytes, client),
            false => whole(&bytes, client),
        }),
        (".filez", |path, bytes, client| match path.ends_with(".filez") {
            true => coded(&bytes, client),
            false => whole(&bytes, client),
        }),
    ];
    for (name, answer) in answers {
        let address = serve(fixture.path("srv"), answer);
        fixture.repository("ours", "bare-user", &format!("http://{address}/repo"));
        let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
        let url = said.contains(&format!("http://{address}/repo/")) && said.contains(&format!("{name}: "));
        assert!(url && said.contains("Content-Encoding: gzip"), "{said}");
    }
    let address = serve(fixture.path("srv"), |_, bytes, client| said(&bytes, client));
    fixture.repository("ours", "bare-user", &format!("http://{address}/repo"));
    for program in ["ostree", super::OURS] {
        let pulled = fixture.start(program, &["pull", "--repo=ours", "origin", "main"]);
        assert!(pulled.status.success(), "{program}: {}", super::text(&pulled.stderr));
    }
}
