//! Static deltas that C ostree made, in pulls.

use std::fs;

use ostree_rs::delta::{SuperblockFile, read_head};
use ostree_rs::format::delta::{DeltaFallback, DeltaName, DeltaOp, DeltaPartEntry, Superblock, frame_part};
use ostree_rs::format::{Checksum, Commit, CommitId, CommitRef};

use super::{Fixture, noise};
use crate::proxy::{Faults, Proxy};

/// A fixture with a further commit on `main`, and a delta to it from the one before; gives that one.
fn with_delta(options: &[&str]) -> (Fixture, String) {
    let fixture = Fixture::new();
    let old = fixture.c(&["rev-parse", "--repo=srv/repo", "main"]);
    fs::write(fixture.path("tree/usr/lib/deep/er/new"), noise(1_600_000)).unwrap();
    fs::write(fixture.path("tree/usr/lib/file9"), "nine\n").unwrap();
    fixture.commit("main", "2024-01-05");
    fixture.c(&[&["static-delta", "generate", "--repo=srv/repo", "main"], options].concat());
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    (fixture, old)
}

#[test]
fn an_update_comes_by_a_delta_as_with_c_ostree() {
    for options in
        [&[][..], &["--inline"], &["--swap-endianness"], &["--min-fallback-size=1"], &["--max-chunk-size=1"]]
    {
        let (fixture, old) = with_delta(options);
        let Some(server) = fixture.serve() else { return };
        for mode in ["bare-user", "archive"] {
            for (name, program) in [("theirs", "ostree"), ("ours", super::OURS)] {
                fixture.repository(name, mode, &server.url("repo"));
                let repo = format!("--repo={name}");
                let old = format!("main@{old}");
                super::succeed(fixture.start(program, &["pull", &repo, "origin", &old]));
                server.asked();
                let said = super::succeed(fixture.start(program, &["pull", &repo, "origin", "main"]));
                let said = super::text(&said.stdout);
                let by_delta = said.contains(" delta parts, ");
                // C ostree does not count parts that lie in the superblock.
                assert!(name == "theirs" || by_delta == (mode != "archive"), "{options:?}: {said}");
                let objects = server.asked().iter().filter(|line| line.contains("filez")).count();
                // C ostree may ask for objects that a part will bring.
                if mode != "archive" && name == "ours" {
                    let fallbacks = usize::from(options == ["--min-fallback-size=1"]);
                    assert_eq!(objects, fallbacks, "{options:?}");
                }
            }
            assert_eq!(fixture.content("ours"), fixture.content("theirs"), "{options:?} {mode}");
            fixture.fsck("ours");
        }
    }
}

#[test]
fn a_dry_run_says_what_c_ostree_says() {
    let (fixture, old) = with_delta(&["--min-fallback-size=1"]);
    let Some(server) = fixture.serve() else { return };
    let dry = |program: &str, repo: &str| {
        let args = ["pull", repo, "--dry-run", "--require-static-deltas", "origin", "main"];
        super::text(&super::succeed(fixture.start(program, &args)).stdout)
    };
    for url in [server.url("repo"), format!("file://{}", fixture.path("srv/repo").display())] {
        fixture.repository("ours", "bare-user", &url);
        fixture.ours(&["pull", "--repo=ours", "origin", &format!("main@{old}")]);
        let before = fixture.content("ours");
        assert_eq!(dry(super::OURS, "--repo=ours"), dry("ostree", "--repo=ours"));
        assert_eq!(fixture.content("ours"), before);
        fixture.ours(&["pull", "--repo=ours", "--require-static-deltas", "origin", "main"]);
        fixture.fsck("ours");
    }
    let said = fixture.refused(&["pull", "--repo=ours", "--dry-run", "origin", "main"]);
    assert!(said.contains("--dry-run requires --require-static-deltas"), "{said}");
}

#[test]
fn deltas_that_are_required_have_to_be_there() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    for (mode, expected) in [
        ("bare-user", "deltas required, but none found"),
        ("archive", "Can't use static deltas in an archive repo"),
    ] {
        fixture.repository("ours", mode, &server.url("repo"));
        let said = fixture.refused(&["pull", "--repo=ours", "--require-static-deltas", "origin", "main"]);
        assert!(said.contains(expected), "{said}");
    }
}

/// Some servers answer with a page for every file that they lack: who has no index of deltas pulls without one.
#[test]
fn a_page_is_no_index_of_deltas() {
    let fixture = Fixture::new();
    let commit = fixture.c(&["rev-parse", "--repo=srv/repo", "main"]);
    fixture.c(&["config", "--repo=srv/repo", "set", "core.indexed-deltas", "true"]);
    let name = commit.parse::<Checksum>().unwrap().to_base64();
    let index = fixture.path("srv/repo/delta-indexes").join(&name[..2]).join(format!("{}.index", &name[2..]));
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::write(index, "<html>not found</html>").unwrap();
    let Some(server) = fixture.serve() else { return };
    for (name, program) in [("theirs", "ostree"), ("ours", super::OURS)] {
        fixture.repository(name, "bare-user", &server.url("repo"));
        super::succeed(fixture.start(program, &["pull", &format!("--repo={name}"), "origin", "main"]));
        let asked = server.asked();
        assert!(name == "theirs" || asked.iter().any(|line| line.contains(".index")), "{asked:?}");
    }
    assert_eq!(fixture.content("ours"), fixture.content("theirs"));
    fixture.repository("strict", "bare-user", &server.url("repo"));
    let required = ["pull", "--repo=strict", "--require-static-deltas", "origin", "main"];
    let said = fixture.refused(&required);
    assert!(said.contains("deltas required, but none found"), "{said}");
}

#[test]
fn a_damaged_delta_is_refused_and_leaves_nothing_behind() {
    let (fixture, old) = with_delta(&[]);
    let Some(server) = fixture.serve() else { return };
    let find = |name: &str| {
        let found =
            crate::oracle::run("find", &[fixture.path("srv/repo/deltas").to_str().unwrap(), "-name", name]);
        super::text(&found)
    };
    for (name, expected) in [("superblock", "Invalid checksum for static delta"), ("0", "checksum")] {
        fixture.repository("ours", "bare-user", &server.url("repo"));
        fixture.ours(&["pull", "--repo=ours", "origin", &format!("main@{old}")]);
        let file = find(name);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(&file, bad).unwrap();
        let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
        assert!(said.contains(expected), "{said}");
        assert_eq!(fixture.c(&["rev-parse", "--repo=ours", "origin:main"]), old);
        fs::write(&file, good).unwrap();
        fixture.ours(&["pull", "--repo=ours", "--require-static-deltas", "origin", "main"]);
        fixture.fsck("ours");
    }
}

/// Replaces the superblock of the delta `name`, and what the summary says of it.
fn replace(fixture: &Fixture, name: &DeltaName, block: &Superblock) {
    fs::write(
        fixture.path("srv/repo").join(name.superblock_path()),
        block.to_bytes(|_| unreachable!()).unwrap(),
    )
    .unwrap();
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
}

/// What a superblock says of sizes, of itself and of commits need not be so, whoever has put it into the summary.
#[test]
fn a_delta_that_lies_does_no_harm() {
    let (fixture, old) = with_delta(&[]);
    let Some(server) = fixture.serve() else { return };
    let name: DeltaName = fixture.c(&["static-delta", "list", "--repo=srv/repo"]).parse().unwrap();
    let bytes = fs::read(fixture.path("srv/repo").join(name.superblock_path())).unwrap();
    let good = read_head(SuperblockFile::held(bytes), None).unwrap().superblock;
    let begin = || {
        fixture.repository("ours", "bare-user", &server.url("repo"));
        fixture.ours(&["pull", "--repo=ours", "origin", &format!("main@{old}")]);
    };
    let pull = ["pull", "--repo=ours", "origin", "main"];

    // More than there can be, and more than once.
    let mut block = good.clone();
    let sizes = (u64::MAX, u64::MAX);
    (block.parts[0].file_bytes, block.parts[0].unpacked_bytes) = sizes;
    let (object, (archived_bytes, unpacked_bytes)) = (block.parts[0].objects[0], sizes);
    block.fallbacks = vec![DeltaFallback { object, archived_bytes, unpacked_bytes }; 2];
    replace(&fixture, &name, &block);
    begin();
    fixture.ours(&["pull", "--repo=ours", "--dry-run", "--require-static-deltas", "origin", "main"]);
    fixture.ours(&pull);
    fixture.fsck("ours");

    // Another delta than it is called.
    for from in [None, Some(name.to)] {
        replace(&fixture, &name, &Superblock { from, ..good.clone() });
        begin();
        let said = fixture.refused(&pull);
        assert!(
            said.contains(&format!("Static delta {name} is damaged: its superblock is that of")),
            "{said}"
        );
    }

    // A further commit, without its files, which C ostree takes for one that is whole.
    let commit = fixture.path("srv/repo/objects").join(format!("{}/{}.commit", &old[..2], &old[2..]));
    let whole = CommitRef::parse(&fs::read(commit).unwrap()).unwrap().to_owned().unwrap();
    let planted = Commit { subject: "planted".into(), ..whole }.to_bytes();
    let id = CommitId::new(Checksum::of(&planted));
    let mut ops = Vec::new();
    DeltaOp::SpliceMeta { len: planted.len() as u64, offset: 0 }.write(&mut ops);
    let (head, tail) = frame_part(&[], &[], planted.len(), &ops);
    let part = [&[0][..], &head, &planted, &tail].concat();
    let mut block = good;
    block.parts.push(DeltaPartEntry {
        version: 0,
        checksum: Checksum::of(&part),
        file_bytes: part.len() as u64,
        unpacked_bytes: planted.len() as u64,
        objects: vec![id.into()],
    });
    replace(&fixture, &name, &block);
    fs::write(fixture.path("srv/repo").join(name.part_path(1)), &part).unwrap();
    begin();
    let said = fixture.refused(&pull);
    assert!(said.contains(&format!("{id}.commit is no object that a delta can hold")), "{said}");
    assert_eq!(fixture.c(&["rev-parse", "--repo=ours", "origin:main"]), old);
    assert!(fixture.start(super::OURS, &["show", "--repo=ours", &id.to_string()]).status.code() == Some(1));
}

#[test]
fn a_later_pull_goes_on_in_the_middle_of_a_part() {
    for (options, file) in [(&[][..], "/0 "), (&["--inline"], "/superblock ")] {
        let (fixture, old) = with_delta(options);
        let Some(server) = fixture.serve() else { return };
        fixture.repository("ours", "bare-user", &server.url("repo"));
        fixture.ours(&["pull", "--repo=ours", "origin", &format!("main@{old}")]);
        let proxy = Proxy::start(server.address, Faults { cut_answer: Some(1_300_000), ..Faults::default() });
        let url = format!("--url={}/repo", proxy.url());
        let said = fixture.refused(&["pull", "--repo=ours", &url, "--network-retries=0", "origin", "main"]);
        assert!(said.contains("Transferred a partial file"), "{said}");
        server.asked();
        fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
        let parts: Vec<_> = server.asked().into_iter().filter(|line| line.contains(file)).collect();
        let [part] = &parts[..] else { panic!("{parts:?}") };
        assert!(part.contains(" 206 bytes=1"), "{part}");
        fixture.fsck("ours");
        let left: Vec<_> = fs::read_dir(fixture.path("ours/tmp")).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| entry.file_name() == "cache"), "{left:?}");
    }
}

#[test]
fn a_directory_gives_its_deltas_to_who_requires_them() {
    let (fixture, old) = with_delta(&[]);
    // What only the delta has.
    let new = fixture.c(&["ls", "--repo=srv/repo", "-C", "main", "/usr/lib/deep/er/new"]);
    let object = new.split_whitespace().find(|word| word.len() == 64).unwrap();
    let (start, rest) = object.split_at(2);
    fs::remove_file(fixture.path(&format!("srv/repo/objects/{start}/{rest}.filez"))).unwrap();
    fixture.repository("ours", "bare-user", "file:///nowhere");
    fixture.ours(&["pull-local", "--repo=ours", "srv/repo", &old]);
    for without in [&[][..], &["--disable-static-deltas"]] {
        let pull = [&["pull-local", "--repo=ours", "srv/repo", "main"], without].concat();
        let said = fixture.refused(&pull);
        assert!(said.contains(object), "{said}");
    }
    let pull =
        ["pull-local", "--repo=ours", "--require-static-deltas", "--remote=origin", "srv/repo", "main"];
    fixture.ours(&pull);
    assert_eq!(
        fixture.c(&["rev-parse", "--repo=ours", "origin:main"]),
        fixture.c(&["rev-parse", "--repo=srv/repo", "main"])
    );
    fixture.fsck("ours");

    let list = fixture.c(&["static-delta", "list", "--repo=srv/repo"]);
    fixture.c(&["static-delta", "delete", "--repo=srv/repo", &list]);
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    fixture.repository("ours", "bare-user", "file:///nowhere");
    let said = fixture.refused(&pull);
    assert!(said.contains("deltas required, but none found"), "{said}");
    fixture.repository("ours", "archive", "file:///nowhere");
    let said = fixture.refused(&pull);
    assert!(said.contains("Can't use static deltas in an archive repo"), "{said}");
}
