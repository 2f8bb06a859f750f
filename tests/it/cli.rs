//! The program beside C ostree on the same repository: same output, same exit code.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::oracle::{need, run};

/// Our program.
const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

fn start(program: &str, dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).env("TZ", "UTC").env("LC_ALL", "C.UTF-8").env_remove("OSTREE_REPO");
    command.output().unwrap_or_else(|e| panic!("{program}: {e}"))
}

/// Runs both programs and compares standard output and exit code.
fn same(dir: &Path, args: &[&str]) {
    let (theirs, ours) = (start("ostree", dir, args), start(OURS, dir, args));
    // Older versions of C ostree list refs in no order.
    let sort = args.contains(&"refs");
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        if sort {
            lines.sort_unstable();
        }
        lines.concat()
    };
    assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{args:?}: {}", text(&ours.stderr));
    assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}: {}", text(&ours.stderr));
}

/// A directory with a small tree.
fn repository_tree() -> TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let at = |path: &str| tmp.path().join(path);
    fs::create_dir_all(at("tree/usr/bin")).unwrap();
    fs::create_dir_all(at("tree/usr/ä ö/empty")).unwrap();
    fs::write(at("tree/usr/bin/tool"), b"#!/bin/sh\nexit 0\n").unwrap();
    fs::write(at("tree/usr/empty"), b"").unwrap();
    symlink("bin/tool", at("tree/usr/link")).unwrap();
    symlink("/usr/bin/tool", at("tree/usr/absolute")).unwrap();
    tmp
}

/// A directory with a repository `repo` of two commits on `main`, written by C ostree.
fn repository(mode: &str) -> TempDir {
    let tmp = repository_tree();
    let at = |path: &str| tmp.path().join(path);
    let c = |args: &[&str]| {
        let out = start("ostree", tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    };
    c(&["--repo=repo", "init", &format!("--mode={mode}")]);
    c(&[
        "--repo=repo",
        "commit",
        "-b",
        "main",
        "-s",
        "First",
        "-m",
        "Body\n\nof two paragraphs",
        "--timestamp=2024-01-02 03:04:05 +0000",
        "--add-metadata-string=version=1.0",
        "--add-metadata=n=uint64 7",
        "--tree=dir=tree",
    ]);
    fs::write(at("tree/usr/new"), b"new\n").unwrap();
    c(&["--repo=repo", "commit", "-b", "main", "--timestamp=2024-02-03 04:05:06 +0000", "--tree=dir=tree"]);
    c(&["--repo=repo", "refs", "--create=a/b/c", "main^"]);
    c(&["--repo=repo", "refs", "--create=origin:main", "main"]);
    c(&["--repo=repo", "refs", "-A", "--create=alias", "main"]);
    tmp
}

const MODES: [&str; 3] = ["bare-user", "bare-user-only", "archive"];

#[test]
fn what_reads() {
    if !need("ostree") {
        return;
    }
    for mode in MODES {
        let tmp = repository(mode);
        let repo = |args: &[&str]| same(tmp.path(), &[&["--repo=repo"], args].concat());
        let lines: [&[&str]; 46] = [
            &["refs"],
            &["refs", "a"],
            &["refs", "a/b/c"],
            &["refs", "--list", "a"],
            &["refs", "origin:"],
            &["refs", "origin:."],
            &["refs", "-A"],
            &["refs", "nothing"],
            &["refs", "--delete"],
            &["rev-parse", "main"],
            &["rev-parse", "main^", "a/b/c", "origin:main"],
            &["rev-parse", "main^^"],
            &["rev-parse", "nothing"],
            &["rev-parse", "-S"],
            &["rev-parse"],
            &["log", "main"],
            &["log", "--raw", "main"],
            &["log"],
            &["show", "main"],
            &["show", "main^"],
            &["show", "--raw", "main^"],
            &["show", "-B", "main^"],
            &["show", "--print-metadata-key=version", "main^"],
            &["show", "--print-metadata-key=n", "main^"],
            &["show", "-B", "--print-metadata-key=n", "main^"],
            &["show", "--print-metadata-key=nothing", "main^"],
            &["show", "--print-detached-metadata-key=x", "main^"],
            &["ls", "main"],
            &["ls", "-R", "main"],
            &["ls", "-R", "-C", "main"],
            &["ls", "-R", "-C", "-X", "main"],
            &["ls", "-d", "main"],
            &["ls", "main", "/usr", "usr/link", "/usr/bin/tool"],
            &["ls", "-d", "main", "/usr/bin"],
            &["ls", "-R", "--nul-filenames-only", "main"],
            &["ls", "main", "/nothing"],
            &["ls", "main", "/usr/link/x"],
            &["cat", "main", "/usr/link", "usr/bin/tool", "/usr/absolute"],
            &["cat", "main", "/usr"],
            &["config", "get", "core.mode"],
            &["config", "get", "core.nothing"],
            &["diff", "main"],
            &["diff", "main^", "main"],
            &["diff", "main", "./tree"],
            &["diff", "--stats", "main^", "main"],
            &["diff", "main^^"],
        ];
        lines.iter().for_each(|args| repo(args));
        for object in ["tree", "meta", "file"].map(|kind| checksum_in(tmp.path(), kind)) {
            repo(&["show", &object]);
            repo(&["show", "--raw", &object]);
        }
    }
}

/// The checksum of an object of the tree.
fn checksum_in(dir: &Path, kind: &str) -> String {
    let list = start("ostree", dir, &["--repo=repo", "ls", "-C", "main", "/usr"]).stdout;
    let list = String::from_utf8(list).unwrap();
    let mut words =
        list.lines().find(|line| line.ends_with("/usr")).unwrap().split(' ').filter(|w| w.len() == 64);
    match kind {
        "tree" => words.next().unwrap().into(),
        "meta" => words.nth(1).unwrap().into(),
        _ => {
            let line = list.lines().find(|line| line.contains("/usr/empty")).unwrap();
            line.split(' ').find(|word| word.len() == 64).unwrap().into()
        }
    }
}

/// The same commands on a repository of each program leave the same config and refs.
#[test]
fn what_writes() {
    if !need("ostree") {
        return;
    }
    let lines: [&[&str]; 20] = [
        &["init", "--mode=bare-user", "--collection-id=org.example.Os"],
        &["init", "--mode=bare-user"],
        &["init", "--mode=nonsense"],
        &["config", "set", "core.min-free-space-size", "1GB"],
        &["config", "set", "--group=x y", "key", "a value"],
        &["config", "unset", "core.nothing"],
        &["config", "set", "nodot", "x"],
        &["config", "get", "core.mode", "extra"],
        &["remote", "add", "origin", "http://example.com", "a/b", "c"],
        &["remote", "add", "origin", "http://example.com"],
        &["remote", "add", "--if-not-exists", "origin", "http://example.org"],
        &["remote", "add", "--force", "--no-gpg-verify", "--set=x=y=z", "origin", "metalink=http://m"],
        &["remote", "add", "--no-sign-verify", "--contenturl=http://c", "zweite", "http://z"],
        &["remote", "list"],
        &["remote", "list", "-u"],
        &["remote", "show-url", "zweite"],
        &["remote", "show-url", "nothing"],
        &["remote", "delete", "nothing"],
        &["remote", "delete", "--if-exists", "nothing"],
        &["remote", "delete", "zweite"],
    ];
    let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for args in lines {
        let args = [args, &["--repo=repo"]].concat();
        let (t, o) = (start("ostree", theirs.path(), &args), start(OURS, ours.path(), &args));
        assert_eq!(o.status.code(), t.status.code(), "{args:?}: {}", String::from_utf8_lossy(&o.stderr));
        assert_eq!(o.stdout, t.stdout, "{args:?}");
        let config = |dir: &TempDir| fs::read_to_string(dir.path().join("repo/config")).unwrap();
        assert_eq!(config(&ours), config(&theirs), "{args:?}");
    }
}

#[test]
fn refs_are_written() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    run(
        "cp",
        &[OsStr::new("-a"), tmp.path().join("repo").as_ref(), tmp.path().join("other").as_ref()]
            .map(|s| s.to_str().unwrap()),
    );
    let lines: [&[&str]; 14] = [
        &["refs", "--create=main", "main^"],
        &["refs", "--create=x/y", "main^"],
        &["refs", "--create=x", "main"],
        &["refs", "--create=x/y/z", "main"],
        &["refs", "--create=x/y", "main", "--force"],
        &["refs", "-A", "--create=alias2", "x/y"],
        &["refs", "-A", "--create=alias3", "nothing"],
        &["refs", "-A", "--create=origin:alias", "main"],
        &["refs", "--delete", "x"],
        &["refs", "--delete", "alias2"],
        &["refs", "--delete", "x"],
        &["reset", "main", "main^"],
        &["reset", "nothing", "main"],
        &["refs", "--create=-bad", "main"],
    ];
    for args in lines {
        let theirs = start("ostree", tmp.path(), &[&["--repo=repo"], args].concat());
        let ours = start(OURS, tmp.path(), &[&["--repo=other"], args].concat());
        assert_eq!(
            ours.status.code(),
            theirs.status.code(),
            "{args:?}: {}",
            String::from_utf8_lossy(&ours.stderr)
        );
        let refs = |repo: &str| start(OURS, tmp.path(), &[&format!("--repo={repo}"), "refs", "-r"]).stdout;
        let aliases =
            |repo: &str| start("ostree", tmp.path(), &[&format!("--repo={repo}"), "refs", "-A"]).stdout;
        assert_eq!((refs("repo"), aliases("repo")), (refs("other"), aliases("other")), "{args:?}");
    }
}

/// What is ours alone: usage, version, extensions, completions, manual pages.
#[test]
fn around_the_verbs() {
    let tmp = tempfile::tempdir().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for (args, message) in [
        (&[][..], "error: No command specified"),
        (&["nothing"], "error: Unknown command 'nothing'"),
        (&["remote"], "error: No \"remote\" subcommand specified"),
        (&["remote", "nothing"], "error: Unknown \"remote\" subcommand 'nothing'"),
        (&["log", "--repo=/nowhere", "x"], "No such file or directory"),
        (&["log", "x"], "error: Command requires a --repo argument"),
    ] {
        let out = start(OURS, tmp.path(), args);
        assert_eq!((out.status.code(), out.stdout.len()), (Some(1), 0), "{args:?}");
        assert!(text(out.stderr).contains(message), "{args:?}");
    }
    for args in
        [&["--help"][..], &["commit", "--help"], &["remote", "--help"], &["-v", "remote", "add", "-h"]]
    {
        let out = start(OURS, tmp.path(), args);
        assert_eq!((out.status.code(), out.stderr.len()), (Some(0), 0), "{args:?}");
        assert_eq!(text(out.stdout).lines().filter(|line| line.starts_with("Usage")).count(), 1, "{args:?}");
    }
    let name = tmp.path().join("ostree");
    symlink(OURS, &name).unwrap();
    let version = start(name.to_str().unwrap(), tmp.path(), &["ls", "--version"]);
    assert!(text(version.stdout).starts_with("libostree:\n Version: '"));

    let extension = tmp.path().join("ostree-hello");
    fs::write(&extension, "#!/bin/sh\necho \"$@\"\n").unwrap();
    run("chmod", &["755", extension.to_str().unwrap()]);
    let extended = |program: &str| {
        let mut command = Command::new(program);
        command.args(["-v", "hello", "world"]).env("PATH", tmp.path()).output().unwrap()
    };
    assert_eq!(text(extended(name.to_str().unwrap()).stdout), "-v hello world\n");
    assert_eq!(extended(OURS).status.code(), Some(1));

    for shell in ["bash", "zsh", "fish"] {
        assert!(text(start(OURS, tmp.path(), &["completions", shell]).stdout).contains("rev-parse"));
    }
    assert!(start(OURS, tmp.path(), &["man", "pages"]).status.success());
    assert!(fs::read_to_string(tmp.path().join("pages/ostree-rs-commit.1")).unwrap().contains("timestamp"));
}

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

    ok(&["--repo=new", "init", "--mode=bare-user"]);
    let pull = ["--repo=new", "container", "pull", "--ref=pulled"];
    for (image, why) in [
        (&["oci:image:v1"][..], "--gpg-keyring FILE"),
        (&["ostree-remote-image:r:oci:image:v1"], "Remote \"r\" not found"),
        (&["oci:image:unsigned", "--gpg-keyring=public.gpg"], "no signatures found"),
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
    same(tmp.path(), &["--repo=new", "show", "pulled", "--gpg-verify-remote=r"]);
    same(tmp.path(), &["--repo=new", "remote", "gpg-list-keys", "r"]);
    assert_eq!(
        ok(&["--repo=new", "gpg-sign", "-d", "pulled", "signer@example.org"]),
        "Signatures deleted: 1\n"
    );
    same(tmp.path(), &["--repo=new", "show", "pulled"]);
}

#[test]
fn copies_between_repositories() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    for program in ["ostree", OURS] {
        start(program, tmp.path(), &["--repo=d", "init", "--mode=bare-user"]);
        fs::rename(tmp.path().join("d"), tmp.path().join(if program == OURS { "ours" } else { "theirs" }))
            .unwrap();
    }
    let lines: [&[&str]; 8] = [
        &["main"],
        &["--depth=-1", "main"],
        &["--remote=r", "main"],
        &["alias"],
        &["nothing"],
        &["--gpg-verify", "main"],
        &["--untrusted", "main"],
        &["--disable-verify-bindings", "alias"],
    ];
    for args in lines {
        let theirs = start("ostree", tmp.path(), &[&["--repo=theirs", "pull-local", "repo"], args].concat());
        let ours = start(OURS, tmp.path(), &[&["--repo=ours", "pull-local", "repo"], args].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}: {}", text(&ours.stderr));
        let refs = |repo: &str| start(OURS, tmp.path(), &[&format!("--repo={repo}"), "refs", "-r"]).stdout;
        assert_eq!(text(&refs("ours")), text(&refs("theirs")), "{args:?}");
    }
    for path in ["tree", "tree/usr/empty", "tree/usr/link", "nothing"] {
        same(tmp.path(), &["checksum", path]);
    }
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
}

/// Programs read JSON, and may stop reading.
#[test]
fn output_for_programs() {
    let tmp = repository_tree();
    let json = |args: &[&str]| {
        let out = start(OURS, tmp.path(), args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stderr.is_empty(), "{args:?}");
        let lines = String::from_utf8(out.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>()
    };
    start(OURS, tmp.path(), &["--repo=repo", "init", "--mode=bare-user-only"]);
    let commit = json(&["--repo=repo", "commit", "-b", "main", "-s", "Äh", "--tree=dir=tree", "--json"]);
    let id = commit[0]["commit"].clone();
    assert_eq!(commit[0]["content_written"], 4);
    let refs = json(&["--repo=repo", "refs", "--json"]);
    assert_eq!(refs[0], serde_json::json!([{"ref": "main", "commit": id}]));
    assert_eq!(json(&["--repo=repo", "show", "--json", "main"])[0]["subject"], "Äh");
    assert_eq!(json(&["--repo=repo", "log", "--json", "main"])[0]["commit"], id);
    let list = json(&["--repo=repo", "ls", "-R", "--json", "main"]);
    let link = list.iter().find(|line| line["path"] == "/usr/link").unwrap();
    assert_eq!((&link["type"], &link["target"]), (&"symlink".into(), &"bin/tool".into()));
    json(&["--repo=repo", "commit", "-b", "main", "--owner-uid=0", "--tree=dir=tree/usr", "--json"]);
    assert_eq!(json(&["--repo=repo", "diff", "--json", "main"])[0]["removed"], serde_json::json!(["/usr"]));
    assert_eq!(json(&["--repo=repo", "diff", "--stats", "--json", "main"])[0]["stats"]["from_objects"], 11);
    assert_eq!(json(&["--repo=repo", "fsck", "--json"])[0]["commits"], 2);
    let pruned = json(&["--repo=repo", "prune", "--refs-only", "--depth=0", "--no-prune", "--json"]);
    assert_eq!(pruned[0]["deleted"], false);
    let built = json(&["--repo=repo", "container", "build", "--ref=main", "--oci-dir=o", "--json"]);
    let image = "ostree-unverified-image:oci:o";
    assert_eq!(json(&["--repo=repo", "container", "pull", image, "--json"]), built);

    let shell =
        format!("{OURS} --repo=repo ls -R main $(yes / | head -n 2000) | head -n 1; echo ${{PIPESTATUS[0]}}");
    let out = Command::new("bash").args(["-c", &shell]).current_dir(tmp.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    assert!(String::from_utf8_lossy(&out.stdout).ends_with("\n0\n"));
}

/// Ctrl-C ends the work cleanly: exit code 130, no ref, nothing to fix.
#[test]
fn interrupted() {
    let tmp = tempfile::tempdir().unwrap();
    start(OURS, tmp.path(), &["--repo=repo", "init", "--mode=archive"]);
    fs::create_dir(tmp.path().join("tree")).unwrap();
    let file = fs::File::create(tmp.path().join("tree/large")).unwrap();
    file.set_len(8 << 30).unwrap();
    let mut command = Command::new(OURS);
    command.args(["--repo=repo", "commit", "-b", "main", "--tree=dir=tree"]).current_dir(tmp.path());
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    run("kill", &["-INT", &child.id().to_string()]);
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.status.code(), Some(130), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(start(OURS, tmp.path(), &["--repo=repo", "refs"]).stdout, b"");
    assert!(start(OURS, tmp.path(), &["--repo=repo", "fsck"]).status.success());
}
