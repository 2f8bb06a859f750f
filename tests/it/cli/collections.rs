//! Refs of collections: copied to volumes, and looked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{OURS, start};
use crate::oracle::{need, need_root, run};

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

/// Two collections of C ostree, and a repository `new` whose remotes they are; each has the other's keys.
fn remotes() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/file"), "x").unwrap();
    for (name, refs) in [("apps", &["app1", "app2"][..]), ("os", &["os/main"])] {
        let (repo, id) = (format!("--repo={name}"), format!("org.example.{name}"));
        ok(dir, "ostree", &["init", &repo, "--mode=archive", "--collection-id", &id]);
        for branch in refs {
            ok(
                dir,
                "ostree",
                &["commit", &repo, "-b", branch, "--timestamp=2024-01-01 00:00:00 +0000", "tree"],
            );
        }
        ok(dir, "ostree", &["summary", "-u", &repo]);
    }
    renew(dir);
    tmp
}

fn renew(dir: &Path) {
    let _ = fs::remove_dir_all(dir.join("new"));
    ok(dir, "ostree", &["init", "--repo=new", "--mode=bare-user"]);
    for name in ["apps", "os"] {
        let (url, id) =
            (format!("file://{}/{name}", dir.display()), format!("--collection-id=org.example.{name}"));
        ok(dir, "ostree", &["remote", "add", "--repo=new", "--no-gpg-verify", &id, name, &url]);
        // What it says does not matter: a volume is read with the keys of who has some.
        fs::write(dir.join(format!("new/{name}.trustedkeys.gpg")), "").unwrap();
    }
}

/// The lines in no order: those of refs have none in C ostree.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn remotes_are_found_as_the_c_program_finds_them() {
    if !need("ostree") {
        return;
    }
    let (tmp, apps, os) = (remotes(), "org.example.apps", "org.example.os");
    let dir = tmp.path();
    let lines: [&[&str]; 4] = [
        &[apps, "app1"],
        &[apps, "app1", os, "os/main"],
        &[apps, "app1", apps, "nothing"],
        &[apps, "nothing"],
    ];
    for args in lines {
        let args = [&["find-remotes", "--repo=new", "--finders=config"], args].concat();
        assert_eq!(sorted(&ok(dir, OURS, &args)), sorted(&ok(dir, "ostree", &args)), "{args:?}");
    }
    // C ostree pulls what it found by signed commits only; what comes has to be what its pull brings.
    for mirror in [&[][..], &["--mirror"]] {
        let seen = || {
            let refs = ok(dir, OURS, &["refs", "-c", "-r", "--repo=new"]);
            (refs, ok(dir, OURS, &["refs", "--repo=new"]))
        };
        for (remote, name) in [("apps", "app2"), ("os", "os/main")] {
            ok(dir, "ostree", &[&["pull", "--repo=new", remote, name], mirror].concat());
        }
        let theirs = seen();
        renew(dir);
        let args = ["find-remotes", "--repo=new", "--pull", apps, "app2", os, "os/main"];
        let said = ok(dir, OURS, &[&args, mirror].concat());
        assert!(said.ends_with("Pulled 2/2 refs successfully.\n"), "{said}");
        assert_eq!(seen(), theirs);
        assert!(theirs.0.lines().count() == 2, "{theirs:?}");
        renew(dir);
    }
    let some = ["find-remotes", "--repo=new", "--finders=config", "--pull", apps, "app1", apps, "nothing"];
    assert!(ok(dir, OURS, &some).ends_with("Pulled 1/1 refs successfully.\n"));
    renew(dir);
    // The repository says where to look, unless its user does. A remote whose collection is none hides no other.
    let config = std::fs::read_to_string(dir.join("new/config")).unwrap();
    let odd = "[remote \"odd\"]\nurl=http://127.0.0.1:1/\ncollection-id=not..one\n";
    std::fs::write(dir.join("new/config"), format!("{config}\n{odd}")).unwrap();
    let out = start(OURS, dir, &["pull", "--repo=new", "odd", "app1"]);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(error.contains("remote \"odd\".collection-id: Invalid collection ID"), "{error}");
    for (finders, found) in [("config;mount", true), ("mount", false)] {
        ok(dir, "ostree", &["config", "--repo=new", "set", "core.default-repo-finders", finders]);
        let find = ["find-remotes", "--repo=new", apps, "app1"];
        let [ours, theirs] = [OURS, "ostree"].map(|program| sorted(&ok(dir, program, &find)));
        assert_eq!(ours, theirs);
        assert_eq!(ours[0] != "No results.", found, "{ours:?}");
        let find = [&find[..], &["--finders=config"]].concat();
        assert_eq!(ok(dir, OURS, &find), ok(dir, "ostree", &find));
    }
    ok(dir, "ostree", &["config", "--repo=new", "set", "core.default-repo-finders", "moon"]);
    let out = start(OURS, dir, &["find-remotes", "--repo=new", apps, "app1"]);
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(error.contains("core.default-repo-finders: Unknown finder type ‘moon’"), "{error}");
    renew(dir);
    run("find", &[dir.join("apps/objects").to_str().unwrap(), "-name", "*.commit", "-delete"]);
    for (args, word) in [
        (&["--finders=moon", apps, "app1"][..], "Unknown finder type"),
        (&["--mirror", apps, "app1"], "--pull must also be"),
        (&["--finders=config", "--pull", apps, "app1"], "Failed to pull some refs"),
    ] {
        let out = start(OURS, dir, &[&["find-remotes", "--repo=new"], args].concat());
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(1) && error.contains(word), "{args:?}: {error}");
    }
}

#[test]
fn a_ref_of_a_collection_is_written_anew() {
    if !need("ostree") {
        return;
    }
    let tmp = remotes();
    let dir = tmp.path();
    for program in ["ostree", OURS] {
        renew(dir);
        ok(dir, "ostree", &["pull", "--repo=new", "apps", "app1", "app2"]);
        for from in ["apps:app1", "apps:app2"] {
            ok(dir, program, &["refs", "--repo=new", "-c", "--create=org.example.x:main", from]);
            let written = fs::read_to_string(dir.join("new/refs/mirrors/org.example.x/main")).unwrap();
            assert_eq!(written, ok(dir, "ostree", &["rev-parse", "--repo=new", from]), "{program}");
        }
    }
}

/// What is none names no collection, rather than one without refs.
#[test]
fn refs_of_something_that_is_no_collection() {
    if !need("ostree") {
        return;
    }
    let tmp = remotes();
    for id in ["org.example.apps", "org.example.nosuch", "app1", "org..x"] {
        let listed = |program| {
            let out = start(program, tmp.path(), &["refs", "--repo=apps", "-c", id]);
            let names = String::from_utf8(out.stdout).unwrap();
            (out.status.code(), names.lines().map(str::to_owned).collect::<BTreeSet<_>>())
        };
        assert_eq!(listed(OURS), listed("ostree"), "{id}");
    }
}

/// A stick that `create-usb` wrote is preferred, unless a remote has a later commit; without a signature it is not believed.
#[test]
fn volumes_are_looked_into() {
    if !need("ostree") || !need_root() {
        return;
    }
    let tmp = remotes();
    let dir = tmp.path();
    ok(dir, OURS, &["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Apps <apps@example.org>"]);
    ok(dir, OURS, &["remote", "gpg-import", "--repo=new", "-k", "key.asc", "apps"]);
    // Nothing of the mount is seen outside.
    let script = format!(
        "set -e; cd {dir}; mount -t tmpfs none /mnt
        {OURS} create-usb --repo=apps /mnt org.example.apps app1 >/dev/null
        {OURS} find-remotes --repo=new --finders=mount org.example.apps app1 >unsigned
        {OURS} gpg-sign --repo=apps --gpg-homedir=secret.asc app1 apps@example.org >/dev/null
        {OURS} create-usb --repo=apps /mnt org.example.apps app1 >/dev/null
        {OURS} find-remotes --repo=new --pull org.example.apps app1 >first
        ostree commit --repo=apps -b app1 tree >/dev/null; ostree summary -u --repo=apps
        {OURS} find-remotes --repo=new org.example.apps app1 >second",
        dir = dir.display(),
    );
    let before = ok(dir, "ostree", &["rev-parse", "--repo=apps", "app1"]);
    run("unshare", &["-m", "sh", "-c", &script]);
    let [unsigned, first, second] =
        ["unsigned", "first", "second"].map(|name| fs::read_to_string(dir.join(name)).unwrap());
    assert_eq!(unsigned, "No results.\n");
    assert!(
        first.starts_with("Result 0: file:///mnt/.ostree/repo\n - Finder: OstreeRepoFinderMount\n"),
        "{first}"
    );
    assert!(
        first.contains("\nResult 1: file://") && first.ends_with("Pulled 1/1 refs successfully.\n"),
        "{first}"
    );
    assert_eq!(ok(dir, OURS, &["rev-parse", "--repo=new", "apps:app1"]), before);
    assert!(second.contains("Finder: OstreeRepoFinderConfig") && !second.contains("Result 1"), "{second}");
}

/// A collection that is none concerns only what needs one: C ostree, too, opens such a repository.
#[test]
fn a_collection_id_that_is_none() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path();
    fs::create_dir(dir.join("tree")).unwrap();
    fs::write(dir.join("tree/file"), "1").unwrap();
    ok(dir, "ostree", &["init", "--repo=repo", "--mode=archive"]);
    ok(dir, "ostree", &["commit", "--repo=repo", "-b", "main", "--tree=dir=tree"]);
    let config = fs::read_to_string(dir.join("repo/config")).unwrap();
    for id in ["", "not..one"] {
        fs::write(dir.join("repo/config"), format!("{config}collection-id={id}\n")).unwrap();
        for args in [
            &["refs", "--repo=repo"][..],
            &["rev-parse", "--repo=repo", "main"],
            &["ls", "--repo=repo", "main"],
        ] {
            assert_eq!(ok(dir, OURS, args), ok(dir, "ostree", args), "{id} {args:?}");
        }
        ok(dir, OURS, &["fsck", "--repo=repo"]);
        // C ostree lists the refs as those of the collection that is none.
        assert_eq!(ok(dir, OURS, &["refs", "--repo=repo", "-c"]), "");
    }
    for args in
        [&["summary", "--repo=repo", "-u"][..], &["commit", "--repo=repo", "-b", "main", "--tree=dir=tree"]]
    {
        let out = start(OURS, dir, args);
        let error = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(error.contains("core.collection-id: Invalid collection ID not..one"), "{args:?}: {error}");
        assert_eq!(out.status.code(), Some(1), "{args:?}");
    }
}
