//! Requests one by one: what is found, conditions, ranges, and what is refused.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::Serving;
use crate::oracle::{need, run};

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

struct Fixture {
    _tmp: TempDir,
    repo: PathBuf,
    serving: Serving,
}

/// A server of a repository with a small and a large file.
fn fixture(mode: &str) -> Fixture {
    let tmp = tempfile::tempdir().unwrap();
    let (tree, repo) = (tmp.path().join("tree"), tmp.path().join("repo"));
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("small"), b"small\n").unwrap();
    let large: Vec<u8> = (0..400_000_u32).flat_map(|n| (n / 5).to_le_bytes()).collect();
    fs::write(tree.join("large"), large).unwrap();
    let arg = format!("--repo={}", repo.display());
    run(OURS, &[&arg, "init", &format!("--mode={mode}")]);
    run(OURS, &[&arg, "commit", "-b", "a/B.c", &format!("--tree=dir={}", tree.display())]);
    let serving = Serving::start(&repo);
    Fixture { _tmp: tmp, repo, serving }
}

impl Fixture {
    /// The path of an object, by its ending.
    fn object(&self, program: &[&str], ending: &str) -> String {
        let arg = format!("--repo={}", self.repo.display());
        let out = String::from_utf8(run(OURS, &[&[&*arg], program].concat())).unwrap();
        let is_checksum = |word: &&str| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit());
        let checksum = out.split_whitespace().find(is_checksum).expect("a checksum");
        format!("/repo/objects/{}/{}.{ending}", &checksum[..2], &checksum[2..])
    }

    fn file(&self, name: &str) -> String {
        self.object(&["ls", "-C", "a/B.c", name], "filez")
    }
}

#[test]
fn what_is_there_is_found() {
    for mode in ["bare-user", "archive"] {
        let fixture = fixture(mode);
        let serving = &fixture.serving;
        let config = serving.get("/repo/config");
        assert_eq!((config.status, config.text()), (200, "[core]\nrepo_version=1\nmode=archive-z2\n"));
        let commit = serving.get("/repo/refs/heads/a/B.c");
        assert_eq!(commit.status, 200);
        assert_eq!(commit.text().trim(), commit.text().trim().to_lowercase());
        let path = format!("/repo/objects/{}/{}.commit", &commit.text()[..2], commit.text()[2..].trim());
        let object = serving.get(&path);
        assert_eq!(object.status, 200);
        assert_eq!(ostree_rs::format::Checksum::of(&object.body).to_string(), commit.text().trim());
        for missing in [
            "/repo",
            "/repo/",
            "/repo/tmp",
            "/repo/refs/heads/none",
            "/repo/refs/heads/../../config",
            "/repo/%2e%2e/%2e%2e/etc/passwd",
            "/repo/refs/heads/..%2f..%2fconfig",
            "/repo/objects/00/00000000000000000000000000000000000000000000000000000000000000.filez",
            "/repo/summary.sig",
            "/repo/.lock",
            "/elsewhere",
        ] {
            let reply = serving.get(missing);
            assert_eq!(reply.status, 404, "{missing}");
            assert!(reply.text().len() > 10, "{missing}");
        }
        for bad in ["/repo/%zz", "/repo/%ff", "/repo/a%00b", "/repo/%2"] {
            assert_eq!(serving.get(bad).status, 400, "{bad}");
        }
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let reply = serving.ask(method, "/repo/config", &["Content-Length: 0"]);
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
        }
    }
}

/// Small objects, large ones that are packed, and files: each by itself, in parts, and when it is known already.
#[test]
fn conditions_and_ranges() {
    for mode in ["bare-user", "archive"] {
        let fixture = fixture(mode);
        let serving = &fixture.serving;
        let dirtree = fixture.object(&["ls", "-d", "-C", "a/B.c", "/"], "dirtree");
        for path in [fixture.file("/small"), fixture.file("/large"), dirtree, "/repo/summary".into()] {
            let whole = serving.get(&path);
            assert_eq!(whole.status, 200, "{mode} {path}");
            // Of one that is being packed nobody knows the length before; it is known now.
            let again = serving.get(&path);
            assert!(again.body == whole.body, "{mode} {path}");
            let len = whole.body.len();
            assert_eq!(again.header("content-length"), Some(&*len.to_string()), "{mode} {path}");
            let etag = again.header("etag").unwrap();
            assert_eq!(whole.header("etag"), Some(etag));

            let head = serving.ask("HEAD", &path, &[]);
            assert_eq!((head.status, head.header("etag"), head.body.len()), (200, Some(etag), 0));
            let known = serving.ask("GET", &path, &[&format!("If-None-Match: \"x\", W/{etag}")]);
            assert_eq!((known.status, known.body.len()), (304, 0), "{mode} {path}");
            let other = serving.ask("GET", &path, &["If-None-Match: \"x\""]);
            assert!(other.status == 200 && other.body == whole.body);

            for (range, from, to) in
                [("3-7", 3, 8), ("0-", 0, len), ("-5", len - 5, len), ("4-9999999", 4, len)]
            {
                let part = serving.ask("GET", &path, &[&format!("Range: bytes={range}")]);
                assert_eq!(part.status, 206, "{mode} {path} {range}");
                assert!(part.body == whole.body[from..to], "{mode} {path} {range}");
                let expected = format!("bytes {from}-{}/{len}", to - 1);
                assert_eq!(part.header("content-range"), Some(&*expected));
            }
            let outside = serving.ask("GET", &path, &[&format!("Range: bytes={len}-")]);
            assert_eq!(outside.status, 416, "{mode} {path}");
            assert_eq!(outside.header("content-range"), Some(&*format!("bytes */{len}")));
            let same = serving.ask("GET", &path, &["Range: bytes=1-2", &format!("If-Range: {etag}")]);
            assert_eq!(same.status, 206);
            let changed = serving.ask("GET", &path, &["Range: bytes=1-2", "If-Range: \"x\""]);
            assert!(changed.status == 200 && changed.body == whole.body);
        }
    }
}

/// A ref that moves is seen at once, and so is the summary.
#[test]
fn changes_are_seen() {
    let fixture = fixture("bare-user");
    let (serving, arg) = (&fixture.serving, format!("--repo={}", fixture.repo.display()));
    let (before, summary) = (serving.get("/repo/refs/heads/a/B.c"), serving.get("/repo/summary"));
    run(OURS, &[&arg, "commit", "-b", "a/B.c", "--tree=ref=a/B.c", "-s", "another"]);
    let after = serving.ask(
        "GET",
        "/repo/refs/heads/a/B.c",
        &[&format!("If-None-Match: {}", before.header("etag").unwrap())],
    );
    assert_eq!(after.status, 200);
    assert_ne!(after.body, before.body);
    let summary_of_ref = serving.get("/repo/summary").body;
    assert_ne!(summary_of_ref, summary.body);
    // And so are settings.
    run(OURS, &[&arg, "config", "set", "core.tombstone-commits", "true"]);
    run(OURS, &[&arg, "config", "set", "core.collection-id", "org.example.Os"]);
    let config = serving.get("/repo/config");
    assert_eq!(
        config.text(),
        "[core]\nrepo_version=1\nmode=archive-z2\ntombstone-commits=true\ncollection-id=org.example.Os\n"
    );
    let summary = serving.get("/repo/summary").body;
    assert!(summary.windows(14).any(|part| part == b"org.example.Os"));
    assert_ne!(summary, summary_of_ref);
}

/// Whether the kernel can take rights from a process.
fn has_landlock() -> bool {
    let ask = "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)";
    need("python3") && std::process::Command::new("python3").args(["-c", ask]).status().unwrap().success()
}

/// What a symbolic link in the repository leads to is outside, unless whoever serves it says otherwise.
#[test]
fn nothing_outside_is_read() {
    if !has_landlock() {
        eprintln!("skipped: no landlock");
        return;
    }
    let fixture = fixture("archive");
    let path = fixture.file("/small");
    let (inside, outside) =
        (fixture.repo.join("objects").join(&path[14..16]), fixture.repo.with_extension("outside"));
    fs::rename(&inside, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &inside).unwrap();
    assert_eq!(fixture.serving.get(&path).status, 500);
    let unconfined = Serving::start_with(&fixture.repo, &["--unconfined"]);
    assert_eq!(unconfined.get(&path).status, 200);
}

/// What damaged objects give: an error for whoever asks, and nothing for the others.
#[test]
fn damage_is_told() {
    let fixture = fixture("bare-user");
    let path = fixture.file("/large");
    let file = fixture.repo.join(path.trim_start_matches("/repo/")).with_extension("file");
    let xattr = std::process::Command::new("setfattr")
        .args(["-n", "user.ostreemeta", "-v", "rubbish"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(xattr.success());
    let reply = fixture.serving.get(&path);
    assert_eq!(reply.status, 500);
    assert!(!reply.text().contains('/'), "{}", reply.text());
    assert_eq!(fixture.serving.get("/repo/config").status, 200);
}
