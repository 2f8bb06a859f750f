//! The command line of ostree-ext: all of its verbs and options are taken, under every name of the program.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use super::{OURS, repository_tree, start};
use crate::oracle::need;

const PROXY: &[&str] =
    &["--auth-anonymous", "--authfile=a", "--cert-dir=c", "--insecure-skip-tls-verification"];

/// Every verb of ostree-ext's program with its options and arguments, those of [`PROXY`] apart.
/// Source: `ostree-ext-cli … --help` of ostree-ext 0.15.3; the last two: ostree-ext in bootc 1.16.9,
/// `crates/ostree-ext/src/cli.rs`.
const EXT: &[(&str, &[&str], &[&str])] = &[
    ("tar import", &["--repo=r"], &["x.tar"]),
    ("tar export", &["--repo=r", "--format-version=1"], &["main"]),
    ("container unencapsulate", &["--repo=r", "--write-ref=x", "--quiet"], &["oci:o"]),
    ("container import", &["--repo=r", "--write-ref=x", "--quiet"], &["oci:o"]),
    ("container info", &[], &["oci:o"]),
    (
        "container encapsulate",
        &[
            "--repo=r",
            "-la=b",
            "--label=a=b",
            "--authfile=a",
            "--config=c",
            "--copymeta=k",
            "--copymeta-opt=k",
            "--cmd=c",
            "--compression-fast",
            "--contentmeta=c",
        ],
        &["main", "oci:o"],
    ),
    ("container export", &["--repo=r", "--authfile=a"], &["main", "oci:o"]),
    ("container commit", &[], &[]),
    ("container compare", &[], &["oci:o", "oci:p"]),
    ("container image list", &["--repo=r"], &[]),
    ("container image pull", &["--quiet", "--check=c"], &["r", "oci:o"]),
    ("container image history", &["--repo=r"], &["oci:o"]),
    ("container image metadata", &["--repo=r", "--config"], &["oci:o"]),
    (
        "container image deploy",
        &[
            "--sysroot=s",
            "--stateroot=o",
            "--imgref=ostree-unverified-image:oci:o",
            "--no-signature-verification",
            "--enforce-container-sigpolicy",
            "--ostree-remote=r",
            "--target-imgref=ostree-unverified-image:oci:o",
            "--no-imgref",
            "--karg=a",
            "--write-commitid-to=c",
        ],
        &[],
    ),
    ("container image copy", &["--src-repo=a", "--dest-repo=b"], &["oci:o"]),
    ("container image reexport", &["--repo=r", "--authfile=a", "--compression-fast"], &["oci:o", "oci:p"]),
    ("container image replace-detached-metadata", &["--src=oci:o", "--dest=oci:p"], &["x"]),
    ("container image remove", &["--repo=r", "--skip-gc"], &["oci:o"]),
    ("container image prune-layers", &["--repo=r"], &[]),
    ("container image prune-images", &["--sysroot=s", "--and-layers", "--full"], &[]),
    ("container image pull", &["--ostree-digestfile=d"], &["r", "oci:o"]),
    ("container image clear-cached-update", &["--repo=r"], &["oci:o"]),
];
/// Verbs that fetch images, with the options [`PROXY`].
const FETCHING: &[&str] =
    &["container unencapsulate", "container info", "container image pull", "container image deploy"];

/// Whether the arguments were understood, although nothing that they name exists.
fn is_understood(out: &Output) -> bool {
    let text = String::from_utf8_lossy(&out.stderr);
    !["unexpected argument", "Unknown ", "required arguments", "Usage:"]
        .iter()
        .any(|part| text.contains(part))
}

#[test]
fn options_of_ostree_ext() {
    let tmp = tempfile::tempdir().unwrap();
    for (verb, options, arguments) in EXT {
        let words: Vec<&str> = verb.split(' ').collect();
        let proxy = if FETCHING.contains(verb) { PROXY } else { &[] };
        // What an option needs beside it.
        let needed: Vec<&str> = match *verb {
            "container image copy" | "container image replace-detached-metadata" => options.to_vec(),
            "container commit" => vec!["--root=none"],
            "container image prune-images" => vec!["--sysroot=s"],
            "container image deploy" => vec!["--sysroot=s", "--imgref=ostree-unverified-image:oci:o"],
            _ => Vec::new(),
        };
        for option in options.iter().chain(proxy) {
            let other = needed.iter().filter(|needed| *needed != option);
            let args: Vec<&str> =
                words.iter().chain(other).chain([option]).chain(*arguments).copied().collect();
            let out = start(OURS, tmp.path(), &args);
            assert!(is_understood(&out), "{args:?}: {out:?}");
        }
        let out = start(OURS, tmp.path(), &[&words[..], &needed, arguments].concat());
        assert!(is_understood(&out), "{verb}: {out:?}");
        assert!(!out.status.success() || *verb == "container image prune-images", "{verb}: {out:?}");
    }
}

#[test]
fn verbs_that_only_the_peers_have() {
    let tmp = tempfile::tempdir().unwrap();
    for args in [
        &["ima-sign", "--repo=r", "main", "signed", "sha256", "key"][..],
        &["provisional-repair", "analyze-inodes", "--repo=r"],
    ] {
        let text = String::from_utf8(start(OURS, tmp.path(), args).stderr).unwrap();
        assert!(text.contains("does not exist here; ") && text.lines().count() == 1, "{args:?}: {text}");
    }
}

/// `ostree container …` as C ostree and ours understand it, `ostree-container …`, and its own `container …`.
#[test]
fn every_name_of_the_program() {
    let tmp = repository_tree();
    let dir = tmp.path();
    for args in [
        &["--repo=repo", "init", "--mode=archive"][..],
        &["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"],
        &["--repo=to", "init", "--mode=archive"],
    ] {
        assert!(start(OURS, dir, args).status.success(), "{args:?}");
    }
    let link = |name: &str| {
        fs::create_dir_all(dir.join("bin").join(name)).unwrap();
        let link = dir.join("bin").join(name).join(name);
        symlink(OURS, &link).unwrap();
        link.display().to_string()
    };
    let (ostree, extension) = (link("ostree"), link("ostree-container"));
    let mut programs: Vec<Vec<&str>> = vec![
        vec![OURS, "container"],
        vec![&ostree, "container"],
        vec![&extension],
        vec![&extension, "container"],
    ];
    if need("ostree") {
        programs.push(vec!["ostree", "container"]);
    }
    let path = format!("{}:{}", dir.join("bin/ostree-container").display(), std::env::var("PATH").unwrap());
    let ok = |program: &[&str], args: &[&str]| {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(args).current_dir(dir).env("PATH", &path).env_remove("OSTREE_REPO");
        let out = command.output().unwrap();
        assert!(out.status.success(), "{program:?} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let digest = ok(&[OURS, "container"], &["encapsulate", "--repo=repo", "main", "oci:first"]);
    let commit = ok(&[OURS], &["--repo=repo", "rev-parse", "main"]);
    for (at, program) in programs.iter().enumerate() {
        let image = format!("oci:image{at}");
        assert_eq!(ok(program, &["export", "--repo=repo", "main", &image]), digest, "{program:?}");
        let from = format!("ostree-unverified-image:{image}");
        let name = format!("--write-ref=ref{at}");
        let said = ok(program, &["import", "--repo=to", "--auth-anonymous", &name, &from]);
        assert_eq!(said, format!("Imported: ref{at} => {commit}"), "{program:?}");
        assert!(ok(program, &["--help"]).contains("unencapsulate"), "{program:?}");
    }
    // ostree-ext's program has `tar` beside `container`.
    let export = ["tar", "export", "--repo=repo", "main", "--format-version=1"];
    for (program, file) in [(&*extension, "ours.tar"), (OURS, "own.tar")] {
        ok(&[program], &[&export[..], &["-o", file]].concat());
    }
    assert!(fs::read(dir.join("ours.tar")).unwrap() == fs::read(dir.join("own.tar")).unwrap());
    images_by_pull(
        dir,
        &ok(&[OURS], &["pull", "--repo=to", "--ref=pulled", "ostree-unverified-image:oci:first"]),
        &commit,
    );
}

/// `pull` is for images; a remote of ostree is told from one.
fn images_by_pull(dir: &Path, pulled: &str, commit: &str) {
    assert_eq!(pulled, commit);
    assert_eq!(start(OURS, dir, &["--repo=to", "rev-parse", "pulled"]).stdout, commit.as_bytes());
    start(OURS, dir, &["--repo=to", "remote", "add", "origin", "http://127.0.0.1:1/repo"]);
    for args in [&["origin", "main"][..], &["origin:main"]] {
        let out = start(OURS, dir, &[&["pull", "--repo=to", "--network-retries=0"], args].concat());
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(text.contains("http://127.0.0.1:1/repo/summary"), "{text}");
    }
    for args in [&["other", "main", "more"][..], &["--subpath=/usr", "--untrusted", "other"]] {
        let out = start(OURS, dir, &[&["pull", "--repo=to"], args].concat());
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(text.contains("Remote \"other\" not found"), "{text}");
    }
}
