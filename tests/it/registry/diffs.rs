//! `container diff`: what is told of two images in a registry, and how little is fetched for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ostree_rs::base::Ctx;
use ostree_rs::container::diff::{PackagesDiff, diff_packages};
use ostree_rs::host::Machine;
use ostree_rs::store::resolve_rev;
use serde_json::{Value, json};

use super::noise;
use super::program::Home;
use super::server::{Login, Server, Speech};
use crate::oracle;
use crate::proxy::{Faults, Proxy};

const FILE_BYTES: usize = 25_000;
const DPKG: &str = "usr/lib/dpkg";

/// A root file system with so many files, and packages by dpkg, apk and pacman.
fn write_tree(root: &Path, version: u8, files: usize) {
    let _ = fs::remove_dir_all(root);
    let write = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    let bytes = noise(FILE_BYTES + files);
    for n in 0..files {
        let mut content = bytes[n..n + FILE_BYTES].to_vec();
        // Content of its own, also where only the version is another one.
        content[..8].copy_from_slice(&(n as u64).to_le_bytes());
        content[8] = if n.is_multiple_of(100) { version } else { 0 };
        write(&format!("usr/share/d{}/f{n}", n % 97), &content);
    }
    write("usr/bin/same", b"same");
    write(if version == 1 { "usr/bin/gone" } else { "usr/bin/new" }, b"x");
    let versions = |n: usize| if n.is_multiple_of(20) { version } else { 0 };
    let mut status = String::new();
    for n in 0..files / 10 {
        if (n == 3 && version == 1) || (n == 4 && version == 2) {
            continue;
        }
        let state = if n == 5 && version == 2 { "deinstall ok config-files" } else { "install ok installed" };
        let depends =
            "Depends: libc6 (>= 2.36), libssl3 (>= 3.0.0)\nDescription: what it is for\n more words\n";
        status += &format!(
            "Package: p{n}\nStatus: {state}\nArchitecture: amd64\nMaintainer: x\nVersion: 1.{}-{n}\n{depends}\n",
            versions(n)
        );
        write(&format!("{DPKG}/info/p{n}.list"), format!("/.\n/usr/share/d{n}/f{n}\n").as_bytes());
    }
    write(&format!("{DPKG}/status"), status.as_bytes());
    write("usr/lib/apk/db/installed", format!("C:Q1x=\nP:musl\nV:1.2.{version}-r0\nF:lib\n\n").as_bytes());
    for package in ["gcc-libs-14.2.1-1".to_owned(), format!("bash-5.2.0{version}-1")] {
        write(&format!("usr/lib/pacman/local/{package}/desc"), b"%NAME%\nx\n");
    }
}

/// What dpkg-query says is installed.
fn installed(root: &Path) -> BTreeMap<String, String> {
    let admin = format!("--admindir={}", root.join(DPKG).display());
    let out = oracle::run("dpkg-query", &[&admin, "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n"]);
    let text = String::from_utf8(out).unwrap();
    let words = text.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let installed = words.filter(|words| words[0] == "installed");
    installed.map(|words| (words[1].clone(), words[2].clone())).collect()
}

/// What `container diff` is to say of packages, by dpkg's own program and what was written for the other two.
fn expected(home: &Home) -> Value {
    let [old, new] = ["tree1", "tree2"].map(|tree| installed(&home.path(tree)));
    let package = |name: &str, version: &str| json!({ "name": name, "version": version });
    let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<_> {
        let only = a.iter().filter(|(name, _)| !b.contains_key(*name));
        only.map(|(name, version)| package(name, version)).collect()
    };
    let changed = old.iter().filter_map(|(name, from)| Some((name, from, new.get(name)?)));
    let changed = changed.filter(|(_, from, to)| from != to);
    let mut changed: Vec<_> = changed.map(|(n, from, to)| (n.as_str(), from.as_str(), to.as_str())).collect();
    assert!(changed.len() > 1, "{changed:?}");
    changed.extend([("bash", "5.2.01-1", "5.2.02-1"), ("musl", "1.2.1-r0", "1.2.2-r0")]);
    changed.sort_unstable();
    let changed: Vec<_> =
        changed.iter().map(|(n, from, to)| json!({ "name": n, "from": from, "to": to })).collect();
    json!({ "added": only(&new, &old), "removed": only(&old, &new), "changed": changed })
}

/// What C ostree says of the two commits.
fn expected_files(home: &Home) -> Vec<String> {
    let repo = format!("--repo={}", home.path("repo").display());
    let out = oracle::run("ostree", &[&repo, "diff", "v1", "v2"]);
    let text = String::from_utf8(out).unwrap();
    let mut lines: Vec<_> = text.lines().map(|line| line.replace("    ", " ")).collect();
    lines.sort_unstable();
    lines
}

fn files(diff: &Value) -> Vec<String> {
    let of = |key: &str, letter: &str| -> Vec<String> {
        let paths = diff["files"][key].as_array().unwrap().iter();
        paths.map(|path| format!("{letter} {}", path.as_str().unwrap())).collect()
    };
    let mut lines = [of("added", "A"), of("modified", "M"), of("removed", "D")].concat();
    lines.sort_unstable();
    lines
}

/// Two trees, as the commits v1 and v2.
fn home(files: usize) -> Option<Home> {
    if !oracle::need("dpkg-query") || !oracle::need("ostree") {
        return None;
    }
    let home = Home::new();
    for version in 1..=2 {
        let tree = format!("tree{version}");
        write_tree(&home.path(&tree), version, files);
        let (branch, tree) = (format!("v{version}"), format!("--tree=dir={tree}"));
        home.ok(&["--repo=repo", "commit", "-b", &branch, &tree]);
    }
    Some(home)
}

fn diff(home: &Home, old: &str, new: &str) -> Value {
    let args = ["container", "diff", "--tls-verify=false", "--packages", "--json", old, new];
    serde_json::from_str(&home.ok(&args)).unwrap()
}

#[test]
fn packages_of_two_commits() {
    let Some(home) = home(300) else { return };
    let repo = Machine::from_env().open_repo(home.path("repo")).unwrap();
    let [old, new] = ["v1", "v2"].map(|name| resolve_rev(&repo, &name.parse().unwrap()).unwrap());
    let found = diff_packages(&repo, &old, &new, &Ctx::default()).unwrap().unwrap();
    assert_eq!(serde_json::to_value(found).unwrap(), expected(&home));
    assert_eq!(diff_packages(&repo, &old, &old, &Ctx::default()).unwrap(), Some(PackagesDiff::default()));
}

#[test]
fn little_is_fetched_of_large_images() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let Some(home) = home(6000) else { return };
    for version in 1..=2 {
        let (name, image) = (format!("--ref=v{version}"), format!("--push={}/os:{version}", server.address));
        home.ok(&["--repo=repo", "container", "build", &name, "--tls-verify=false", &image]);
    }
    let proxy = Proxy::start(server.address, Faults::default());
    let [old, new] = [1, 2].map(|version| format!("docker://{}/os:{version}", proxy.address));
    let found = diff(&home, &old, &new);
    assert!(found["layer_bytes"].as_u64().unwrap() > 150_000_000, "{}", found["layer_bytes"]);
    assert!(proxy.answered() <= 2_000_000, "{} bytes", proxy.answered());
    assert!(
        (1..=proxy.answered()).contains(&found["read_bytes"].as_u64().unwrap()),
        "{}",
        found["read_bytes"]
    );
    assert_eq!(found["packages"], expected(&home));
    assert_eq!(files(&found), expected_files(&home));

    // What an update fetches is what was said.
    let pull = |image: &str| -> Value {
        let image = image.replace("docker://", "ostree-unverified-registry:");
        let args = ["pull", "--repo=new", "--tls-verify=false", "--json", &image];
        serde_json::from_str(&home.ok(&args)).unwrap()
    };
    pull(&old);
    let (fetched, said) =
        (pull(&new)["bytes_fetched"].as_u64().unwrap(), found["object_bytes"].as_u64().unwrap());
    assert!(said.abs_diff(fetched) < fetched / 20, "{said} bytes were said, {fetched} fetched");
}

/// Whatever the place, the compression and the layers: the same packages; files where tables tell of them.
#[test]
fn every_place_and_compression() {
    let Some(home) = home(300) else { return };
    let (packages, listed) = (expected(&home), expected_files(&home));
    for (compression, more) in [
        ("zstd:chunked", &[][..]),
        ("zstd:chunked", &["--max-layers=5"]),
        ("gzip", &[]),
        ("gzip", &["--max-layers=5"]),
        ("none", &[]),
    ] {
        let _ = fs::remove_dir_all(home.path("images"));
        for version in 1..=2 {
            let (name, tag) = (format!("--ref=v{version}"), format!("--tag={version}"));
            let compression = format!("--compression={compression}");
            let args = ["--repo=repo", "container", "build", &name, "--oci-dir=images", &tag, &compression];
            home.ok(&[&args[..], more].concat());
        }
        for version in 1..=2 {
            let from = format!("oci:images:{version}");
            home.ok(&["container", "copy", &from, &format!("oci-archive:{version}.tar")]);
            home.ok(&["container", "copy", &from, &format!("dir:dir{version}")]);
        }
        for place in ["oci:images:N", "oci-archive:N.tar", "dir:dirN"] {
            let [old, new] = ["1", "2"].map(|version| place.replace('N', version));
            let found = diff(&home, &old, &new);
            assert_eq!(found["packages"], packages, "{place} {compression} {more:?}");
            match compression {
                "zstd:chunked" => assert_eq!(files(&found), listed, "{place} {more:?}"),
                _ => assert!(found["files"].is_null()),
            }
            let same = diff(&home, &new, &new);
            for bytes in ["layer_bytes", "object_bytes", "read_bytes"] {
                assert_eq!(same[bytes], 0, "{bytes} {place} {compression} {more:?}");
            }
            assert_eq!(files(&same), [""; 0], "{place} {compression} {more:?}");
        }
    }
}

/// Layers of files that buildah made, on top of nothing and on top of a commit: by their tables of contents where skopeo
/// made them zstd:chunked, else streamed.
#[test]
fn layers_of_files() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("buildah") || !oracle::need("skopeo") {
        return;
    }
    let Some(home) = home(40) else { return };
    let insecure = "--tls-verify=false";
    let base = format!("{}/base:1", server.address);
    home.ok(&["--repo=repo", "container", "build", "--ref=v1", insecure, "--push", &base]);
    let places = [home.path("store"), home.path("run")].map(|path| path.display().to_string());
    let buildah = |args: &[&str]| {
        let places = ["--root", &places[0], "--runroot", &places[1], "--storage-driver", "vfs"];
        String::from_utf8(oracle::run("buildah", &[&places[..], args].concat())).unwrap().trim().to_owned()
    };
    for (name, from) in [("plain", "scratch"), ("derived", &*format!("docker://{base}"))] {
        let container = buildah(&["from", "-q", insecure, from]);
        let root = std::path::PathBuf::from(buildah(&["mount", &container]));
        if name == "plain" {
            let tree = format!("{}/.", home.path("tree1").display());
            oracle::run("cp", &["-a", &tree, root.to_str().unwrap()]);
        }
        let image = |version: u8| format!("docker://{}/{name}:{version}", server.address);
        buildah(&["commit", "-q", insecure, &container, &image(1)]);
        for file in ["usr/lib/dpkg/status", "usr/bin/new"] {
            fs::copy(home.path("tree2").join(file), root.join(file)).unwrap();
        }
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/conf"), "conf").unwrap();
        fs::remove_file(root.join("usr/bin/gone")).unwrap();
        fs::remove_dir_all(root.join("usr/lib/pacman/local/bash-5.2.01-1")).unwrap();
        buildah(&["commit", "-q", insecure, &container, &image(2)]);
        let [plain, chunked] = ["plain", "chunked"].map(|kind| {
            [1, 2].map(|version| format!("dir:{}", home.path(&format!("{name}-{kind}-{version}")).display()))
        });
        for version in [0, 1] {
            let skopeo =
                |args: &[&str]| oracle::run("skopeo", &[&["--insecure-policy", "copy"], args].concat());
            skopeo(&[
                "--src-tls-verify=false",
                "--dest-decompress",
                &image(version as u8 + 1),
                &plain[version],
            ]);
            let compress = ["--dest-compress", "--dest-compress-format", "zstd:chunked"];
            skopeo(&[&compress[..], &[&plain[version], &chunked[version]]].concat());
        }
        let streamed = diff(&home, &image(1), &image(2));
        let listed = diff(&home, &chunked[0], &chunked[1]);
        let names = |found: &Value, kind: &str| -> Vec<String> {
            let packages = found["packages"][kind].as_array().unwrap().iter();
            packages.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
        };
        for found in [&streamed, &listed] {
            assert_eq!(
                (names(found, "added"), names(found, "changed")),
                (vec!["p3".into()], vec!["p0".into()])
            );
        }
        assert_eq!(names(&streamed, "removed"), [""; 0], "{name}");
        assert_eq!(names(&listed, "removed"), ["bash"], "{name}");
        let bash = "D /usr/lib/pacman/local/bash-5.2.01-1";
        let all =
            ["A /etc", "A /etc/conf", "A /usr/bin/new", "D /usr/bin/gone", bash, "M /usr/lib/dpkg/status"];
        assert_eq!(files(&listed), all, "{name}");
        assert!(listed["read_bytes"].as_u64().unwrap() < 40_000, "{name} {}", listed["read_bytes"]);
    }
}

/// Whatever byte of a layer is wrong: the same is told, or that it is wrong.
#[test]
fn nothing_wrong_is_told_of_damaged_layers() {
    let Some(home) = home(120) else { return };
    for version in 1..=2 {
        let (name, tag) = (format!("--ref=v{version}"), format!("--tag={version}"));
        let compression = "--compression=zstd:chunked";
        home.ok(&["--repo=repo", "container", "build", &name, "--oci-dir=images", &tag, compression]);
    }
    let args = ["container", "diff", "--packages", "--json", "oci:images:1", "oci:images:2"];
    let right = home.ok(&args);
    let found: Value = serde_json::from_str(&right).unwrap();
    let digest = found["layers_added"][0].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let path = home.path("images/blobs/sha256").join(digest);
    let (whole, mut refused) = (fs::read(&path).unwrap(), 0);
    let info: Value =
        serde_json::from_str(&home.ok(&["container", "info", "--json", "oci:images:2"])).unwrap();
    let index = info["manifest"]["layers"][0]["annotations"]["io.github.ostree-rs.objects"].as_str().unwrap();
    let mut numbers = index.split(':').map(|number| number.parse::<usize>());
    let (start, length) = (numbers.next().unwrap().unwrap(), numbers.next().unwrap().unwrap());
    let places = (0..8).map(|n| start + n * length / 8);
    for place in places.chain((0..24).map(|n| n * 997)).chain((0..12).map(|n| n * whole.len() / 12)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        fs::write(&path, damaged).unwrap();
        let out = home.run(&args);
        match out.status.code() {
            Some(0) => assert_eq!(String::from_utf8(out.stdout).unwrap().trim(), right, "byte {place}"),
            code => {
                assert_eq!((code, out.stdout.len()), (Some(1), 0), "byte {place}");
                refused += 1;
            }
        }
    }
    assert!(refused > 8, "{refused}");
}
