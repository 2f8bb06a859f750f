//! Pulls over HTTP, whose requests are counted, and from directories.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{BEFORE, Place, WORK};
use crate::remote::nginx::Nginx;

/// A repository that pulls from `url`, before it does.
fn puller(place: &Place, mode: &str, url: &str) {
    let repo = format!("--repo={BEFORE}");
    place.ours(&["init", &repo, &format!("--mode={mode}")]);
    place.ours(&["remote", &repo, "add", "--no-gpg-verify", "origin", url]);
}

/// What a pull that was killed left.
struct Left {
    /// Whole objects, by the names of their files at the server.
    objects: BTreeSet<String>,
    /// The bytes of what is half there, by the checksum of the object, or of the part of a delta.
    begun: BTreeMap<String, u64>,
}

impl Left {
    fn of(place: &Place) -> Self {
        let mut objects = BTreeSet::new();
        let tmp = place.path(WORK).join("tmp");
        let mut begun = BTreeMap::new();
        collect(&place.path(WORK).join("objects"), &mut objects);
        for name in super::left(&tmp) {
            if let Some(name) = name.strip_prefix("fetch-") {
                let bytes = fs::metadata(tmp.join(format!("fetch-{name}"))).unwrap().len();
                begun.insert(name.to_owned(), bytes.saturating_sub(256));
            } else if name.starts_with("staging-") && !name.ends_with("-lock") {
                collect(&tmp.join(name), &mut objects);
            }
        }
        Self { objects, begun }
    }
}

/// The objects of a directory, as an archive names them.
fn collect(dir: &Path, into: &mut BTreeSet<String>) {
    for start in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
        if !start.file_type().unwrap().is_dir() {
            continue;
        }
        let begin = start.file_name().into_string().unwrap();
        for entry in fs::read_dir(start.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".file").map_or(name.clone(), |name| format!("{name}.filez"));
            into.insert(format!("{begin}/{name}"));
        }
    }
}

/// What one line of the server's log says of an object, or of the part of a delta.
struct Asked {
    path: String,
    status: String,
    start: Option<u64>,
}

/// The requests for files below `dir` that the server has.
fn asked(server: &Nginx, dir: &str) -> Vec<Asked> {
    let parse = |line: String| {
        let words: Vec<_> = line.split(' ').collect();
        let path = words[1].split_once(dir)?.1.to_owned();
        let start = words[3].strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok());
        Some(Asked { path, status: words[2].to_owned(), start }).filter(|asked| asked.status != "404")
    };
    server.asked().into_iter().filter_map(parse).collect()
}

/// Objects one by one: the next pull asks for what is missing, once, and for no more.
fn objects(mode: &str, options: &[&str]) {
    let mut place = Place::new();
    let Some(server) = Nginx::start(&place.path("srv")) else { return };
    puller(&place, mode, &server.url("repo"));
    let mut all = BTreeSet::new();
    collect(&place.path("srv/repo/objects"), &mut all);
    let repo = format!("--repo={WORK}");
    let args = [&["pull", &repo, "--depth=1"][..], options, &["origin", "main"]].concat();
    let killed = |place: &Place| {
        server.wait_for_clients();
        server.asked();
        Left::of(place)
    };
    place.kill(&args, killed, |_, left| {
        let mut missing: BTreeSet<_> = all.difference(&left.objects).cloned().collect();
        for asked in asked(&server, "/repo/objects/") {
            assert!(missing.remove(&asked.path), "{} was there, or asked for before", asked.path);
            let begun = left.begun.get(&asked.path.replace('/', "")).filter(|bytes| **bytes > 0);
            assert_eq!(asked.start, begun.copied(), "{}", asked.path);
            assert_eq!(asked.status == "200", begun.is_none(), "{}", asked.path);
        }
        assert_eq!(missing, BTreeSet::new());
    });
}

#[test]
fn a_killed_pull_asks_for_what_is_missing() {
    objects("bare-user", &[]);
}

#[test]
fn a_killed_mirror_asks_for_what_is_missing() {
    objects("archive", &["--mirror"]);
}

#[test]
fn a_killed_pull_of_a_delta_goes_on_in_the_middle_of_a_part() {
    let mut place = Place::new();
    let [old, new] = ["main^", "main"].map(|rev| place.ours(&["rev-parse", "--repo=srv/repo", rev]));
    place.ours(&[
        "static-delta",
        "generate",
        "--repo=srv/repo",
        "--max-chunk-size=3",
        "--min-fallback-size=0",
        &format!("--from={old}"),
        &format!("--to={new}"),
    ]);
    place.ours(&["summary", "--repo=srv/repo", "-u"]);
    let Some(server) = Nginx::start(&place.path("srv")) else { return };
    puller(&place, "bare-user", &server.url("repo"));
    place.ours(&["pull", &format!("--repo={BEFORE}"), "origin", &format!("main@{old}")]);
    let killed = |place: &Place| {
        server.wait_for_clients();
        server.asked();
        Left::of(place)
    };
    let repo = format!("--repo={WORK}");
    place.kill(&["pull", &repo, "--require-static-deltas", "origin", "main"], killed, |_, left| {
        let parts: Vec<_> = asked(&server, "/repo/deltas/")
            .into_iter()
            .filter(|asked| asked.path.rsplit('/').next().is_some_and(|name| name != "superblock"))
            .collect();
        let names: BTreeSet<_> = parts.iter().map(|asked| &asked.path).collect();
        assert_eq!(names.len(), parts.len(), "a part was asked for twice");
        let begun: BTreeSet<_> = left.begun.values().copied().filter(|bytes| *bytes > 0).collect();
        let starts: BTreeSet<_> = parts.iter().filter_map(|asked| asked.start).collect();
        assert!(starts.is_subset(&begun), "{starts:?} of {begun:?}");
    });
}

#[test]
fn killed_copies_of_a_repository_are_ended() {
    let mut place = Place::new();
    let repo = format!("--repo={WORK}");
    for mode in ["archive", "bare-user"] {
        let _ = fs::remove_dir_all(place.path(BEFORE));
        place.ours(&["init", &format!("--repo={BEFORE}"), &format!("--mode={mode}")]);
        place.kill(&["pull-local", &repo, "srv/repo", "main"], |_| (), |_, ()| ());
    }
}

#[test]
fn a_killed_pull_of_an_image_is_ended() {
    let mut place = Place::new();
    let image = ["--repo=srv/repo", "--ref=main", "--oci-dir=image"];
    place.ours(&[&["container", "build", "-q"][..], &image].concat());
    place.ours(&["init", &format!("--repo={BEFORE}"), "--mode=bare-user"]);
    let repo = format!("--repo={WORK}");
    place.kill(&["pull", &repo, "--ref=main", "ostree-unverified-image:oci:image"], |_| (), |_, ()| ());
}
