//! Mistakes of somebody's first hour: every message says what to do. Those about registries are in
//! `registry::messages`.

use std::fs;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use super::{OURS, repository_tree, start};

/// A directory with a repository of the mode bare-user, which has `main` and `os/stable`.
pub(super) fn repository() -> TempDir {
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
pub(super) fn line(args: &[&str], out: &Output) -> String {
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

pub(super) fn said(dir: &Path, args: &[&str]) -> String {
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
