//! `container pull` by a delta that lies beside an image in a registry: nobody asks for it.

mod lies;
mod plain;
mod resumed;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use ostree_rs::base::Ctx;
use serde_json::{Value, json};

use super::front::{Answer, Front};
use super::program::Home;
use super::server::{Login, Server, Speech};
use super::{MANIFEST, noise, registry};
use crate::oracle;

/// A root file system of which the second version has programs that changed a little.
fn write_tree(home: &Home, version: u8) {
    let _ = fs::remove_dir_all(home.path("tree"));
    for dir in ["usr/bin", "usr/lib/deep", "usr/etc"] {
        fs::create_dir_all(home.path("tree").join(dir)).unwrap();
    }
    for n in 0..12 {
        let mut program = noise(200_000 + n);
        program[0] = n as u8;
        if version == 2 && n < 6 {
            program.iter_mut().skip(n).step_by(7000).for_each(|byte| *byte ^= 1);
        }
        fs::write(home.path("tree/usr/lib/deep").join(format!("lib{n}.so.{version}")), program).unwrap();
    }
    // What is moved around, and what lies at another place in images.
    let mut moved = noise(80_000);
    if version == 2 {
        moved.rotate_left(30_000);
    }
    fs::write(home.path("tree/usr/etc/config"), moved).unwrap();
    fs::write(home.path("tree/usr/bin/version"), [b'0' + version]).unwrap();
    std::os::unix::fs::symlink("version", home.path("tree/usr/bin/link")).unwrap();
}

/// Both versions in a registry, as `app:1` and `app:2`.
struct Fixture {
    home: Home,
    server: Server,
    commit: String,
}

impl Fixture {
    fn new(more: &[&str]) -> Option<Self> {
        let server = Server::start(&Login::Anybody, &Speech::Plain)?;
        let mut fixture = Self { home: Home::new(), server, commit: String::new() };
        for version in 1..=2 {
            write_tree(&fixture.home, version);
            fixture.publish(version, more);
        }
        Some(fixture)
    }

    /// Pushes the tree as a version.
    fn publish(&mut self, version: u8, more: &[&str]) {
        let home = &self.home;
        let commit = ["--repo=repo", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"];
        self.commit = home.ok(&[&commit[..], &["--timestamp=@1700000000"]].concat());
        home.push(&self.image(version), &[&["--tls-verify=false"], more].concat());
    }

    fn image(&self, version: u8) -> String {
        format!("{}/app:{version}", self.server.address)
    }

    /// Makes the delta from the first to the second version, beside the second; gives the bytes of its streams.
    fn delta(&self, more: &[&str]) -> u64 {
        let [old, new] = [1, 2].map(|version| format!("docker://{}", self.image(version)));
        let place = format!("docker://{}/app", self.server.address);
        let create = ["container", "delta", "create", "--tls-verify=false", "--json", &old, &new, &place];
        let created: Value = serde_json::from_str(&self.home.ok(&[&create[..], more].concat())).unwrap();
        created["bytes"].as_u64().unwrap()
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

    /// Pulls a version; gives what it tells.
    fn pull(&self, front: &Front, version: u8) -> Value {
        self.pull_from(front.address, version)
    }

    fn pull_from(&self, address: SocketAddr, version: u8) -> Value {
        let args = pull_arguments(address, version);
        serde_json::from_str(&self.home.ok(&args.each_ref().map(String::as_str))).unwrap()
    }

    /// The commit is the one that was built, and both programs find all of it.
    fn check(&self) {
        assert_eq!(self.home.ok(&["--repo=new", "rev-parse", "got"]), self.commit);
        self.home.ok(&["--repo=new", "fsck"]);
        if oracle::need("ostree") {
            oracle::run("ostree", &["fsck", "-q", &format!("--repo={}", self.home.path("new").display())]);
        }
    }
}

fn pull_arguments(address: SocketAddr, version: u8) -> [String; 7] {
    let image = format!("ostree-unverified-registry:{address}/app:{version}");
    ["--repo=new", "container", "pull", "--tls-verify=false", "--json", "--ref=got", &image]
        .map(str::to_owned)
}

/// How the layers came, and what was fetched of them in that way.
fn ways(pulled: &Value, way: &str) -> (usize, u64) {
    let layers = pulled["layers"].as_array().unwrap().iter().filter(|layer| layer["way"] == way);
    (layers.clone().count(), layers.map(|layer| layer["bytes_fetched"].as_u64().unwrap()).sum())
}

#[test]
fn a_delta_is_used_unasked() {
    for more in [&["--compression=zstd:chunked"][..], &["--compression=gzip"], &["--max-layers=4"]] {
        let Some(fixture) = Fixture::new(more) else { return };
        let front = Front::start(fixture.server.address, |_| None);
        fixture.init("bare-user");
        fixture.pull(&front, 1);
        let without = fixture.pull(&front, 2);
        assert_eq!(ways(&without, "delta").0, 0, "{without}");

        let bytes = fixture.delta(&[]);
        for mode in ["bare-user", "archive", "bare"] {
            fixture.init(mode);
            let first = fixture.pull(&front, 1);
            assert_eq!(ways(&first, "delta").0, 0, "there is nothing that it could begin with");
            let second = fixture.pull(&front, 2);
            let (layers, by_delta) = ways(&second, "delta");
            assert!(layers > 0 && by_delta > bytes / 4, "{mode} {more:?} {second}");
            let fetched = |pulled: &Value| pulled["bytes_fetched"].as_u64().unwrap();
            assert!(3 * fetched(&second) < fetched(&without), "{mode} {more:?} {second} {without}");
            let mut layers = second["layers"].as_array().unwrap().iter();
            let why = &layers.find(|layer| layer["way"] == "delta").unwrap()["why"];
            assert_eq!(why, "a delta from an image that is here takes the least");
            fixture.check();
            assert_eq!(
                ways(&fixture.pull(&front, 2), "reused").0,
                second["layers"].as_array().unwrap().len()
            );
        }
    }
}

/// The image store keeps the same refs and commits, whatever was fetched, and knows by itself what it has.
#[test]
fn the_image_store_is_as_if_layers_had_been_fetched() {
    for more in [&["--compression=zstd:chunked"][..], &["--max-layers=4"]] {
        let Some(fixture) = Fixture::new(more) else { return };
        fixture.delta(&[]);
        let pull = |version: u8| {
            let image = format!("ostree-unverified-registry:{}", fixture.image(version));
            let args = ["container", "image", "pull", "--tls-verify=false", "--json", "new", &image];
            let json: Value = serde_json::from_str(&fixture.home.ok(&args)).unwrap();
            fixture.home.ok(&["--repo=new", "fsck"]);
            (json, fixture.home.ok(&["--repo=new", "refs", "--list", "--revision"]))
        };
        fixture.init("bare-user");
        pull(1);
        let (json, refs) = pull(2);
        assert!(ways(&json, "delta").0 > 0, "{json}");
        fixture.init("bare-user");
        let (_, from_whole) = pull(2);
        assert!(
            from_whole.lines().count() > 1 && from_whole.lines().all(|line| refs.contains(line)),
            "{refs}"
        );
    }
}

/// What flatpak's tools write is found, too: it is between layers, and of version 1.
#[test]
fn a_delta_of_flatpaks_index_is_used() {
    let Some(fixture) = Fixture::new(&["--compression=gzip"]) else { return };
    let bytes = fixture.delta(&["--format=deltaindex"]);
    let front = Front::start(fixture.server.address, |_| None);
    for mode in ["bare-user", "archive"] {
        fixture.init(mode);
        fixture.pull(&front, 1);
        let second = fixture.pull(&front, 2);
        assert_eq!(ways(&second, "delta"), (1, bytes), "{second}");
        fixture.check();
    }
}

/// The smallest of several deltas is used; and none where the objects that are missing take less.
#[test]
fn the_cheapest_way_is_used() {
    let Some(fixture) = Fixture::new(&["--compression=zstd:chunked"]) else { return };
    fixture.delta(&["--best"]);
    let bytes = fixture.delta(&[]).min(fixture.delta(&["--best"]));
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    let second = fixture.pull(&front, 2);
    // Before it the index of objects was looked at, and metadata.
    let by_delta = ways(&second, "delta").1;
    assert!(by_delta > bytes && by_delta < 2 * bytes, "{bytes} {second}");
    fixture.check();
    // Of the second version only one file is missing, which the delta does not know.
    fixture.copy("first", "new");
    let whole: Value = {
        fixture.home.ok(&["--repo=new", "pull-local", "repo", "main"]);
        fixture.home.ok(&["--repo=new", "refs", "--delete", "main"]);
        let file = fixture.object("usr/bin/version");
        fs::remove_file(file).unwrap();
        fixture.pull(&front, 2)
    };
    assert_eq!(ways(&whole, "objects").0, 1, "{whole}");
    fixture.check();
}

impl Fixture {
    /// The object of a file of the newest commit in the repository `new`, which is of the mode bare-user.
    fn object(&self, path: &str) -> PathBuf {
        self.object_of(&self.commit, path)
    }

    fn object_of(&self, commit: &str, path: &str) -> PathBuf {
        let listed = self.home.ok(&["--repo=new", "ls", "-C", commit, &format!("/{path}")]);
        let checksum = listed.split_whitespace().find(|word| word.len() == 64).unwrap();
        self.home.path("new/objects").join(&checksum[..2]).join(format!("{}.file", &checksum[2..]))
    }
}

/// Old files that were damaged make another stream, which is found out; and one that is gone makes none.
#[test]
fn damaged_old_files_do_no_harm() {
    let Some(fixture) = Fixture::new(&["--compression=gzip"]) else { return };
    fixture.delta(&[]);
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    let first = fixture.pull(&front, 1)["commit"].as_str().unwrap().to_owned();
    fixture.copy("new", "first");
    let harms: [fn(&PathBuf); 3] = [
        |file| {
            let mut content = fs::read(file).unwrap();
            content[100_000] ^= 1;
            fs::write(file, content).unwrap();
        },
        |file| fs::write(file, "").unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for harm in harms {
        fixture.copy("first", "new");
        harm(&fixture.object_of(&first, "usr/lib/deep/lib3.so.1"));
        let second = fixture.pull(&front, 2);
        assert_eq!(ways(&second, "whole").0, 1, "{second}");
        fixture.home.ok(&["--repo=new", "prune", "--refs-only"]);
        fixture.check();
    }
}

/// A commit on a base: the delta is of its layer on top.
#[test]
fn a_commit_on_a_base_comes_by_a_delta() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let fixture = Fixture { home: Home::new(), server, commit: String::new() };
    let home = &fixture.home;
    home.push(&format!("{}/base:1", fixture.server.address), &["--tls-verify=false"]);
    let base = format!("--from=docker://{}/base:1", fixture.server.address);
    let mut commit = String::new();
    for version in 1..=2 {
        write_tree(home, version);
        commit = home.ok(&["--repo=repo", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"]);
        home.push(&fixture.image(version), &["--tls-verify=false", &base]);
    }
    let fixture = Fixture { commit, ..fixture };
    let bytes = fixture.delta(&[]);
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    let second = fixture.pull(&front, 2);
    assert_eq!(ways(&second, "delta"), (1, bytes), "{second}");
    assert_eq!(second["bytes_fetched"], bytes);
    fixture.check();
}

/// What is told while it goes on.
#[test]
fn progress_tells_of_the_delta() {
    let Some(fixture) = Fixture::new(&["--compression=gzip"]) else { return };
    fixture.delta(&[]);
    let front = Front::start(fixture.server.address, |_| None);
    fixture.init("bare-user");
    fixture.pull(&front, 1);
    let image = format!("ostree-unverified-registry:{}/app:2", front.address);
    let args = ["--repo=new", "container", "pull", "--tls-verify=false", "--progress=json", &image];
    let out = fixture.home.run(&args);
    let said = String::from_utf8(out.stderr).unwrap();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let chosen = lines.iter().find(|line| line["event"] == "chosen").unwrap();
    assert_eq!(chosen["way"], "delta", "{said}");
    assert!(chosen["why"].as_str().unwrap().contains("takes the least"));
    assert!(lines.iter().all(|line| line["event"] != "note"), "{said}");
}

/// The commands that the documentation of images shows, as they stand there, with a registry of this machine in the place
/// of the one that they name.
#[test]
fn the_commands_of_the_documentation() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    let address = server.address.to_string();
    home.write("registries.conf", &format!("[[registry]]\nlocation = \"{address}\"\ninsecure = true\n"));
    home.ok(&["--repo=source", "init", "--mode=bare-user"]);
    for version in 1..=2 {
        write_tree(&home, version);
        home.ok(&["--repo=source", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"]);
        let (push, tag) = (format!("--push={address}/exampleos/os:{version}"), format!("--tag={version}"));
        home.ok(&["--repo=source", "container", "build", "--ref=main", &push]);
        home.ok(&["--repo=source", "container", "build", "--ref=main", "--oci-dir=os", &tag]);
    }
    home.ok(&["--repo=repo", "init", "--mode=bare-user"]);
    let first = format!("ostree-unverified-registry:{address}/exampleos/os:1");
    home.ok(&["pull", "--repo=repo", "--ref=os", &first]);
    let text = include_str!("../../../../src/container/README.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Deltas\n")).unwrap();
    let block = section.split("```\n").nth(1).unwrap();
    let mut commands = 0;
    for line in block.lines() {
        let line = line.strip_prefix("$ ostree-rs ").unwrap().replace("quay.io", &address);
        let words: Vec<_> = line.split(' ').collect();
        commands += 1;
        let said = home.ok(&words);
        assert!(!words.contains(&"pull") || said.contains("\"way\":\"delta\""), "{said}");
    }
    assert_eq!(commands, 6);
    assert_eq!(
        home.ok(&["--repo=repo", "rev-parse", "os"]),
        home.ok(&["--repo=source", "rev-parse", "main"])
    );
    home.ok(&["--repo=repo", "fsck"]);
}
