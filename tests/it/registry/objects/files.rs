//! Layers of files that tar and skopeo made, zstd:chunked: of which bytes are asked where most files are here.

use std::fs;
use std::path::Path;
use std::process::Command;

use ostree_rs::format::Checksum;
use serde_json::{Value, json};

use super::lies::Table;
use super::{Fixture, NEW_BYTES, Xattrs, noise, write_tree};
use crate::oracle::{self, need, run};
use crate::registry::MANIFEST;
use crate::registry::front::{Answer, Front};
use crate::registry::program::Home;
use crate::registry::server::{Login, Server, Speech};

/// An image of one layer, as a directory.
fn write_image(dir: &Path, layer: &[u8]) {
    fs::create_dir(dir).unwrap();
    let blob = |bytes: &[u8], media_type: &str| {
        let digest = Checksum::of(bytes);
        fs::write(dir.join(digest.to_string()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len()})
    };
    let layer = blob(layer, "application/vnd.oci.image.layer.v1.tar");
    let diffs = json!({"type": "layers", "diff_ids": [layer["digest"]]});
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": diffs}).to_string();
    let config = blob(config.as_bytes(), "application/vnd.oci.image.config.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]});
    fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.join("version"), "Directory Transport Version: 1.1\n").unwrap();
}

/// Has skopeo compress an image. In this way it does so only from directory to directory, and now and then it waits for
/// itself, or says that a write was short.
fn chunk(from: &str, to: &str) {
    let copy = ["10", "skopeo", "--insecure-policy", "copy", "-q"];
    let compress = ["--dest-compress", "--dest-compress-format", "zstd:chunked"];
    let (from, to) = (format!("dir:{from}"), format!("dir:{to}"));
    let done = || {
        let mut command = Command::new("timeout");
        command.args(copy).args(compress).args([&from, &to]).status().unwrap().success()
    };
    assert!((0..8).any(|_| done()), "skopeo makes nothing of {from}");
}

impl Fixture {
    /// Both versions as plain images of one layer, as `app:1` and `app:2`. Only what is new has another time.
    pub(super) fn of_files() -> Option<Self> {
        let server = Server::start(&Login::Anybody, &Speech::Plain)?;
        if !need("skopeo") {
            return None;
        }
        let fixture = Self { home: Home::new(), server };
        let at = |name: &str| fixture.home.path(name).display().to_string();
        for version in 1..=2 {
            write_tree(&fixture.home, version, Xattrs::None);
            if version == 2 {
                // It moves, and loses nothing.
                fs::rename(fixture.home.path("tree/usr/lib"), fixture.home.path("tree/usr/lib64")).unwrap();
            }
            // A kernel, which gets another place and name in the commit.
            fs::create_dir_all(fixture.home.path("tree/usr/lib/modules/6.1.0")).unwrap();
            fs::create_dir_all(fixture.home.path("tree/boot")).unwrap();
            fs::write(fixture.home.path("tree/boot/vmlinuz-6.1.0"), noise(200_000)).unwrap();
            run("find", &[&at("tree"), "-exec", "touch", "-h", "-d", "@1700000000", "{}", "+"]);
            // skopeo loses what is behind the end of an archive.
            let exact = ["--blocking-factor=1", "--sort=name", "--owner=0", "--group=0"];
            let layer = run("tar", &[&exact[..], &["-C", &at("tree"), "-c", "boot", "usr"]].concat());
            let (plain, chunked) = (format!("plain{version}"), format!("chunked{version}"));
            write_image(&fixture.home.path(&plain), &layer);
            chunk(&at(&plain), &at(&chunked));
            let chunked = format!("dir:{chunked}");
            let to = format!("docker://{}/app:{version}", fixture.server.address);
            fixture.home.ok(&["container", "copy", "--tls-verify=false", &chunked, &to]);
        }
        Some(fixture)
    }

    /// What a pull makes of the second version that begins with nothing.
    fn pulled_as_a_whole(&self, front: &Front, mode: &str) -> String {
        self.init(mode);
        assert_eq!(self.pull(front, 2).way(), ("whole", "nothing is here"));
        self.files()
    }

    /// Every file with its checksum.
    fn files(&self) -> String {
        self.home.ok(&["--repo=new", "ls", "-R", "-C", "got", "/"])
    }

    fn is(&self, files: &str, what: &str) {
        assert_eq!(self.files(), files, "{what}");
        oracle::run("ostree", &["fsck", "-q", &format!("--repo={}", self.home.path("new").display())]);
    }
}

#[test]
fn files_that_are_here_are_not_asked_for() {
    if !need("ostree") {
        return;
    }
    let Some(fixture) = Fixture::of_files() else { return };
    let front = Front::start(fixture.server.address, |_| None);
    for mode in ["bare-user", "archive", "bare-user-only"] {
        let whole = fixture.pulled_as_a_whole(&front, mode);
        let commit = || fixture.home.ok(&["--repo=new", "rev-parse", "got"]);
        let as_a_whole = commit();
        fixture.init(mode);
        let first = fixture.pull(&front, 1);
        assert_eq!(first.way(), ("whole", "nothing is here"));
        let second = fixture.pull(&front, 2);
        assert_eq!(second.way(), ("objects", "less is missing than is here"), "{}", second.json);
        let asked: u64 = second.asked.iter().flatten().sum();
        assert_eq!((asked, &second.json["bytes_fetched"]), (second.bytes("objects"), &json!(asked)));
        assert!((NEW_BYTES..NEW_BYTES + 80_000).contains(&asked), "{mode}: {asked} bytes");
        fixture.is(&whole, mode);
        assert!(whole.contains("/usr/lib/modules/6.1.0/vmlinuz"), "{whole}");
        assert_eq!(commit(), as_a_whole);
        // Nothing but headers, and small files beside them.
        let third = fixture.pull(&front, 2);
        assert!(third.way().0 == "objects" && third.bytes("objects") < 40_000, "{}", third.json);
    }
    // In the image store, too: layers get the commits that they get when they are fetched.
    let store = |version: u8| {
        let image = format!("ostree-unverified-registry:{}/app:{version}", front.address);
        let args = ["container", "image", "pull", "--tls-verify=false", "--json", "new", &image];
        serde_json::from_str::<Value>(&fixture.home.ok(&args)).unwrap()["layers"][0]["way"].clone()
    };
    let refs = || fixture.home.ok(&["--repo=new", "refs", "--list", "--revision"]);
    fixture.init("bare-user");
    assert_eq!((store(1), store(2)), (json!("whole"), json!("objects")));
    let kept = refs();
    fixture.init("bare-user");
    assert_eq!(store(2), json!("whole"));
    assert!(refs().lines().all(|line| kept.contains(line)), "{kept}\n{}", refs());
}

type Lie = (&'static str, fn(&mut [Value]));

/// The rows of files with their place; the first version has the first of them.
fn files(rows: &mut [Value]) -> Vec<&mut Value> {
    rows.iter_mut().filter(|row| row["type"] == "reg" && row["size"].as_u64() > Some(16_384)).collect()
}

/// The digest of one of the files that are here, and its size.
fn of_here(rows: &[Value]) -> Value {
    rows.iter().find(|row| row["name"].as_str().unwrap().ends_with("/lib1")).unwrap().clone()
}

/// What a table of files may say that is not so.
const LIES: &[Lie] = &[
    ("a file is another one, which is here", |rows| {
        let here = of_here(rows);
        let new = files(rows).into_iter().find(|row| row["name"].as_str().unwrap().contains("new")).unwrap();
        for key in ["name", "size", "digest"] {
            new[key] = here[key].clone();
        }
    }),
    ("a file that is here lies elsewhere", |rows| {
        let mut files = files(rows);
        let here = files.iter_mut().find(|row| row["name"].as_str().unwrap().ends_with("/lib1")).unwrap();
        here["offset"] = json!(here["offset"].as_u64().unwrap() + 1);
    }),
    ("a file ends behind the table", |rows| files(rows)[0]["endOffset"] = json!(u64::MAX)),
    ("a file ends before it begins", |rows| files(rows)[0]["endOffset"] = json!(1)),
    ("two files at one place", |rows| {
        let mut files = files(rows);
        for key in ["offset", "endOffset"] {
            files[1][key] = files[0][key].clone();
        }
    }),
    ("no digest", |rows| files(rows)[0]["digest"] = json!("sha256:zz")),
];

#[test]
fn a_wrong_table_of_files_does_no_harm() {
    if !need("ostree") {
        return;
    }
    let Some(fixture) = Fixture::of_files() else { return };
    let front = Front::start(fixture.server.address, |_| None);
    let whole = fixture.pulled_as_a_whole(&front, "bare-user");
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    for (what, lie) in LIES {
        fixture.push_lie("3", &|table: &mut Table, _| lie(&mut table.entries));
        fixture.copy("first", "new");
        assert_eq!(fixture.pull(&front, 3).way(), ("whole", "its table of contents is wrong"), "{what}");
        fixture.is(&whole, what);
    }
    // Another size or digest only makes that it is fetched.
    fixture.push_lie("3", &|table: &mut Table, _| {
        let mut files = files(&mut table.entries);
        let here = files.iter_mut().find(|row| row["name"].as_str().unwrap().ends_with("/lib1")).unwrap();
        here["size"] = json!(u64::MAX);
    });
    fixture.copy("first", "new");
    assert_eq!(fixture.pull(&front, 3).way().0, "objects");
    fixture.is(&whole, "another size");

    // What is damaged here is fetched.
    fixture.copy("first", "new");
    let large = fixture.home.ok(&["--repo=new", "ls", "-C", "got", "/usr/bin/large"]);
    let id = large.split_whitespace().find(|word| word.len() == 64).unwrap().to_owned();
    let object = fixture.home.path(&format!("new/objects/{}/{}.file", &id[..2], &id[2..]));
    let mut content = fs::read(&object).unwrap();
    content[7] ^= 1;
    fs::write(&object, content).unwrap();
    let pulled = fixture.pull(&front, 2);
    assert!(pulled.bytes("objects") + pulled.bytes("whole") > 3_000_000, "{}", pulled.json);
}

#[test]
fn a_server_without_parts_gives_the_whole_layer_of_files() {
    if !need("ostree") {
        return;
    }
    let Some(fixture) = Fixture::of_files() else { return };
    let whole = Front::start(fixture.server.address, |_| None);
    let commit = fixture.pulled_as_a_whole(&whole, "archive");
    let to = fixture.server.address;
    let front = Front::start(whole.address, move |asked| {
        let is_part = asked.header("range").is_some();
        is_part.then(|| Answer::new("200 OK", super::blob(to, &asked.target)))
    });
    fixture.init("archive");
    fixture.pull(&front, 1);
    assert_eq!(fixture.pull(&front, 2).way(), ("whole", "no parts of it are to be had"));
    fixture.is(&commit, "no parts");
}
