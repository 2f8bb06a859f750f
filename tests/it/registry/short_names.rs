//! Names without a registry: what the alias files of the user and the system say, beside podman.

use std::fs;
use std::net::SocketAddr;

use super::front::{Answer, Front};
use super::program::Home;
use crate::oracle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ostree-rs");
/// The directories of the system are ours for one command.
const OURS: [(&str, &str); 2] = [("etc", "/etc/containers"), ("cache", "/var/cache")];

/// A registry that has nothing; it tells what it was asked for.
fn registry() -> Front {
    Front::start("127.0.0.1:9".parse().unwrap(), |asked| match asked.target.as_str() {
        "/v2/" => Some(Answer::new("200 OK", "{}")),
        _ => Some(Answer::new("404 Not Found", "")),
    })
}

/// The repositories and tags that a failing command asks `registry` for.
fn asked(registry: &Front, run: impl FnOnce() -> bool) -> Vec<String> {
    let before = registry.asked().len();
    assert!(!run(), "there is no image");
    let asked = registry.asked().split_off(before);
    let manifests = asked.iter().filter_map(|asked| asked.target.strip_prefix("/v2/"));
    let mut names: Vec<_> = manifests.filter(|t| t.contains("/manifests/")).map(str::to_owned).collect();
    names.dedup();
    names
}

fn main_conf(at: SocketAddr) -> String {
    format!(
        "unqualified-search-registries = [\"{at}\"]\n[[registry]]\nlocation = \"{at}\"\ninsecure = true\n\
         [aliases]\n\"main\" = \"{at}/conf/app\"\n\"drop\" = \"{at}/conf/drop\"\n\
         \"chosen\" = \"{at}/conf/chosen\"\n\"gone\" = \"{at}/conf/gone\"\n"
    )
}

fn drop_in(at: SocketAddr) -> String {
    format!("[aliases]\n\"drop\" = \"{at}/drop/app\"\n\"org/two\" = \"{at}/drop/two\"\n\"gone\" = \"\"\n")
}

/// What podman writes when it asked the user.
fn chosen(at: SocketAddr) -> String {
    format!("[aliases]\n  \"chosen\" = \"{at}/chosen/app\"\n")
}

const NAMES: [(&str, &str); 7] = [
    ("main", "conf/app/manifests/latest"),
    ("main:2", "conf/app/manifests/2"),
    ("drop:1", "drop/app/manifests/1"),
    ("org/two", "drop/two/manifests/latest"),
    ("gone", "gone/manifests/latest"),
    ("org/other:3", "org/other/manifests/3"),
    ("chosen", "chosen/app/manifests/latest"),
];

#[test]
fn the_files_of_the_user() {
    let (home, registry) = (Home::new(), registry());
    home.write("registries.conf", &main_conf(registry.address));
    home.write(".config/containers/registries.conf.d/000-shortnames.conf", &drop_in(registry.address));
    home.write(".cache/containers/short-name-aliases.conf", &chosen(registry.address));
    // What root chose lies in the system's cache, which this test leaves alone.
    let root = rustix::process::geteuid().is_root();
    for (name, expected) in NAMES.into_iter().filter(|(name, _)| !root || *name != "chosen") {
        let image = format!("ostree-unverified-registry:{name}");
        let pull = ["--repo=new", "container", "pull", &image];
        assert_eq!(asked(&registry, || home.run(&pull).status.success()), [expected], "{name}");
    }
    let bad = "[aliases]\n\"x\" = \"q.io/x:1\"\n";
    home.write(".config/containers/registries.conf.d/001-bad.conf", bad);
    let error = home.fails(&["--repo=new", "container", "pull", "ostree-unverified-registry:main"]);
    assert!(error.contains("001-bad.conf") && error.contains("tag"), "{error}");
}

#[test]
fn the_files_of_the_system() {
    if !oracle::need("podman") {
        return;
    }
    let (home, registry) = (Home::new(), registry());
    home.write("etc/registries.conf", &main_conf(registry.address));
    home.write("etc/registries.conf.d/000-shortnames.conf", &drop_in(registry.address));
    home.write("cache/containers/short-name-aliases.conf", &chosen(registry.address));
    fs::create_dir(home.path("run")).unwrap();
    if home.run_mounted(&OURS, "true", &[]).is_none() {
        return;
    }
    let run = |program: &str, args: &[&str]| home.run_mounted(&OURS, program, args).unwrap().status.success();
    for (name, expected) in NAMES {
        let image = format!("ostree-unverified-registry:{name}");
        let ours = ["--repo=new", "container", "pull", &image];
        let theirs = ["--root=podman", "--runroot=podrun", "--storage-driver=vfs", "pull", name];
        assert_eq!(asked(&registry, || run(PROGRAM, &ours)), [expected], "{name}");
        assert_eq!(asked(&registry, || run("podman", &theirs)), [expected], "{name}");
    }
}
