//! Whole pulls: the same objects and refs as C ostree has after the same command.

use std::fs;

use ostree_rs::format::{CommitId, Summary};

use super::Fixture;

#[test]
fn every_mode_gets_what_c_ostree_gets() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    for mode in ["archive", "bare-user", "bare-user-only", "bare"] {
        if mode == "bare" && !crate::oracle::need_root() {
            continue;
        }
        for name in ["theirs", "ours"] {
            fixture.repository(name, mode, &server.url("repo"));
        }
        fixture.c(&["pull", "--repo=theirs", "origin", "main"]);
        server.asked();
        let said = fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
        assert!(said.contains("content objects fetched; "), "{said}");
        let asked = server.asked();
        let objects = asked.iter().filter(|line| line.contains("/objects/") && line.contains(" 200")).count();
        assert_eq!(fixture.content("ours"), fixture.content("theirs"), "{mode}");
        assert_eq!(objects, fixture.content("theirs").keys().filter(|k| k.starts_with("objects")).count());
        fixture.fsck("ours");
        let said = fixture.ours(&["pull", "--repo=ours", "origin:main"]);
        assert!(said.starts_with("0 metadata, 0 content objects fetched"), "{said}");
        let asked = server.asked();
        assert!(
            asked.iter().all(|line| !line.contains("/objects/") || line.contains(".commitmeta")),
            "{asked:?}"
        );
    }
}

#[test]
fn a_mirror_has_the_same_files_and_the_summary() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "archive", &server.url("repo"));
    fixture.ours(&["pull", "--repo=ours", "--mirror", "--depth=-1", "origin"]);
    fixture.fsck("ours");
    assert_eq!(fixture.content("ours"), fixture.content("srv/repo"));
    for file in fixture.content("ours").keys().map(String::as_str).chain(["summary"]) {
        let read = |repo: &str| fs::read(fixture.path(repo).join(file)).unwrap();
        assert!(read("ours") == read("srv/repo"), "{file} is not as it was");
    }
}

/// Of a ref that stands twice in a summary the first counts, wherever it is asked for; a size of 0 says nothing.
#[test]
fn a_summary_may_say_things_twice() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let path = fixture.path("srv/repo/summary");
    let mut summary = Summary::parse(&fs::read(&path).unwrap()).unwrap();
    summary.refs.retain(|found| found.name.as_str() == "main");
    summary.refs[0].commit_bytes = 0;
    let mut again = summary.refs[0].clone();
    again.commit = CommitId::new(fixture.c(&["rev-parse", "--repo=srv/repo", "main^"]).parse().unwrap());
    summary.refs.push(again);
    fs::write(&path, summary.to_bytes()).unwrap();
    for args in [&["pull", "--mirror", "origin"][..], &["pull", "origin", "main"]] {
        for (name, program) in [("theirs", "ostree"), ("ours", super::OURS)] {
            fixture.repository(name, "archive", &server.url("repo"));
            super::succeed(fixture.start(program, &[args, &[&format!("--repo={name}")]].concat()));
        }
        let refs = |name: &str| {
            let mut content = fixture.content(name);
            content.retain(|path, _| path.starts_with("refs"));
            content
        };
        assert_eq!(refs("ours"), refs("theirs"), "{args:?}");
    }
}

#[test]
fn an_update_asks_for_what_is_new_only() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    for name in ["theirs", "ours"] {
        fixture.repository(name, "bare-user", &server.url("repo"));
    }
    let old = fixture.c(&["rev-parse", "--repo=srv/repo", "main^"]);
    fixture.ours(&["pull", "--repo=ours", "origin", &format!("main@{old}")]);
    assert_eq!(fixture.c(&["rev-parse", "--repo=ours", "origin:main"]), old);
    server.asked();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    let asked = server.asked();
    let objects: Vec<_> = asked.iter().filter(|line| line.contains("/objects/")).collect();
    // The commit, its signatures which are not there, and the three directories on the way to the file that went away.
    assert_eq!(objects.len(), 5, "{objects:?}");
    fixture.c(&["pull", "--repo=theirs", "origin", &format!("main@{old}")]);
    fixture.c(&["pull", "--repo=theirs", "origin", "main"]);
    assert_eq!(fixture.content("ours"), fixture.content("theirs"));
}

#[test]
fn a_directory_of_this_machine_is_a_remote_too() {
    let fixture = Fixture::new();
    let url = format!("file://{}", fixture.path("srv/repo").display());
    for name in ["theirs", "ours"] {
        fixture.repository(name, "archive", &url);
    }
    let said = fixture.ours(&["pull", "--repo=ours", "origin", "main", "other/branch"]);
    assert!(said.contains("content objects imported; "), "{said}");
    fixture.c(&["pull", "--repo=theirs", "origin", "main", "other/branch"]);
    assert_eq!(fixture.content("ours"), fixture.content("theirs"));
}

#[test]
fn without_a_summary_the_files_of_refs_are_asked() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fs::remove_file(fixture.path("srv/repo/summary")).unwrap();
    fixture.repository("ours", "archive", &server.url("repo"));
    fixture.ours(&["pull", "--repo=ours", "origin", "other/branch"]);
    fixture.fsck("ours");
    let commit = |repo: &str, rev: &str| fixture.c(&["rev-parse", repo, rev]);
    assert_eq!(commit("--repo=ours", "origin:other/branch"), commit("--repo=srv/repo", "other/branch"));
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "nothing"]);
    assert!(said.contains("404"), "{said}");
    let said = fixture.refused(&["pull", "--repo=ours", "--mirror", "origin"]);
    assert!(said.contains("remote repository does not have a summary"), "{said}");
    fs::write(fixture.path("srv/repo/refs/heads/html"), "<html>\nNot Found").unwrap();
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "html"]);
    assert!(
        said.contains("Fetching checksum for ref ((empty), html): Invalid rev <html> Not Found"),
        "{said}"
    );
}
