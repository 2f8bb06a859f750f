//! `container pull` object by object: which bytes of a zstd:chunked layer are asked of a registry.

mod bases;
mod files;
mod killed;
mod lies;

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::front::{Answer, Front};
use super::program::Home;
use super::server::{Login, Server, Speech};
use super::{noise, pull_blob, registry};
use crate::oracle;

/// Whether a file has xattrs, which not every mode can keep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Xattrs {
    None,
    Some,
}

/// A root file system of which the second version has new, changed and removed files.
fn write_tree(home: &Home, version: u8, xattrs: Xattrs) {
    let _ = fs::remove_dir_all(home.path("tree"));
    for dir in ["usr/bin", "usr/lib/deep/er", "usr/share/doc", "etc"] {
        fs::create_dir_all(home.path("tree").join(dir)).unwrap();
    }
    let file = |name: &str, size: usize, salt: u8| {
        let mut content = noise(size);
        content[0] = salt;
        content[size / 2] = name.len() as u8;
        fs::write(home.path("tree").join(name), content).unwrap();
    };
    for n in 0..60 {
        file(&format!("usr/lib/lib{n}"), 20_000 + n, n as u8);
    }
    file("usr/bin/large", 3_000_000, 1);
    fs::write(home.path("tree/usr/share/empty"), "").unwrap();
    fs::write(home.path("tree/etc/version"), [b'0' + version]).unwrap();
    symlink("large", home.path("tree/usr/bin/link")).unwrap();
    if version == 2 {
        fs::remove_file(home.path("tree/usr/lib/lib7")).unwrap();
        file("usr/bin/new", 1_200_000, 2);
        for n in 0..60 {
            file(&format!("usr/share/doc/new{n}"), 40_000, n);
        }
        file("usr/lib/lib9", 20_009, 99);
        file("usr/lib/deep/er/new", 70_000, 3);
        fs::write(home.path("tree/usr/share/doc/empty"), "").unwrap();
        symlink("new", home.path("tree/usr/bin/other-link")).unwrap();
    }
    if xattrs == Xattrs::Some {
        let (file, value) = (home.path("tree/etc/version"), version.to_string());
        oracle::run("setfattr", &["-n", "user.a", "-v", &value, file.to_str().unwrap()]);
    }
}

/// The bytes of what the second version has and the first has not; noise cannot be compressed.
const NEW_BYTES: u64 = 1_200_000 + 60 * 40_000 + 20_009 + 70_000;

struct Fixture {
    home: Home,
    server: Server,
}

/// What a pull did.
struct Pulled {
    json: Value,
    /// The bytes of each request for a layer; none for all of it.
    asked: Vec<Option<u64>>,
}

impl Pulled {
    /// How the last layer came, which is the only one or has most of the content, and why so.
    fn way(&self) -> (&str, &str) {
        let layer = self.json["layers"].as_array().unwrap().last().unwrap();
        (layer["way"].as_str().unwrap(), layer["why"].as_str().unwrap())
    }

    /// What was fetched of layers in this way.
    fn bytes(&self, way: &str) -> u64 {
        let layers = self.json["layers"].as_array().unwrap().iter();
        layers.filter(|layer| layer["way"] == way).map(|layer| layer["bytes_fetched"].as_u64().unwrap()).sum()
    }
}

impl Fixture {
    /// Both versions in a registry, as `app:1` and `app:2`.
    fn new(xattrs: Xattrs, more: &[&str]) -> Option<Self> {
        let server = Server::start(&Login::Anybody, &Speech::Plain)?;
        let fixture = Self { home: Home::new(), server };
        for version in 1..=2 {
            write_tree(&fixture.home, version, xattrs);
            fixture.home.ok(&["--repo=repo", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"]);
            let image = format!("{}/app:{version}", fixture.server.address);
            let options = ["--tls-verify=false", "--compression=zstd:chunked"];
            fixture.home.push(&image, &[&options[..], more].concat());
        }
        Some(fixture)
    }

    fn init(&self, mode: &str) {
        let _ = fs::remove_dir_all(self.home.path("new"));
        self.home.ok(&["--repo=new", "init", &format!("--mode={mode}")]);
    }

    fn copy(&self, from: &str, to: &str) {
        let _ = fs::remove_dir_all(self.home.path(to));
        let [from, to] = [from, to].map(|name| self.home.path(name));
        oracle::run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
    }

    fn args(front: &Front, version: u8) -> [String; 6] {
        let image = format!("ostree-unverified-registry:{}/app:{version}", front.address);
        let args = ["--repo=new", "container", "pull", "--tls-verify=false", "--json", &image];
        args.map(str::to_owned)
    }

    fn pull(&self, front: &Front, version: u8) -> Pulled {
        let before = front.asked().len();
        let args = Self::args(front, version);
        let args: Vec<_> = args.iter().map(String::as_str).chain(["--ref=got"]).collect();
        let json: Value = serde_json::from_str(&self.home.ok(&args)).unwrap();
        let layers: Vec<_> = json["layers"].as_array().unwrap().iter().map(|l| l["digest"].clone()).collect();
        let of_layer = |target: &str| {
            let digest = target.rsplit('/').next().unwrap();
            target.contains("/blobs/") && layers.iter().any(|layer| layer == digest)
        };
        let of_part = |part: &str| {
            let (first, last) = part.split_once('-').unwrap();
            last.parse::<u64>().unwrap() + 1 - first.parse::<u64>().unwrap()
        };
        let length = |range: &str| range.strip_prefix("bytes=").unwrap().split(',').map(of_part).sum();
        let asked = front.asked().split_off(before).into_iter().filter(|asked| of_layer(&asked.target));
        let asked = asked.map(|asked| asked.header("range").map(length)).collect();
        Pulled { json, asked }
    }

    /// The commit is the one that was built, and both programs find all of it.
    fn check(&self) {
        let commit = self.home.ok(&["--repo=repo", "rev-parse", "main"]);
        assert_eq!(self.home.ok(&["--repo=new", "rev-parse", "got"]), commit);
        self.home.ok(&["--repo=new", "fsck"]);
        if oracle::need("ostree") {
            oracle::run("ostree", &["fsck", "-q", &format!("--repo={}", self.home.path("new").display())]);
        }
    }
}

#[test]
fn only_objects_that_are_missing_are_asked_for() {
    let some = ["bare-user", "archive", "bare"];
    for (xattrs, modes) in [(Xattrs::Some, &some[..]), (Xattrs::None, &["bare-user-only"])] {
        for more in [&[][..], &["--max-layers=4"]] {
            let Some(fixture) = Fixture::new(xattrs, more) else { return };
            upgrade(&fixture, modes);
        }
    }
}

/// The index of objects knows sets of xattrs that each file has a copy of.
#[test]
fn copies_of_xattrs_are_asked_for_once() {
    let Some(fixture) = Fixture::new(Xattrs::Some, &["--xattrs=copied"]) else { return };
    assert!(fixture.manifest("2")["layers"][0]["annotations"][lies::OBJECTS].is_string());
    upgrade(&fixture, &["bare-user"]);
}

fn upgrade(fixture: &Fixture, modes: &[&str]) {
    let front = Front::start(fixture.server.address, |_| None);
    for mode in modes {
        fixture.init(mode);
        let first = fixture.pull(&front, 1);
        assert_eq!(first.way(), ("whole", "nothing is here"), "{mode}");
        assert!(first.asked.iter().all(Option::is_none));

        let second = fixture.pull(&front, 2);
        assert_eq!(second.way().0, "objects", "{mode} {}", second.json);
        let asked: u64 = second.asked.iter().flatten().sum();
        assert_eq!(asked, second.bytes("objects"));
        let asked = asked + second.bytes("whole");
        assert!((NEW_BYTES..NEW_BYTES + 80_000).contains(&asked), "{mode}: {asked} bytes");
        assert_eq!(second.json["bytes_fetched"], asked);
        fixture.check();

        // There is nothing to ask for, not even the table.
        let third = fixture.pull(&front, 2);
        assert_eq!((third.way().0, third.asked.len()), ("reused", 0));
    }
}

/// The image store keeps the same refs and commits, whatever was fetched.
#[test]
fn layers_are_kept_as_if_they_had_been_fetched() {
    for more in [&[][..], &["--max-layers=4"]] {
        let Some(fixture) = Fixture::new(Xattrs::Some, more) else { return };
        let front = Front::start(fixture.server.address, |_| None);
        let pull = |version: u8| {
            let image = format!("ostree-unverified-registry:{}/app:{version}", front.address);
            let args = ["container", "image", "pull", "--tls-verify=false", "--json", "new", &image];
            let json: Value = serde_json::from_str(&fixture.home.ok(&args)).unwrap();
            let refs = fixture.home.ok(&["--repo=new", "refs", "--list", "--revision"]);
            fixture.home.ok(&["--repo=new", "fsck"]);
            (json["layers"].as_array().unwrap().last().unwrap()["way"].clone(), refs)
        };
        fixture.init("bare-user");
        assert_eq!(pull(1).0, "whole");
        let (way, refs) = pull(2);
        assert_eq!(way, "objects");
        fixture.init("bare-user");
        let (way, from_whole) = pull(2);
        assert_eq!(way, "whole");
        let second = |refs: &str| -> Vec<String> {
            refs.lines().filter(|line| !line.contains("_1 ")).map(str::to_owned).collect()
        };
        let (kept, from_whole) = (second(&refs), second(&from_whole));
        assert!(from_whole.len() > 1 && from_whole.iter().all(|line| kept.contains(line)), "{refs}");
    }
}

#[test]
fn a_server_without_parts_gives_the_whole_layer() {
    let Some(fixture) = Fixture::new(Xattrs::Some, &[]) else { return };
    let whole = Front::start(fixture.server.address, |_| None);
    // It does not see the header.
    let to = fixture.server.address;
    let front = Front::start(whole.address, move |asked| {
        asked.header("range").is_some().then(|| {
            let body = blob(to, &asked.target);
            Answer::new("200 OK", body)
        })
    });
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    let second = fixture.pull(&front, 2);
    assert_eq!(second.way(), ("whole", "no parts of it are to be had"));
    assert_eq!(second.asked.iter().filter(|bytes| bytes.is_none()).count(), 1);
    fixture.check();
}

/// Many servers know no requests for several parts, and say so in different ways.
#[test]
fn a_server_that_gives_one_part_at_a_time() {
    let Some(fixture) = Fixture::new(Xattrs::Some, &[]) else { return };
    let to = fixture.server.address;
    let ways: [fn(&[u8]) -> Answer; 4] = [
        |blob| Answer::new("200 OK", blob),
        |_| Answer::new("416 Range Not Satisfiable", "no"),
        |blob| Answer::new(&format!("206 Partial\r\nContent-Range: bytes 0-0/{}", blob.len()), &blob[..1]),
        |_| Answer::new("206 Partial\r\nContent-Type: multipart/byteranges; boundary=b", "--b--"),
    ];
    for way in ways {
        let front = Front::start(to, move |asked| {
            let several = asked.header("range").is_some_and(|range| range.contains(','));
            several.then(|| way(&blob(to, &asked.target)))
        });
        fixture.init("bare-user");
        fixture.pull(&front, 1);
        let second = fixture.pull(&front, 2);
        assert_eq!(second.way().0, "objects", "{}", second.json);
        fixture.check();
        let asked = front.asked();
        let ranges = asked.iter().filter_map(|asked| asked.header("range"));
        let (several, single): (Vec<_>, Vec<_>) = ranges.partition(|range| range.contains(','));
        assert!(several.len() == 1 && single.len() > 3, "{several:?} {single:?}");
    }
}

/// A blob as the registry has it.
fn blob(server: std::net::SocketAddr, target: &str) -> Vec<u8> {
    let digest = target.rsplit_once("sha256:").unwrap().1.parse().unwrap();
    pull_blob(&registry(&format!("http://{server}"), "app", None), &digest, u64::MAX).unwrap()
}
