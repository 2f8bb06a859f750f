//! Refs of collections: copied to volumes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{OURS, start};
use crate::oracle::{need, run};

const ID: &str = "org.example.Os";

/// A repository with a collection and three refs.
fn collection() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    fs::create_dir(tmp.path().join("tree")).unwrap();
    for (name, content) in [("a", "one"), ("b/c", "two"), ("d", "three")] {
        fs::write(tmp.path().join("tree/file"), content).unwrap();
        ok(tmp.path(), "ostree", &["init", "--repo=repo", "--mode=bare-user", "--collection-id", ID]);
        ok(tmp.path(), "ostree", &["commit", "--repo=repo", "-b", name, "tree"]);
    }
    tmp
}

fn ok(dir: &Path, program: &str, args: &[&str]) -> String {
    let out = start(program, dir, args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Both programs leave the same on a volume: objects, refs, links, and what a summary says.
#[test]
fn a_volume_is_written_as_the_c_program_does() {
    if !need("ostree") {
        return;
    }
    let tmp = collection();
    let lines: [(&[&str], &str); 4] = [
        (&["vol", ID, "a", ID, "b/c"], ".ostree/repo"),
        (&["vol", ID, "d", "--destination-repo=ostree/repo"], "ostree/repo"),
        (&["vol", ID, "d", "--destination-repo=x/y"], "x/y"),
        // It has a link already.
        (&["vol", ID, "a", "--destination-repo=x/y", "--disable-fsync"], "x/y"),
    ];
    for volume in ["vol-ours", "vol-theirs"] {
        fs::create_dir(tmp.path().join(volume)).unwrap();
    }
    for (args, at) in lines {
        let mut seen = Vec::new();
        for (program, volume) in [(OURS, "vol-ours"), ("ostree", "vol-theirs")] {
            let link = tmp.path().join("vol");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(volume, &link).unwrap();
            let said = ok(tmp.path(), program, &[&["create-usb", "--repo=repo"], args].concat());
            assert!(said.starts_with("Copied ") && said.contains(at), "{said}");
            let repo = format!("--repo={volume}/{at}");
            ok(tmp.path(), "ostree", &["fsck", "-q", &repo]);
            let summary = ok(tmp.path(), "ostree", &["summary", "-v", &repo]);
            let summary = summary.lines().filter(|line| !line.contains("Last-Modified"));
            let refs = ok(tmp.path(), OURS, &["refs", "-c", "-r", &repo]);
            let files =
                "find . -type l -printf '%p %l\\n' -o -path '*objects/*' -type f -printf '%p %s\\n' | sort";
            let script = format!("cd {} && {files}", tmp.path().join(volume).display());
            let files = String::from_utf8(run("sh", &["-c", &script])).unwrap();
            // C ostree does not know its link again, and makes another one each time.
            let files = files.replace("./.ostree/repos.d/01-generated ../../x/y\n", "");
            seen.push((summary.collect::<Vec<_>>().join("\n"), refs, files));
        }
        assert!(seen[0].2.contains(".filez") && seen[0].1.contains(ID));
        assert_eq!(seen[0], seen[1], "{args:?}");
    }
}

#[test]
fn what_cannot_be_copied() {
    if !need("ostree") {
        return;
    }
    let tmp = collection();
    fs::create_dir(tmp.path().join("vol")).unwrap();
    let lines: [(&[&str], &str); 6] = [
        (&["vol", ID, "nothing"], "No such ref"),
        (&["vol", ID, "a", ID], "Only complete COLLECTION-ID REF pairs"),
        (&["nowhere", ID, "a"], "nowhere"),
        (&["vol", "x", "a"], "collection"),
        (&["vol", ID, "a", "--destination-repo=../repo"], "outside"),
        (&[".", ID, "a", "--destination-repo=repo"], "must not be the source repository"),
    ];
    for (args, word) in lines {
        let out = start(OURS, tmp.path(), &[&["create-usb", "--repo=repo"], args].concat());
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(1) && error.contains(word), "{args:?}: {error}");
        assert!(fs::read_dir(tmp.path().join("vol")).unwrap().all(|e| e.unwrap().file_name() == ".ostree"));
    }
}
