//! `admin upgrade` killed anywhere, at a moment or before a system call that changes something: every boot entry names a
//! whole deployment, old or new, and the next upgrade ends what was begun.
//!
//! `OSTREE_RS_KILLS=N` kills each kind of upgrade N times; without it a few times.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::deploy::assert_bootable;
use super::{Place, listing};
use crate::cli::OURS;
use crate::oracle::{need, need_root};
use crate::registry::server::{Login, Server, Speech};
use crate::remote::nginx::Nginx;

/// The calls before one of which a program is killed.
const CHANGES: &str =
    "renameat,renameat2,linkat,symlinkat,mkdirat,unlinkat,syncfs,fsync,fdatasync,utimensat,ftruncate";

/// A machine whose next versions are published by `publish`.
struct Machine<'a> {
    place: &'a Place,
    publish: &'a dyn Fn(),
    upgrade: Vec<String>,
    version: Cell<u32>,
    /// What `usr` of each version holds.
    whole: Cell<BTreeMap<String, Vec<String>>>,
    random: Cell<u64>,
}

impl<'a> Machine<'a> {
    /// A machine that upgrades by `options` from what `publish` has published.
    fn new(place: &'a Place, publish: &'a dyn Fn(), options: &[&str]) -> Self {
        let upgrade = [&["admin", "upgrade", "--sysroot=root", "--os=os"][..], options].concat();
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        Self {
            place,
            publish,
            upgrade: upgrade.into_iter().map(str::to_owned).collect(),
            version: Cell::new(0),
            whole: Cell::default(),
            random: Cell::new(since | 1),
        }
    }

    /// Publishes the next version; every other one has another kernel, and with it another boot directory.
    fn next(&self) -> String {
        let number = self.version.get() + 1;
        self.version.set(number);
        let version = number.to_string();
        for n in 0..40 {
            let dir = format!("tree/usr/share/{}", n % 8);
            fs::create_dir_all(self.place.at(&dir)).unwrap();
            self.place.write(&format!("{dir}/file{n}"), &format!("{n} of {version}\n").repeat(n * 20));
        }
        if number.is_multiple_of(2) {
            self.place.write("tree/usr/lib/modules/6.1/vmlinuz", &format!("kernel {version}\n"));
        }
        self.place.write("tree/usr/bin/tool", &version);
        let commit = ["--repo=build", "commit", "-b", "os", "--tree=dir=tree", "--canonical-permissions"];
        self.place.c(&[&commit[..], &["--bootable"]].concat());
        (self.publish)();
        let mut whole = self.whole.take();
        whole.insert(version.clone(), usr(&self.place.at("tree")));
        self.whole.set(whole);
        version
    }

    /// Every boot entry leads to a deployment with all files of its version.
    fn assert_whole(&self, what: &str) {
        let root = self.place.at("root");
        assert_bootable(&root);
        let whole = self.whole.take();
        for entry in fs::read_dir(root.join("boot/loader/entries")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let link = text.split(['\n', ' ']).find_map(|word| word.strip_prefix("ostree=/")).unwrap();
            let dir = root.join(link);
            let version = fs::read_to_string(dir.join("usr/bin/tool")).unwrap();
            assert_eq!(usr(&dir), whole[&version], "{what}: {text}");
            assert_eq!(fs::read_to_string(dir.join("etc/file")).unwrap(), "changed\n", "{what}");
        }
        self.whole.set(whole);
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.place.tmp.path()).env_remove("OSTREE_REPO").stdout(Stdio::null());
        command.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments").stderr(Stdio::null());
        command
    }

    fn upgrade(&self) {
        self.place.ours(&self.upgrade.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// How long an upgrade lasts, and the calls that it makes: which one, and how many of the same thread were before it.
    fn learn(&self) -> (Duration, Vec<(String, usize)>) {
        self.next();
        let began = Instant::now();
        self.upgrade();
        let lasts = began.elapsed();
        if !need("strace") {
            return (lasts, Vec::new());
        }
        self.next();
        let log = self.place.at("calls");
        let mut traced = self.command("strace");
        traced.args(["-f", "-o", log.to_str().unwrap(), "-e", &format!("trace={CHANGES}"), OURS]);
        traced.args(&self.upgrade).status().unwrap();
        let (mut counts, mut calls) = (HashMap::new(), Vec::new());
        for line in fs::read_to_string(log).unwrap_or_default().lines() {
            let Some((thread, call)) = line.split_once(' ') else { continue };
            let Some((call, _)) = call.trim_start().split_once('(') else { continue };
            let count = counts.entry((thread.to_owned(), call.to_owned())).or_insert(0);
            *count += 1;
            calls.push((call.to_owned(), *count));
        }
        (lasts, calls)
    }

    /// Kills upgrades, and ends them.
    fn kill(&self, kills: u32) {
        let (lasts, calls) = self.learn();
        let mut killed = 0;
        for round in 0..kills {
            let version = self.next();
            let what = if round.is_multiple_of(2) || calls.is_empty() {
                let moment = lasts.mul_f64(self.random(10_000) as f64 / 9_500.0);
                let mut child = self.command(OURS).args(&self.upgrade).spawn().unwrap();
                std::thread::sleep(moment);
                child.kill().unwrap();
                killed += u32::from(!child.wait().unwrap().success());
                format!("{round}: killed after {moment:?} of {lasts:?}")
            } else {
                let (call, at) = &calls[self.random(calls.len() as u64) as usize];
                let inject = format!("inject={call}:signal=KILL:when={at}");
                let mut traced = self.command("strace");
                traced.args(["-f", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject, OURS]);
                killed += u32::from(!traced.args(&self.upgrade).status().unwrap().success());
                format!("{round}: killed at {call} {at}")
            };
            self.assert_whole(&what);
            assert_eq!(self.status(Place::ours), self.status(Place::c), "{what}");
            self.upgrade();
            self.assert_whole(&what);
            let newest = fs::read_to_string(self.place.deployment("root").join("usr/bin/tool")).unwrap();
            assert_eq!(newest, version, "{what}");
            if round.is_multiple_of(10) {
                self.assert_clean(&what);
            }
        }
        self.assert_clean("at the end");
        assert!(killed * 2 >= kills, "{killed} of {kills} were killed");
        eprintln!("{killed} of {kills} upgrades were killed");
    }

    /// The deployments as a program lists them; C ostree knows no origins that are images.
    fn status(&self, program: fn(&Place, &[&str]) -> String) -> Vec<String> {
        let text = program(self.place, &["admin", "status", "--sysroot=root"]);
        text.lines().filter(|line| !line.contains("origin")).map(str::to_owned).collect()
    }

    /// Nothing is damaged, and nothing is left that nobody has. An upgrade that was killed while it cleaned up has come to
    /// its end for the next one, which leaves what is left to whoever cleans up next, as C ostree does.
    fn assert_clean(&self, what: &str) {
        self.place.ours(&["admin", "cleanup", "--sysroot=root"]);
        let repo = "--repo=root/ostree/repo";
        self.place.c(&[repo, "fsck", "-q"]);
        self.place.ours(&[repo, "fsck", "--quiet"]);
        let names = |path: &str| -> Vec<String> {
            let entries = fs::read_dir(self.place.at(path)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let deployed = names("root/ostree/deploy/os/deploy");
        let deployments = deployed.iter().filter(|name| !name.ends_with(".origin")).count();
        assert_eq!((deployments, deployed.len()), (2, 4), "{what}: {deployed:?}");
        let kernels = names("root/boot/ostree");
        assert!(kernels.len() <= 2, "{what}: {kernels:?}");
        // A file that was to replace another one goes after a day, as everything does of which nobody knows whose it is.
        let mut left = names("root/ostree/repo/tmp");
        left.retain(|name| name != "cache" && !name.starts_with(".tmp-"));
        assert_eq!(left, [""; 0], "{what}");
    }

    /// A number below `limit`.
    fn random(&self, limit: u64) -> u64 {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        (state >> 11) % limit
    }
}

/// What is in `usr`; configuration is merged.
fn usr(dir: &Path) -> Vec<String> {
    listing(&dir.join("usr"))
}

fn kills() -> u32 {
    std::env::var("OSTREE_RS_KILLS").map_or(6, |number| number.parse().unwrap())
}

#[test]
fn a_machine_boots_whenever_an_upgrade_from_a_remote_is_killed() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let Some(server) = Nginx::start(place.tmp.path()) else { return };
    place.sysroot("root");
    let repo = "--repo=root/ostree/repo";
    place.c(&[repo, "remote", "add", "--no-gpg-verify", "origin", &server.url("build")]);
    place.c(&[repo, "pull", "origin", "os"]);
    place.c(&[repo, "refs", "--delete", "os"]);
    place.c(&["admin", "deploy", "--sysroot=root", "--os=os", "origin:os"]);
    fs::write(place.deployment("root").join("etc/file"), "changed\n").unwrap();
    Machine::new(&place, &|| (), &[]).kill(kills());
}

#[test]
fn a_machine_boots_whenever_an_upgrade_to_an_image_is_killed() {
    if !need("ostree") || !need_root() {
        return;
    }
    let place = Place::new();
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    fs::create_dir(place.at("root")).unwrap();
    place.c(&["admin", "init-fs", "root"]);
    place.c(&["admin", "os-init", "os", "--sysroot=root"]);
    let image = format!("docker://{}/os:stable", server.address);
    let push = || {
        let build = ["container", "build", "-q", "--repo=build", "--ref=os", "--tls-verify=false"];
        place.ours(&[&build[..], &["--push", &image, "--max-layers=4"]].concat());
    };
    let machine = Machine::new(&place, &push, &["--tls-verify=false"]);
    machine.next();
    let image = format!("ostree-unverified-image:{image}");
    let deploy = ["container", "image", "deploy", "-q", "--sysroot=root", "--stateroot=os"];
    place.ours(&[&deploy[..], &["--tls-verify=false", "--imgref", &image]].concat());
    fs::write(place.deployment("root").join("etc/file"), "changed\n").unwrap();
    machine.kill(kills());
}
