//! Mistakes of somebody's first hour: every message says what to do. Those about registries are in
//! `registry::messages`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{OURS, repository_tree, start};
use crate::oracle::{self, install, need, need_root};

/// Nobody in particular.
const NOBODY: u32 = 65534;

/// A directory with a repository of the mode bare-user, which has `main` and `os/stable`.
fn repository() -> TempDir {
    let tmp = repository_tree();
    for args in [
        &["--repo=repo", "init", "--mode=bare-user"][..],
        &["--repo=repo", "commit", "-b", "main", "--tree=dir=tree"],
        &["--repo=repo", "refs", "--create=exampleos/x86_64/stable", "main"],
    ] {
        let out = start(OURS, tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    tmp
}

/// The one line of a command that failed, without what tells nobody anything.
fn line(args: &[&str], out: &Output) -> String {
    let text = String::from_utf8(out.stderr.clone()).unwrap();
    assert_eq!(out.status.code(), Some(1), "{args:?}: {text}");
    for noise in ["(os error", "at byte 0", "invalid value"] {
        assert!(!text.contains(noise), "{args:?}: {text}");
    }
    let message = text.strip_prefix("error: ").and_then(|text| text.strip_suffix('\n'));
    let message = message.unwrap_or_else(|| panic!("{args:?}: {text}"));
    assert!(!message.contains('\n'), "{args:?}: {text}");
    message.to_owned()
}

fn said(dir: &Path, args: &[&str]) -> String {
    line(args, &start(OURS, dir, args))
}

#[test]
fn mistakes_and_what_to_do() {
    let tmp = repository();
    fs::create_dir_all(tmp.path().join("x")).unwrap();
    fs::create_dir_all(tmp.path().join("t")).unwrap();
    start(OURS, tmp.path(), &["--repo=repo", "remote", "add", "origin", "http://example.com"]);
    start(OURS, tmp.path(), &["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o"]);
    for (args, message) in [
        (
            &["container", "pull", "--repo=repo", "ocii:o1"][..],
            "unknown transport \"ocii\": did you mean oci:?",
        ),
        (&["--repo=x", "refs"], "x is not an ostree repository; `init` makes one"),
        (&["--repo=gone", "refs"], "Opening repository gone: No such file or directory; `init` makes one"),
        (
            &["--repo=repo", "checkout", "-U", "main", "t"],
            "t exists: --union writes into it, or name another directory",
        ),
        (
            &["--repo=repo", "container", "build", "--ref=main"],
            "where shall the image go? Give --oci-dir, --oci-archive or --push",
        ),
        (
            &["--repo=new", "init", "--mode=bear"],
            "--mode 'bear': there are bare, bare-user, archive, bare-user-only, bare-split-xattrs",
        ),
        (
            &["--repo=new", "init", "--mode=archiv"],
            "--mode 'archiv': there are archive, bare, bare-user, bare-user-only, bare-split-xattrs",
        ),
        (
            &["--repo=repo", "container", "pull", "ostree-remote-image:origin:oci:o"],
            "no key for remote origin yet: `remote gpg-import origin -k FILE` brings one",
        ),
        (
            &["--repo=repo", "commit", "-b", "", "--tree=dir=tree"],
            "--branch '': ref name: invalid ref name : a component starts with a letter, digit or '_', and goes \
             on with these, '-' or '.'",
        ),
        (
            &["--repo=repo", "commit", "-b", "new", "--tree=tree"],
            "Missing type in tree specification 'tree'; a directory is dir=tree",
        ),
        (
            &["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o", "--tag=bad tag"],
            "Creating o: \"bad tag\" cannot be the name of an image: letters and digits, and between them single characters of \
             -._:@+ or --, in parts with / between them",
        ),
        (
            &["--repo=repo", "container", "pull", "oci-archive:repo/config"],
            "oci-archive:repo/config: not an OCI image layout: the file is no tar archive, or damaged",
        ),
        (
            &["--repo=repo", "commit", "-b", "new", "--tar-pathname-filter=x", "--tree=tar=x"],
            "--tar-pathname-filter 'x': filter of path names: Missing ','",
        ),
        (
            &["--repo=repo", "commit", "-b", "new", "--keep-metadata=x", "--tree=dir=tree"],
            "Either --branch or --parent must be specified when using --keep-metadata",
        ),
    ] {
        assert_eq!(said(tmp.path(), args), message, "{args:?}");
    }
    let unsigned = said(tmp.path(), &["--repo=repo", "container", "pull", "oci:o"]);
    assert!(unsigned.contains("cannot be checked") && unsigned.contains("; give its keys (--gpg-keyring"));
}

/// Places that are not there, or not what they should be.
#[test]
fn places_and_what_to_do() {
    let tmp = repository();
    fs::create_dir_all(tmp.path().join("x")).unwrap();
    start(OURS, tmp.path(), &["--repo=repo", "remote", "add", "bare", "example.com/repo"]);
    start(OURS, tmp.path(), &["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o"]);
    let here = format!("{}/", tmp.path().canonicalize().unwrap().display());
    for (args, message) in [
        (
            &["--repo=repo", "commit", "-b", "new", "--statoverride=repo/config", "--tree=dir=tree"][..],
            "repo/config: statoverride file: Malformed statoverride file (no space found)",
        ),
        (
            &["--repo=repo", "checkout", "-U", "exampleos/x86_64/stable"],
            "mkdirat exampleos/x86_64/stable: No such file or directory: name a destination in a directory that exists",
        ),
        (
            &["--repo=repo", "pull", "orign"],
            "Remote \"orign\" not found; as an image, \"orign\" names no registry; write it in full, such as \
             docker.io/library/orign",
        ),
        (
            &["--repo=repo", "pull", "bare", "main"],
            "Invalid URI (relative URL without a base): example.com/repo; a server's begins with http:// or https://, \
             a directory's with file://",
        ),
        (
            &["--repo=repo", "container", "pull", "./o"],
            "Image \"./o\": image name: '.' is no host; for the layout that is here write oci:./o",
        ),
        (
            &["--repo=repo", "container", "pull", "ostree-remote:o"],
            "'ostree-remote:o': image reference: unknown scheme 'ostree-remote': there are ostree-image-signed, \
             ostree-unverified-image, ostree-unverified-registry, ostree-remote-image, ostree-remote-registry",
        ),
        (
            &["--repo=repo", "gpg-sign", "main", "me@example.org", "--gpg-homedir=gone"],
            "Opening gone: No such file or directory; --gpg-homedir names another place of secret keys; `gpg-new-key` \
             makes a file with one",
        ),
        (
            &["--repo=repo", "summary", "--view"],
            "openat(summary): No such file or directory; --update writes one",
        ),
        (
            &["--repo=repo", "container", "build", "--ref=main", "--oci-archive=o"],
            "Opening o: it is not a regular file",
        ),
        (&["--repo=repo", "prune", "--depth=many"], "--depth 'many': it is no whole number"),
        (
            &["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o", "--max-layers=0"],
            "--max-layers '0': it has to be at least 1",
        ),
        (
            &["--repo=repo", "serve", "--listen=8080"],
            "Listening at 8080: ADDRESS:PORT is needed, or :PORT for all addresses of this machine",
        ),
        (
            &["admin", "status", "--sysroot=x"],
            "sysroot x: not a sysroot: it has no ostree/repo; --sysroot names another one, `admin init-fs` makes one",
        ),
    ] {
        assert_eq!(said(tmp.path(), args).replace(&here, ""), message, "{args:?}");
    }
}

#[test]
fn the_word_that_was_meant() {
    let tmp = repository();
    for (args, message) in [
        (&["comit"][..], "Unknown command 'comit'; nearest: commit"),
        (&["remote", "lst"], "Unknown \"remote\" subcommand 'lst'; nearest: list"),
        (&["container", "pul"], "Unknown \"container\" subcommand 'pul'; nearest: pull"),
        (&["container", "image", "lsit"], "Unknown \"container image\" subcommand 'lsit'; nearest: list"),
        (&["rev-parse", "mian"], "Refspec 'mian' not found; nearest: main"),
        (&["ls", "stable"], "Refspec 'stable' not found; nearest: exampleos/x86_64/stable"),
        (
            &["checkout", "exampleos/x86-64/stabel"],
            "Refspec 'exampleos/x86-64/stabel' not found; nearest: exampleos/x86_64/stable",
        ),
        (&["log", "mian^"], "Refspec 'mian' not found; nearest: main"),
        (&["diff", "main", "nothing"], "Refspec 'nothing' not found"),
        (&["pull-local", ".", "mian"], "Refspec 'mian' not found; nearest: main"),
        (&["reset", "mian", "main"], "Invalid ref 'mian': Refspec 'mian' not found; nearest: main"),
        (&["--verson"], "Unknown option '--verson'; nearest: --version"),
        (&["container", "--bogus=x"], "Unknown option '--bogus' before a command"),
        (
            &["pull", "http://localhost:5000/os"],
            "Image \"http://localhost:5000/os\": image name: HOST[:PORT]/PATH is written without http:// in front",
        ),
        (&["pull", "UPPER/x"], "\"UPPER/x\" names no registry; write it in full, such as HOST/PATH"),
    ] {
        assert_eq!(said(&tmp.path().join("repo"), args), message, "{args:?}");
    }
    // What is like nothing gets the usage, also of a group in a group.
    for (args, usage) in [(&["xyzzy"][..], "rev-parse"), (&["container", "image", "xyzzy"], "prune-layers")] {
        let text = String::from_utf8(start(OURS, tmp.path(), args).stderr).unwrap();
        assert!(text.contains(usage) && !text.contains("nearest"), "{args:?}: {text}");
    }
}

/// Only root may give files away.
#[test]
fn owners_take_root() {
    let tmp = tempfile::tempdir().unwrap();
    let program = tmp.path().join("ostree-rs");
    install(Path::new(OURS), &program);
    fs::set_permissions(tmp.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let home = tmp.path().join("home");
    fs::create_dir_all(home.join("tree/usr")).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let run = |args: &[&str]| {
        let mut command = Command::new(&program);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.args(args).current_dir(&home).env_remove("OSTREE_REPO").output().unwrap()
    };
    let commit = |repo: &str| {
        let tree = ["commit", "-b", "x", "--tree=dir=tree", "--owner-uid=0", "--owner-gid=0"];
        run(&[&[repo][..], &tree].concat())
    };
    fs::write(home.join("tree/usr/file"), b"content").unwrap();
    for mode in ["bare", "bare-user"] {
        assert!(run(&[&format!("--repo={mode}"), "init", &format!("--mode={mode}")]).status.success());
    }
    let refused = line(&["commit"], &commit("--repo=bare"));
    let advice =
        "; a bare repository keeps owners, which takes root; one of `init --mode=bare-user` does without";
    assert!(refused.starts_with("cannot give ") && refused.ends_with(advice), "{refused}");
    assert!(refused.contains("/usr/file (") && refused.contains(".file) to user 0 and group 0"), "{refused}");

    assert!(commit("--repo=bare-user").status.success());
    let refused = line(&["checkout"], &run(&["--repo=bare-user", "checkout", "x", "out"]));
    assert!(
        refused.starts_with("cannot give ")
            && refused.ends_with("; --user-mode (-U) leaves owners as they are")
    );
    assert!(run(&["--repo=bare-user", "checkout", "-U", "x", "user"]).status.success());
}

/// Whoever may read a repository only is told so, whatever is to be written.
#[test]
fn repositories_that_are_not_ours() {
    if !need_root() {
        return;
    }
    let tmp = repository();
    let program = tmp.path().join("ostree-rs");
    install(Path::new(OURS), &program);
    fs::set_permissions(tmp.path(), PermissionsExt::from_mode(0o755)).unwrap();
    for args in [
        &["refs", "--delete", "main"][..],
        &["refs", "--create=new", "main"],
        &["reset", "main", "main"],
        &["gpg-sign", "main", "me@example.org"],
        &["sign", "main", "key"],
        &["tar", "import", "repo/config"],
        &["summary", "--update"],
        &["config", "set", "core.x", "1"],
        &["config", "unset", "core.mode"],
        &["remote", "add", "--no-gpg-verify", "origin", "http://localhost/"],
        &["commit", "-b", "main", "--tree=ref=main"],
        &["pull-local", "repo", "main"],
    ] {
        let mut command = Command::new(&program);
        command.uid(NOBODY).gid(NOBODY).current_dir(tmp.path()).arg("--repo=repo").args(args);
        let out = command.env_remove("OSTREE_REPO").output().unwrap();
        let repo = tmp.path().canonicalize().unwrap().join("repo");
        let expected = format!("Cannot write to repository {}: Permission denied", repo.display());
        assert_eq!(line(args, &out), expected, "{args:?}");
    }
}

/// Runs a script with our program as `$0`, which may mount things.
fn script(script: &str) -> (TempDir, Output) {
    let temp = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, OURS]).current_dir(temp.path());
    let out = command.env_remove("OSTREE_REPO").output().unwrap();
    (temp, out)
}

/// A full file system is named, with what is free on it and what stays; with more room the next run succeeds.
#[test]
fn no_room() {
    if !need_root() || !need("unshare") {
        return;
    }
    if !script("mount -t tmpfs -o size=6m none /mnt").1.status.success() {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let full = "mkdir m tree; mount -t tmpfs -o size=6m none m; head -c 8000000 /dev/urandom >tree/large
        $0 --repo=m/r init --mode=bare-user; $0 --repo=r init --mode=bare-user
        $0 --repo=m/r config set core.min-free-space-percent LIMIT; $0 --repo=r commit -b x --tree=dir=tree >id
        set +e\n";
    let large = "8.0\u{a0}MB were needed next, and ";
    for (limit, command, parts) in [
        (
            "0",
            "--repo=m/r commit -b x --tree=dir=tree",
            &["write an object in ", "/m/r/tmp/", large, " are free on "][..],
        ),
        ("3", "--repo=m/r commit -b x --tree=dir=tree", &["/m/r: min-free-space-percent '3%'", large]),
        ("0", "--repo=m/r pull-local --untrusted r", &["write an object in ", "/m/r/tmp/", large]),
        ("0", "--repo=r checkout -UC x m/out", &["Writing m/out: ", " are free now on "]),
        ("0", "--repo=r container build --ref=x --oci-dir=m/o", &["Writing oci:m/o: ", " are free now on "]),
        (
            "0",
            "--repo=r container build --ref=x --oci-archive=m/o",
            &["Writing oci-archive:m/o: ", " are free now on "],
        ),
        ("0", "--repo=r export x -o m/o.tar", &["Writing m/o.tar: ", " are free now on "]),
        ("0", "--repo=r tar export x -o m/o.tar", &["Writing m/o.tar: ", " are free now on "]),
    ] {
        let again = match command.contains("commit") {
            true => "mount -o remount,size=32m m && $0 --repo=m/r commit -b x --tree=dir=tree >again",
            false => "true",
        };
        let (temp, out) =
            script(&format!("{}$0 {command}; code=$?; {again} && exit $code", full.replace("LIMIT", limit)));
        let message = line(&[command], &out);
        let mount = temp.path().canonicalize().unwrap().join("m").display().to_string();
        let kept = "; what was written is kept for the next run";
        let end = format!(" on {mount}{}", if command.starts_with("--repo=m/r") { kept } else { "" });
        assert!(message.contains("No space left on device") || limit == "3", "{command}: {message}");
        assert!(message.ends_with(&end), "{command}: {message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
    }
}

/// Room for bytes does not help where there may be no more files.
#[test]
fn no_inodes() {
    if !need_root() || !need("unshare") {
        return;
    }
    if !script("mount -t tmpfs -o nr_inodes=60 none /mnt").1.status.success() {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let full = "mkdir m tree; mount -t tmpfs -o size=6m,nr_inodes=60 none m
        for n in $(seq 80); do echo $n >tree/$n; done; $0 --repo=m/r init --mode=archive
        code=0; $0 --repo=m/r commit -b x --tree=dir=tree || code=$?
        mount -o remount,nr_inodes=2k m; $0 --repo=m/r commit -b x --tree=dir=tree >id; ostree --repo=m/r fsck -q; exit $code";
    let (_temp, out) = script(full);
    let message = line(&["commit"], &out);
    assert!(
        message.contains("No space left on device") && message.contains(" inodes are free on "),
        "{message}"
    );
}

/// A checkout does without the cache of its repository where that takes no more; C ostree fails.
#[test]
fn no_room_for_a_cache() {
    if !need_root() || !need("unshare") || !need("ostree") {
        return;
    }
    if !script("mount -t tmpfs -o size=2m none /mnt").1.status.success() {
        eprintln!("skipped: no tmpfs can be mounted here");
        return;
    }
    let full = "mkdir m tree; mount -t tmpfs -o size=2m none m; head -c 8000000 /dev/zero >tree/large
        $0 --repo=m/r init --mode=archive; $0 --repo=m/r config set core.min-free-space-percent 0
        $0 --repo=m/r commit -b x --tree=dir=tree >id; ! ostree --repo=m/r checkout -U x theirs
        $0 --repo=m/r checkout -U x out; diff -r tree out; [ \"$(ls -A m/r/tmp)\" = cache ]";
    let (_temp, out) = script(full);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.contains("No space left on device"), "{said}");
}

/// A pair of keys is written as a whole, so that the next try has nothing in its way.
#[test]
fn half_a_key_is_not_left_behind() {
    let tmp = tempfile::tempdir().unwrap();
    std::fs::write(tmp.path().join("key.asc"), "mine").unwrap();
    let args = ["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Me <me@example.org>"];
    assert_eq!(said(tmp.path(), &args), "key.asc exists: name another file, or move it away");
    assert!(!tmp.path().join("secret.asc").exists());
    assert_eq!(std::fs::read(tmp.path().join("key.asc")).unwrap(), b"mine");
    std::fs::remove_file(tmp.path().join("key.asc")).unwrap();
    assert!(start(OURS, tmp.path(), &args).status.success());
}

/// Keys that do not fit are told apart: half a pair, and those of somebody else.
#[test]
fn keys_that_do_not_fit() {
    let tmp = repository();
    let run = |args: &[&str]| {
        let out = start(OURS, tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    };
    let new = |name: &str| {
        let [secret, public] = ["secret", "public"].map(|half| format!("--{half}={name}-{half}.asc"));
        run(&["gpg-new-key", &secret, &public, &format!("{name} <{name}@example.org>")])
    };
    let mine = new("mine");
    new("other");
    let sign = ["--repo=repo", "gpg-sign", "main", "mine@example.org", "--gpg-homedir"];
    let with = |last| [&sign[..], &[last]].concat();
    assert_eq!(
        said(tmp.path(), &with("mine-public.asc")),
        format!("gpg key {mine} cannot sign: its secret key is not available")
    );
    run(&with("mine-secret.asc"));
    run(&["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o"]);
    let pull = ["--repo=repo", "pull", "--gpg-keyring=other-public.asc", "oci:o"];
    let text = String::from_utf8(start(OURS, tmp.path(), &pull).stderr).unwrap();
    assert!(text.contains("public key not found; the keys are those of other-public.asc"), "{text}");
}

/// What is in a file stays until the new content is whole; nothing else is left beside it.
#[test]
fn an_export_is_whole_or_not_there() {
    let tmp = repository();
    let object = fs::read_dir(tmp.path().join("repo/objects")).unwrap().find_map(|dir| {
        let mut files = fs::read_dir(dir.unwrap().path()).unwrap().map(|file| file.unwrap().path());
        files.find(|file| file.extension().is_some_and(|e| e == "file") && file.metadata().unwrap().len() > 0)
    });
    fs::remove_file(object.unwrap()).unwrap();
    fs::write(tmp.path().join("old.tar"), "old").unwrap();
    for args in [["export", "main", "-o", "old.tar"], ["export", "main", "-o", "new.tar"]] {
        for verb in [&["--repo=repo"][..], &["--repo=repo", "tar"]] {
            let message = said(tmp.path(), &[verb, &args[..]].concat());
            assert!(message.contains("object"), "{message}");
        }
    }
    assert_eq!(fs::read(tmp.path().join("old.tar")).unwrap(), b"old");
    let mut names: Vec<_> =
        fs::read_dir(tmp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["old.tar", "repo", "tree"]);
}

/// A repository of the mode bare-user that was copied without xattrs is no good to C ostree either; here it is said why.
#[test]
fn a_copy_without_xattrs() {
    if !need("ostree") {
        return;
    }
    let tmp = repository();
    oracle::run(
        "cp",
        &["-r", &format!("{}/repo", tmp.path().display()), &format!("{}/copy", tmp.path().display())],
    );
    assert!(!start("ostree", tmp.path(), &["--repo=copy", "fsck"]).status.success());
    let why = "it has no xattr user.ostreemeta: was the repository copied without xattrs?";
    let message = said(tmp.path(), &["--repo=copy", "checkout", "-U", "main", "out"]);
    assert!(message.ends_with(why), "{message}");
    let found = start(OURS, tmp.path(), &["--repo=copy", "fsck", "--all"]);
    let text = String::from_utf8(found.stderr).unwrap();
    assert!(!found.status.success() && text.contains(why) && !text.contains("(os error"), "{text}");
}

/// Who asks for another mode than the repository has is told.
#[test]
fn a_mode_stays() {
    let tmp = repository();
    let init = |mode: &str| start(OURS, tmp.path(), &["--repo=repo", "init", mode]);
    let out = init("--mode=archive");
    assert!(out.status.success());
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(text, "warning: repo is a repository already, and stays one of mode bare-user\n");
    assert!(init("--mode=bare-user").stderr.is_empty());
}

/// A hard link cannot go to another file system; the message tells what can.
#[test]
fn links_stay_on_one_file_system() {
    if !need_root() || !need("unshare") {
        return;
    }
    let command = "$0 --repo=r checkout -UH x m/out";
    let (_temp, out) = script(&format!(
        "mkdir m tree; mount -t tmpfs none m; echo x >tree/x; $0 --repo=r init --mode=bare-user
        $0 --repo=r commit -b x --tree=dir=tree >id; {command}"
    ));
    let message = line(&[command], &out);
    assert!(
        message.ends_with("; hard links stay on one file system, and without -H files are copied"),
        "{message}"
    );
}

/// Who asks for layers by packages is told when nothing tells of packages.
#[test]
fn layers_without_packages() {
    let tmp = repository();
    let build = |more: &[&str]| {
        let args = ["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o"];
        let out = start(OURS, tmp.path(), &[&args[..], more].concat());
        assert!(out.status.success());
        String::from_utf8(out.stderr).unwrap()
    };
    let warning = "warning: no database of dpkg, rpm, apk or pacman in the commit tells of packages: layers are made by \
                   paths\n";
    assert_eq!(build(&["--max-layers=8"]), warning);
    assert_eq!(build(&[]), "");
}
