//! `container pull` again: which blobs of a registry are asked for after a package was upgraded.

use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ostree_rs::base::Ctx;
use serde_json::Value;

use super::front::Front;
use super::program::Home;
use super::server::{Login, Server, Speech};
use super::{MANIFEST, noise, registry};
use crate::oracle;

/// A root file system with three packages, of which `two` has a version.
fn commit(home: &Home, version: u8) {
    let mut status = String::new();
    for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
        let mut content = noise(300_000 + number);
        let version = if name == "two" { version } else { 1 };
        content[0] = version;
        fs::write(home.path(&format!("tree/usr/{name}")), content).unwrap();
        home.write(&format!("tree/var/lib/dpkg/info/{name}.list"), &format!("/.\n/usr\n/usr/{name}\n"));
        status += &format!("Package: {name}\nVersion: {version}\n\n");
    }
    home.write("tree/var/lib/dpkg/status", &status);
    // Each alone: a parent would not be pruned.
    let commit = ["--repo=repo", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"];
    home.ok(&[&commit[..], &["--timestamp=@1700000000"]].concat());
}

struct Fixture {
    home: Home,
    server: Server,
    front: Front,
}

impl Fixture {
    fn push(&self, more: &[&str]) {
        let image = format!("{}/app:1", self.server.address);
        self.home.push(&image, &[&["--tls-verify=false", "--max-layers=10"], more].concat());
    }

    /// The digests of the image's layers.
    fn layers(&self) -> Vec<String> {
        let registry = registry(&self.server.url(), "app", None);
        let manifest = registry.manifest("1", &[MANIFEST], &Ctx::default()).unwrap().bytes;
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    }

    /// Pulls; gives the layers that were asked for, in their order, and what the summary says.
    fn pull(&self) -> (Vec<String>, [u64; 2]) {
        let before = self.front.asked().len();
        let image = format!("ostree-unverified-registry:{}/app:1", self.front.address);
        let args = ["--repo=new", "container", "pull", "--tls-verify=false", "--progress=json", "--ref=got"];
        let out = self.home.run(&[&args[..], &[&image]].concat());
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{said}");
        assert_eq!(
            String::from_utf8(out.stdout).unwrap().trim(),
            self.home.ok(&["--repo=repo", "rev-parse", "main"])
        );
        let summary: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        let asked = self.front.asked().split_off(before);
        let is_asked = |layer: &String| asked.iter().any(|a| a.target == format!("/v2/app/blobs/{layer}"));
        let counts = ["fetched", "reused"].map(|key| summary[key].as_u64().unwrap());
        (self.layers().into_iter().filter(is_asked).collect(), counts)
    }

    fn count_commits(&self) -> usize {
        let out =
            oracle::run("find", &[self.home.path("new/objects").to_str().unwrap(), "-name", "*.commit"]);
        String::from_utf8(out).unwrap().lines().count()
    }

    /// Both programs find nothing wrong, and prune.
    fn check_and_prune(&self) {
        let repo = format!("--repo={}", self.home.path("new").display());
        for args in [&["fsck"][..], &["prune", "--refs-only"]] {
            if oracle::need("ostree") {
                oracle::run("ostree", &[args, &[&repo]].concat());
            }
            self.home.ok(&[&[&*repo], args].concat());
        }
        assert!(self.home.path("new/tmp/cache/ostree-rs-layers").exists());
    }
}

/// The layers in the journal that an interrupted pull leaves.
fn journal(home: &Home) -> usize {
    let staged = fs::read_dir(home.path("new/tmp")).unwrap().flatten();
    let journals = staged.filter_map(|dir| fs::read_to_string(dir.path().join("journal")).ok());
    journals.map(|text| text.lines().filter(|line| *line != "begun").count()).sum()
}

#[test]
fn what_an_interrupted_pull_finished_is_not_fetched_again() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    // A blob that does not come before it is wanted no more.
    let held: Arc<Mutex<Option<String>>> = Arc::default();
    let hold = Arc::clone(&held);
    let front = Front::start(server.address, move |asked| {
        while hold.lock().unwrap().as_ref().is_some_and(|blob| asked.target.ends_with(blob)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    });
    let fixture = Fixture { home: Home::new(), server, front };
    commit(&fixture.home, 1);
    fixture.push(&[]);
    let layers = fixture.layers();
    let last = layers.last().unwrap();
    let image = format!("ostree-unverified-registry:{}/app:1", fixture.front.address);
    let to_commit = ["--repo=new", "container", "pull", "--tls-verify=false", "--ref=got", &image];
    let to_store = ["container", "image", "pull", "--tls-verify=false", "new", &image];
    for (args, signal) in
        [(&to_commit[..], "KILL"), (&to_commit, "INT"), (&to_store, "KILL"), (&to_store, "INT")]
    {
        *held.lock().unwrap() = Some(last.clone());
        let mut pull =
            fixture.home.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = Instant::now();
        while journal(&fixture.home) < layers.len() - 1 && started.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        oracle::run("kill", &[&format!("-{signal}"), &pull.id().to_string()]);
        // A reader that waits for bytes does not look up before some come.
        *held.lock().unwrap() = None;
        assert!(!pull.wait().unwrap().success());
        assert_eq!(fixture.home.ok(&["--repo=new", "refs"]), "");
        let before = fixture.front.asked().len();
        fixture.home.ok(args);
        let asked = fixture.front.asked().split_off(before);
        let blobs = layers.iter().filter(|layer| asked.iter().any(|a| a.target.ends_with(*layer)));
        assert_eq!(blobs.collect::<Vec<_>>(), [last], "{args:?} {signal}");
        assert_eq!(journal(&fixture.home), 0);
        fixture.home.ok(&["--repo=new", "fsck"]);
        // Nothing of it is left for the next round.
        let refs = fixture.home.ok(&["--repo=new", "refs"]);
        for name in refs.lines() {
            fixture.home.ok(&["--repo=new", "refs", "--delete", name]);
        }
        fixture.home.ok(&["--repo=new", "prune", "--refs-only"]);
    }
}

#[test]
fn only_what_an_upgrade_changed_is_fetched() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let front = Front::start(server.address, |_| None);
    let fixture = Fixture { home: Home::new(), server, front };
    commit(&fixture.home, 1);
    fixture.push(&[]);
    let old = fixture.layers();
    assert_eq!(old.len(), 5);
    assert_eq!(fixture.pull(), (old.clone(), [5, 0]));
    assert_eq!(fixture.pull(), (vec![], [0, 5]));

    commit(&fixture.home, 2);
    fixture.push(&[&format!("--previous=docker://{}/app:1", fixture.server.address)]);
    let new = fixture.layers();
    let changed: Vec<_> = new.iter().filter(|layer| !old.contains(layer)).cloned().collect();
    assert_eq!((changed.len(), &changed[0]), (2, &new[0]));
    assert_eq!(fixture.pull(), (changed, [2, 3]));
    assert_eq!(fixture.home.ok(&["--repo=new", "refs"]), "got");
    assert_eq!(fixture.count_commits(), 2);

    // The old commit goes away.
    fixture.check_and_prune();
    assert_eq!(fixture.count_commits(), 1);
    assert_eq!(fixture.pull(), (vec![], [0, 5]));

    // Then the new one.
    fixture.home.ok(&["--repo=new", "refs", "--delete", "got"]);
    fixture.check_and_prune();
    assert_eq!(fixture.count_commits(), 0);
    assert_eq!(fixture.pull(), (new, [5, 0]));
    fixture.check_and_prune();

    // What the image store has is there, too.
    fixture.home.ok(&["--repo=new", "refs", "--delete", "got"]);
    let image = format!("ostree-unverified-registry:{}/app:1", fixture.front.address);
    fixture.home.ok(&["container", "image", "pull", "--tls-verify=false", "new", &image]);
    fs::remove_file(fixture.home.path("new/tmp/cache/ostree-rs-layers")).unwrap();
    assert_eq!(fixture.pull(), (vec![], [0, 5]));
}
