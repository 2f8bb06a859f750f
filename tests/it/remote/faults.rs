//! Lines that break, servers that lie: nothing wrong is stored, and what came is not fetched again.

use std::fs;

use super::{Fixture, noise};
use crate::proxy::{Faults, Proxy};

/// The path of the object of a large file, below `objects`.
fn large(fixture: &Fixture) -> String {
    object(fixture, "/usr/lib/deep/er/noise")
}

/// The path of the object of a file.
fn object(fixture: &Fixture, file: &str) -> String {
    let listed = fixture.c(&["ls", "--repo=srv/repo", "-C", "main", file]);
    let checksum = listed.split_whitespace().nth(4).unwrap();
    format!("{}/{}.filez", &checksum[..2], &checksum[2..])
}

#[test]
fn broken_lines_are_asked_again_and_objects_go_on() {
    let fixture = Fixture::new();
    fs::write(fixture.path("tree/usr/lib/medium"), noise(900_000)).unwrap();
    fixture.commit("main", "2024-01-05");
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    let Some(server) = fixture.serve() else { return };
    let faults = Faults { cut_answer: Some(500_000), ..Faults::default() };
    let proxy = Proxy::start(server.address, faults);
    fixture.repository("ours", "archive", &format!("{}/repo", proxy.url()));
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    fixture.fsck("ours");
    let asked = server.asked();
    // In a file, and in memory.
    for object in [large(&fixture), object(&fixture, "/usr/lib/medium")] {
        let parts: Vec<_> = asked.iter().filter(|line| line.contains(&object)).collect();
        assert!(parts.iter().any(|line| line.contains(" 206 bytes=")), "{parts:?}");
    }
}

/// A server that knows no parts of files, and always breaks off at the same byte, is not asked without end.
#[test]
fn the_same_bytes_again_are_no_progress() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let faults = Faults { cut_answer: Some(2_000_000), no_parts: true, ..Faults::default() };
    let proxy = Proxy::start(server.address, faults);
    fixture.repository("ours", "bare-user", &format!("{}/repo", proxy.url()));
    server.asked();
    let said = fixture.refused(&["pull", "--repo=ours", "--network-retries=2", "origin", "main"]);
    assert!(said.contains(&large(&fixture)) && said.contains("Transferred a partial file"), "{said}");
    let asked: Vec<_> = server.asked().into_iter().filter(|line| line.contains(&large(&fixture))).collect();
    // The first try brought something, and two others nothing more.
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[test]
fn a_later_pull_goes_on_in_the_middle_of_a_large_object() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let faults = Faults { cut_answer: Some(2_000_000), ..Faults::default() };
    let proxy = Proxy::start(server.address, faults);
    fixture.repository("ours", "bare-user", &format!("{}/repo", proxy.url()));
    let said = fixture.refused(&["pull", "--repo=ours", "--network-retries=0", "origin", "main"]);
    assert!(said.contains("Transferred a partial file"), "{said}");
    let large = large(&fixture);
    server.asked();
    let url = format!("--url={}", server.url("repo"));
    fixture.ours(&["pull", "--repo=ours", &url, "origin", "main"]);
    let parts: Vec<_> = server.asked().into_iter().filter(|line| line.contains(&large)).collect();
    let [part] = &parts[..] else { panic!("{parts:?}") };
    assert!(part.contains(" 206 bytes=1"), "{part}");
    fixture.fsck("ours");
    let left: Vec<_> = fs::read_dir(fixture.path("ours/tmp")).unwrap().flatten().collect();
    assert!(left.iter().all(|entry| entry.file_name() == "cache"), "{left:?}");
}

#[test]
fn a_part_that_turns_out_wrong_is_thrown_away() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "bare-user", &server.url("repo"));
    let checksum = large(&fixture).replace('/', "").replace(".filez", "");
    let mut part = vec![b'\n'; 256];
    part.extend(noise(1_000_000));
    fs::write(fixture.path(&format!("ours/tmp/fetch-{checksum}.filez")), part).unwrap();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    fixture.fsck("ours");
    let asked: Vec<_> = server.asked().into_iter().filter(|line| line.contains(&large(&fixture))).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
}

/// A server whose object is as wrong as what an earlier pull left of it is asked once more, and not without end.
#[test]
fn an_object_that_stays_wrong_is_refused() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let object = large(&fixture);
    let path = fixture.path("srv/repo/objects").join(&object);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    for mode in ["bare-user", "archive"] {
        fixture.repository("ours", mode, &server.url("repo"));
        let mut part = vec![b'\n'; 256];
        part.extend(noise(1_000_000));
        let checksum = object.replace('/', "").replace(".filez", "");
        fs::write(fixture.path(&format!("ours/tmp/fetch-{checksum}.filez")), part).unwrap();
        server.asked();
        let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
        assert!(said.contains(&checksum), "{said}");
        let asked: Vec<_> = server.asked().into_iter().filter(|line| line.contains(&object)).collect();
        assert_eq!(asked.len(), 2, "{asked:?}");
    }
}

#[test]
fn damaged_objects_are_refused_by_name() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let objects = fixture.path("srv/repo/objects");
    let commit = fixture.c(&["rev-parse", "--repo=srv/repo", "main"]);
    let tree = fixture.c(&["show", "--repo=srv/repo", "--raw", "main"]);
    assert!(tree.contains('('), "{tree}");
    for path in [large(&fixture), format!("{}/{}.commit", &commit[..2], &commit[2..])] {
        for mode in ["bare-user", "archive"] {
            let file = objects.join(&path);
            let good = fs::read(&file).unwrap();
            let mut bad = good.clone();
            let middle = bad.len() / 2;
            bad[middle] ^= 1;
            fs::write(&file, &bad).unwrap();
            fixture.repository("ours", mode, &server.url("repo"));
            let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
            fs::write(&file, &good).unwrap();
            let checksum = path.replace('/', "");
            let checksum = checksum.split('.').next().unwrap();
            assert!(said.contains(checksum), "{said}");
            assert!(!fixture.content("ours").keys().any(|name| name.starts_with("refs")));
            // With the good object it goes on.
            fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
            fixture.fsck("ours");
        }
    }
}

#[test]
fn a_damaged_summary_is_called_by_its_place() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let summary = fixture.path("srv/repo/summary");
    let good = fs::read(&summary).unwrap();
    let file = format!("file://{}", fixture.path("srv/repo").display());
    for (remote, place) in
        [(server.url("repo"), server.url("repo/summary")), (file, summary.display().to_string())]
    {
        fixture.repository("ours", "archive", &remote);
        for bytes in [&[][..], &good[..100]] {
            fs::write(&summary, bytes).unwrap();
            for args in
                [&["pull", "--repo=ours", "origin", "main"][..], &["remote", "refs", "--repo=ours", "origin"]]
            {
                let said = fixture.refused(args);
                assert!(said.contains(&format!("{place}: GVariant")), "{said}");
            }
            assert!(!fixture.content("ours").keys().any(|name| name.starts_with("refs")));
        }
        fs::write(&summary, "\n<html><title>Log in</title>").unwrap();
        let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
        let page = format!("error: {place} is a web page and no summary: is this the URL of a repository?");
        assert_eq!(said, page);
        fs::write(&summary, &good).unwrap();
        fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    }
}

#[test]
fn a_mirror_stores_unverified_content_only_if_it_is_told_to() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    // One object is held in memory, one goes through a file.
    let damaged = [object(&fixture, "/usr/bin/tool"), large(&fixture)];
    for name in &damaged {
        let path = fixture.path("srv/repo/objects").join(name);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    // As in C ostree, not where objects are unpacked, not without a mirror, and not where modes are judged.
    for (mode, options) in [
        ("archive", &["--mirror"][..]),
        ("archive", &["--http-trusted"]),
        ("archive", &["--http-trusted", "--mirror", "--bareuseronly-files"]),
        ("archive", &["--http-trusted", "--mirror", "--untrusted"]),
        ("bare-user", &["--http-trusted", "--mirror"]),
    ] {
        fixture.repository("ours", mode, &server.url("repo"));
        fixture.refused(&[&["pull", "--repo=ours"], options, &["origin", "main"]].concat());
        let content = fixture.content("ours");
        assert!(!damaged.iter().any(|name| content.contains_key(&format!("objects/{name}"))), "{options:?}");
    }
    for (name, program) in [("theirs", "ostree"), ("ours", super::OURS)] {
        fixture.repository(name, "archive", &server.url("repo"));
        let args = ["pull", &format!("--repo={name}"), "--mirror", "--http-trusted", "origin", "main"];
        super::succeed(fixture.start(program, &args));
        for object in &damaged {
            let [came, sent] = [name, "srv/repo"].map(|repo| fixture.path(repo).join("objects").join(object));
            assert_eq!(fs::read(came).unwrap(), fs::read(sent).unwrap());
        }
    }
    assert_eq!(fixture.content("ours"), fixture.content("theirs"));
    assert!(!fixture.start("ostree", &["fsck", "--repo=ours"]).status.success());
    // Metadata is verified in any case.
    let commit = fixture.c(&["rev-parse", "--repo=srv/repo", "main"]);
    let commit = format!("{}/{}.commit", &commit[..2], &commit[2..]);
    let path = fixture.path("srv/repo/objects").join(&commit);
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    fixture.repository("ours", "archive", &server.url("repo"));
    let said = fixture.refused(&["pull", "--repo=ours", "--mirror", "--http-trusted", "origin", "main"]);
    assert!(said.contains("Corrupted commit object"), "{said}");
}
