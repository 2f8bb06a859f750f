//! The way of a commit into an image and out of it.

use std::fs;

use super::{OURS, repository, repository_tree, same, start};
use crate::oracle::{need, run};

/// A signed commit goes from a repository into an image and, verified, into another repository; C ostree sees
/// the same signature, and nothing goes in without one.
#[test]
fn signed_images() {
    if !need("ostree") || !need("gpg") {
        return;
    }
    let tmp = repository("archive");
    let at = |path: &str| tmp.path().join(path).to_str().unwrap().to_owned();
    let home = at("gnupg");
    fs::create_dir(&home).unwrap();
    run("chmod", &["700", &home]);
    let gpg = |args: &[&str]| {
        let common =
            ["--homedir", &home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
        run("gpg", &[&common, args].concat())
    };
    gpg(&["--quick-generate-key", "Signer <signer@example.org>", "rsa2048", "sign", "never"]);
    gpg(&["--output", &at("public.gpg"), "--export"]);
    gpg(&["--output", &at("secret.asc"), "--armor", "--export-secret-keys"]);
    gpg(&["--quick-generate-key", "Other <other@example.org>", "rsa2048", "sign", "never"]);
    fs::create_dir(at("system")).unwrap();
    gpg(&["--output", &at("system/other.gpg"), "--export", "other@example.org"]);
    run("gpgconf", &["--homedir", &home, "--kill", "all"]);
    fs::copy(at("public.gpg"), at("gnupg/pubring.gpg")).unwrap();

    let ours = |args: &[&str]| start(OURS, tmp.path(), args);
    let ok = |args: &[&str]| {
        let out = ours(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let signed = [
        "--repo=repo",
        "commit",
        "-b",
        "signed",
        "--tree=dir=tree",
        "--gpg-sign=signer@example.org",
        "--gpg-homedir=secret.asc",
        "--owner-uid=0",
        "--owner-gid=0",
    ];
    let commit = ok(&signed);
    same(tmp.path(), &["--repo=repo", "show", "signed", "--gpg-homedir=gnupg"]);
    run("ostree", &["fsck", "-q", "--repo", &at("repo")]);
    ok(&["--repo=repo", "container", "build", "--ref=signed", "--oci-dir=image", "--tag=v1"]);
    ok(&["--repo=repo", "container", "build", "--ref=main", "--oci-dir=image", "--tag=unsigned"]);
    let unsigned = ok(&["--repo=repo", "rev-parse", "main"]);

    ok(&["--repo=new", "init", "--mode=bare-user"]);
    let pull = ["--repo=new", "container", "pull", "--ref=pulled"];
    for (image, why) in [
        (&["oci:image:v1"][..], "--gpg-keyring FILE"),
        (&["ostree-remote-image:r:oci:image:v1"], "Remote \"r\" not found"),
        (&["oci:image:unsigned", "--gpg-keyring=public.gpg"], "no signatures found"),
        (&["oci:image:unsigned", "--gpg-keyring=public.gpg"], &format!("commit {}: ", unsigned.trim())),
        (&["oci:image:nothing", "--gpg-keyring=public.gpg"], "nothing"),
    ] {
        let out = ours(&[&pull, image].concat());
        assert_eq!(out.status.code(), Some(1), "{image:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains(why), "{image:?}: {out:?}");
        assert_eq!(ok(&["--repo=new", "refs"]), "");
    }
    let keyring = [&pull[..], &["oci:image:v1", "--gpg-keyring=public.gpg"]].concat();
    assert_eq!(ok(&keyring), commit);
    ok(&["--repo=new", "remote", "add", "--gpg-import=public.gpg", "r", "http://example.com"]);
    assert_eq!(ok(&["--repo=new", "container", "pull", "ostree-remote-image:r:oci:image:v1"]), commit);
    ok(&["--repo=new", "container", "pull", "ostree-unverified-image:oci:image:unsigned"]);
    // Its own keys are missed, whether the system has some or none.
    ok(&["--repo=new", "remote", "add", "keyless", "http://example.com"]);
    let of_image = ["container", "pull", "ostree-remote-image:keyless:oci:image:v1"];
    let of_commit = ["pull-local", "--remote=keyless", "--gpg-verify", "repo", "signed"];
    for (keys, verb, why) in [
        ("none", &of_image[..], "error: no key for"),
        ("system", &of_image, "public key not found; no key for"),
        ("none", &of_commit, "error: no key for"),
    ] {
        let keys = format!("OSTREE_GPG_HOME={keys}");
        let out = start("env", tmp.path(), &[&[&keys, OURS, "--repo=new"], verb].concat());
        let (error, end) = (
            String::from_utf8_lossy(&out.stderr),
            " remote keyless yet: `remote gpg-import keyless -k FILE` brings one\n",
        );
        assert!(error.contains(why) && error.ends_with(end), "{keys} {verb:?}: {error}");
    }
    same(tmp.path(), &["--repo=new", "show", "pulled", "--gpg-verify-remote=r"]);
    same(tmp.path(), &["--repo=new", "remote", "gpg-list-keys", "r"]);
    assert_eq!(
        ok(&["--repo=new", "gpg-sign", "-d", "pulled", "signer@example.org"]),
        "Signatures deleted: 1\n"
    );
    same(tmp.path(), &["--repo=new", "show", "pulled"]);
}

#[test]
fn demo_goes_the_whole_way() {
    let tmp = repository_tree();
    let out = start(OURS, tmp.path(), &["demo", "tree"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    for line in ["committed", "signed", "built", "refused", "pulled", "checked out", "compared    4 files"] {
        assert!(text.contains(&format!("  {line}")), "{line}: {text}");
    }
    // Who pastes the commands that it prints reaches the same commit.
    let by_hand = text.split_once("The same by hand, in an empty directory:\n").unwrap().1;
    let commit = text.lines().find_map(|line| line.strip_prefix("  committed   ")).unwrap();
    let commit = commit.split(' ').next().unwrap();
    let empty = tempfile::tempdir().unwrap();
    let programs = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(OURS, programs.path().join("ostree-rs")).unwrap();
    let path = format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("bash");
    let out =
        shell.args(["-ec", by_hand]).env("PATH", path).env_remove("OSTREE_REPO").current_dir(empty.path());
    let out = out.output().unwrap();
    assert!(out.status.success(), "{by_hand}{}", String::from_utf8_lossy(&out.stderr));
    for repo in ["--repo=source", "--repo=target"] {
        let rev = start(OURS, empty.path(), &[repo, "rev-parse", "demo"]).stdout;
        assert_eq!(String::from_utf8_lossy(&rev).trim_end(), commit, "{repo}");
    }
    assert!(empty.path().join("checkout/usr/bin/tool").is_file());
}
