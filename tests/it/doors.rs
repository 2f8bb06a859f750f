//! The library as others use it: the examples, and a crate outside the workspace.
//!
//! `cargo test` builds the examples; `tests/run` builds the crate before, which cargo cannot do while it runs tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::oracle;
use crate::registry::program::{Home, auth_json};
use crate::registry::server::{Certificates, Login, Server, Speech, USER};
use crate::registry::trust::{fingerprint, keys, run};
use crate::remote::nginx::Nginx;

/// What callers with an async runtime move to the threads that block: what is compiled holds.
const _: () = {
    const fn moves<T: Send>() {}
    moves::<ostree_rs::base::Ctx>();
    moves::<ostree_rs::host::Machine>();
    moves::<ostree_rs::host::OpenedImage>();
    moves::<ostree_rs::repo::Repo>();
    moves::<ostree_rs::sysroot::Sysroot>();
};

/// A program beside the one that is tested; `None`, with a line that says so, where nobody has built it.
pub(crate) fn built(name: &str, by: &str) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_ostree-rs")).parent().unwrap().join(name);
    let there = program.exists();
    assert!(there || std::env::var_os("CI").is_none(), "{by} did not build {}", program.display());
    if !there {
        eprintln!("skipped: {} is not there; {by} builds it", program.display());
    }
    there.then_some(program)
}

/// The program of an example.
fn example(name: &str) -> Option<PathBuf> {
    built(&format!("examples/{name}"), "cargo build --examples")
}

/// What a program prints, run as `home` runs ours.
fn prints(home: &Home, program: &Path, args: &[&str]) -> String {
    let mut command = Command::new(program);
    let ours = home.command(&[]);
    command.args(args).current_dir(home.path("")).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
}

/// A machine that has configured everything about a registry: that `os` is `example.test/os` and where that is, its
/// certificate, who we are, and that images need a signature, which this one has; and a signed commit in the image.
fn configured(server: &Server, files: &Certificates) -> Home {
    let (home, host) = (Home::new(), server.address.to_string());
    keys(&home, &["good@example.com", "other@example.com"]);
    home.ok(&["--repo=repo", "gpg-sign", "main", "--gpg-homedir=gnupg", "good@example.com"]);
    let place = format!("[[registry]]\nprefix = \"example.test\"\nlocation = \"{host}/org\"\n");
    home.write("registries.conf", &format!("{place}[aliases]\nos = \"example.test/os\"\n"));
    home.write(&format!(".config/containers/certs.d/{host}/ca.crt"), &String::from_utf8(files.ca()).unwrap());
    home.write(".config/containers/auth.json", &auth_json(&host));
    let digest = home.push(&format!("{host}/org/os:latest"), &[]);
    home.ok(&["container", "copy", "os", "dir:copied"]);

    let key = json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": home.path("good@example.com.asc")});
    let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {"example.test": [key]}}});
    home.write(".config/containers/policy.json", &policy.to_string());
    // Signatures lie where the image does.
    let lookaside =
        format!("docker:\n  {host}/org:\n    lookaside: file://{}\n", home.path("sigs").display());
    home.write(".config/containers/registries.d/test.yaml", &lookaside);
    let place = format!("sigs/org/os@{}", digest.replace(':', "="));
    fs::create_dir_all(home.path(&place)).unwrap();
    let (signer, output) = (fingerprint(&home, "good@example.com"), format!("{place}/signature-1"));
    let sign = ["standalone-sign", "copied/manifest.json", "example.test/os:latest", &signer, "-o", &output];
    run(&home, "skopeo", &sign);
    home
}

/// Pulls by `program`, which takes an image, a repository and a keyring, and refuses what it has to.
fn pulls(home: &Home, program: &Path) -> String {
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    let try_pull = |keyring: &str| {
        let ours = home.command(&[]);
        let mut command = Command::new(program);
        command.args(["os", "new", keyring]).current_dir(home.path("")).env_clear();
        command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.output().unwrap()
    };
    // Another key than the commit's, and another certificate authority, password and signature of the image.
    let refused = try_pull("other@example.com.asc");
    assert!(!refused.status.success() && home.ok(&["--repo=new", "refs"]).is_empty(), "{refused:?}");
    for file in [".config/containers/certs.d", ".config/containers/auth.json", "sigs", "registries.conf"] {
        fs::rename(home.path(file), home.path("aside")).unwrap();
        if file == "registries.conf" {
            home.write(file, "");
        }
        let refused = try_pull("good@example.com.asc");
        assert!(!refused.status.success(), "it does not need {file}");
        if file == "registries.conf" {
            fs::remove_file(home.path(file)).unwrap();
        }
        fs::rename(home.path("aside"), home.path(file)).unwrap();
    }
    let said = prints(home, program, &["os", "new", "good@example.com.asc"]);
    assert!(said.ends_with(&commit), "{said}");
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "pulled"]), commit);
    said
}

fn lines_of_main(source: &str) -> usize {
    let main = source.split("fn main()").nth(1).unwrap();
    main.lines().skip(1).take_while(|line| *line != "}").count()
}

#[test]
fn a_crate_of_somebody_else_pulls_an_image() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    if !oracle::need("gpg") || !oracle::need("skopeo") {
        return;
    }
    let Some(program) = built("doors", "tests/run") else { return };
    pulls(&configured(&server, &files), &program);
    assert!(lines_of_main(include_str!("../doors/src/main.rs")) <= 15);
}

#[test]
fn example_pull_image() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    if !oracle::need("gpg") || !oracle::need("skopeo") {
        return;
    }
    let Some(program) = example("pull_image") else { return };
    let home = configured(&server, &files);
    let said = pulls(&home, &program);
    let layers: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path("copied/manifest.json")).unwrap()).unwrap();
    assert!(said.starts_with(&format!("{} bytes to fetch\n", layers["layers"][0]["size"])), "{said}");
    // It is here now, also by what a second look says.
    let said = prints(&home, &program, &["os", "new", "good@example.com.asc"]);
    assert!(said.starts_with("0 bytes to fetch\n"), "{said}");
    assert!(lines_of_main(include_str!("../../examples/pull_image.rs")) <= 15);
}

#[test]
fn example_commit_from_memory() {
    let home = Home::new();
    let Some(program) = example("commit_from_memory") else { return };
    let commit = prints(&home, &program, &["new", "made"]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "made"]), commit);
    if !oracle::need("ostree") {
        return;
    }
    run(&home, "ostree", &["--repo=new", "fsck"]);
    assert_eq!(run(&home, "ostree", &["--repo=new", "cat", "made", "/usr/link"]), b"hello\n");
}

#[test]
fn example_build_os() {
    if !oracle::need("ostree") || !oracle::need("gpg") || !oracle::need_root() {
        return;
    }
    let Some(program) = example("build_os") else { return };
    let home = Home::new();
    keys(&home, &["good@example.com"]);
    for file in ["usr/lib/a.py", "usr/lib/a.pyc", "var/cache/x/y", "var/lib/web/z"] {
        home.write(&format!("os/{file}"), file);
    }
    let attribute =
        rustix::fs::setxattr(home.path("os/usr/lib/a.py"), "user.x", b"1", rustix::fs::XattrFlags::empty());
    attribute.unwrap();
    let commit = prints(&home, &program, &["os", "repo", "os", "gnupg", "good@example.com"]);
    // C ostree lets it in by its signature.
    run(&home, "ostree", &["--repo=theirs", "init", "--mode=archive"]);
    let url = format!("file://{}", home.path("repo").display());
    let add = ["--repo=theirs", "remote", "add", "--gpg-import=good@example.com.asc", "ours", &url];
    run(&home, "ostree", &add);
    run(&home, "ostree", &["--repo=theirs", "pull", "ours", "os"]);
    // The same by options.
    home.write("skip", "/usr/lib/a.pyc\n/var/cache/x\n");
    std::os::unix::fs::chown(home.path("os/var/lib/web"), Some(33), Some(0)).unwrap();
    let time = "--timestamp=2023-11-14 22:13:20 +0000";
    let options = ["-b", "os", "--parent=none", "-s", "built", time, "--no-xattrs", "--skip-list=skip", "os"];
    let theirs = run(&home, "ostree", &[&["--repo=theirs", "commit"][..], &options].concat());
    assert_eq!(commit, String::from_utf8(theirs).unwrap().trim());
}

#[test]
fn example_walk_with_paths() {
    let home = Home::new();
    let tree = [("a/b/c/deep", "1"), ("a/b.d/x", "22"), ("a/b0", ""), ("z", "333")];
    for (path, content) in tree {
        home.write(&format!("other/{path}"), content);
    }
    std::os::unix::fs::symlink("../z", home.path("other/a/link")).unwrap();
    home.ok(&["--repo=repo", "commit", "-b", "other", "--tree=dir=other"]);
    let Some(program) = example("walk_with_paths") else { return };
    let said = prints(&home, &program, &["repo", "other"]);
    if !oracle::need("ostree") {
        return;
    }
    let theirs = String::from_utf8(run(&home, "ostree", &["--repo=repo", "ls", "-R", "other"])).unwrap();
    // MODE UID GID SIZE PATH
    let short = |line: &str| {
        let (words, path) = line.split_at(line.find('/').unwrap());
        let words: Vec<_> = words.split_whitespace().collect();
        match &words[0][..1] {
            "-" => format!("f {path} {}", words[3]),
            kind => format!("{kind} {path}"),
        }
    };
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) =
        (said.lines().map(str::to_owned).collect(), theirs.lines().map(short).collect());
    assert_eq!(ours.len(), 5 + 5, "{ours:?}");
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
}

#[test]
fn example_build_and_push() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    if !oracle::need("gpg") || !oracle::need("skopeo") {
        return;
    }
    let home = configured(&server, &files);
    let Some(program) = example("build_and_push") else { return };
    let digest = prints(&home, &program, &["repo", "main", &format!("{}/org/new:1", server.address)]);
    let certs = home.path(&format!(".config/containers/certs.d/{}", server.address)).display().to_string();
    let creds = format!("{}:{}", USER.0, USER.1);
    let image = format!("docker://{}/org/new:1", server.address);
    let inspect = ["inspect", "--cert-dir", &certs, "--creds", &creds, "--format", "{{.Digest}}", &image];
    assert_eq!(run(&home, "skopeo", &inspect).trim_ascii(), digest.as_bytes());
}

/// A remote of C ostree behind nginx: what is signed by its key comes, what is not is refused.
#[test]
fn example_follow_remote() {
    let home = Home::new();
    home.ok(&["--repo=served", "init", "--mode=archive"]);
    let Some(server) = Nginx::start(&home.path("served")) else { return };
    if !oracle::need("ostree") || !oracle::need("gpg") {
        return;
    }
    let Some(program) = example("follow_remote") else { return };
    keys(&home, &["good@example.com", "other@example.com"]);
    let commit = |by: &str| {
        let by = format!("--gpg-sign={by}");
        let commit = ["--repo=served", "commit", "-b", "os", "-s", "", "--gpg-homedir=gnupg", &by, "tree"];
        String::from_utf8(run(&home, "ostree", &commit)).unwrap().trim().to_owned()
    };
    let first = commit("good@example.com");
    let url = format!("http://{}/", server.address);
    run(&home, "ostree", &["--repo=new", "remote", "add", "--gpg-import=good@example.com.asc", "r", &url]);
    // A commit and its signatures, two directories and their metadata, a file.
    assert_eq!(prints(&home, &program, &["new", "r", "os"]), "os is new\n6 objects");
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "r:os"]), first);
    // Others may have signed it since.
    assert_eq!(prints(&home, &program, &["new", "r", "os"]), "os is up to date\n1 objects");
    home.write("tree/usr/hello", "changed\n");
    commit("other@example.com");
    let refused =
        Command::new(&program).args(["new", "r", "os"]).current_dir(home.path("")).output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "r:os"]), first);
    let second = commit("good@example.com");
    assert!(prints(&home, &program, &["new", "r", "os"]).starts_with("os is new\n"));
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "r:os"]), second);
    run(&home, "ostree", &["--repo=new", "fsck", "--quiet"]);
}

#[test]
fn example_tar_to_vec() {
    let home = Home::new();
    let Some(program) = example("tar_to_vec") else { return };
    let out = Command::new(program).args(["repo", "main"]).current_dir(home.path("")).output();
    let out = out.unwrap();
    assert!(out.status.success(), "{out:?}");
    fs::create_dir(home.path("unpacked")).unwrap();
    fs::write(home.path("x.tar"), &out.stdout).unwrap();
    run(&home, "tar", &["-xf", "x.tar", "-C", "unpacked"]);
    assert_eq!(fs::read(home.path("unpacked/usr/hello")).unwrap(), b"hello\n");
}
