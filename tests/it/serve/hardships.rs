//! Exports, and clients of servers, where the disk fails or the machine has no threads left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use rustix::fs::{FlockOperation, flock};

use super::exports::files;
use super::server::Serving;
use crate::oracle::{injected, need, need_root};
use crate::registry::program::Home;

/// The paths of files in a directory.
fn names(dir: &Path) -> Vec<String> {
    files(dir).iter().map(|path| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned()).collect()
}

/// The next export takes an object that has its name for one that is whole.
#[test]
fn exported_files_have_names_once_they_are_on_the_disk() {
    let home = Home::new();
    home.ok(&["serve", "--repo=repo", "--export=whole"]);
    let (repo, www) = (format!("--repo={}", home.path("repo").display()), home.path("www"));
    let args = ["serve", &repo, &format!("--export={}", www.display())];
    let ours = env!("CARGO_BIN_EXE_ostree-rs");
    let inject = ["-e", "trace=syncfs", "-e", "inject=syncfs:error=EIO"];
    let Some(failed) = injected(&inject, ours, &args) else { return };
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(said.contains("Input/output error"), "{said}");
    let left = names(&www);
    assert!(!left.is_empty() && left.iter().all(|name| name.ends_with('~')), "{left:?}");

    // Some have their names, others do not; the next export ends it.
    let inject = ["-e", "trace=renameat,renameat2", "-e", "inject=renameat,renameat2:error=EIO:when=7"];
    let failed = injected(&inject, ours, &args).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{}", String::from_utf8_lossy(&failed.stderr));
    home.ok(&args);
    let (mut whole, mut mended) = (names(&home.path("whole")), names(&www));
    whole.sort();
    mended.sort();
    assert_eq!(whole, mended);
}

#[test]
fn two_exports_at_once_are_told_so() {
    let home = Home::new();
    fs::create_dir(home.path("www")).unwrap();
    let dir = fs::File::open(home.path("www")).unwrap();
    flock(&dir, FlockOperation::LockExclusive).unwrap();
    let said = home.fails(&["serve", "--repo=repo", "--export=www"]);
    assert!(said.contains("another program exports or pushes there"), "{said}");
}

/// A client is told of a log; whoever exports has none.
#[test]
fn an_export_says_what_cannot_be_read() {
    let home = Home::new();
    let objects = home.path("repo/objects");
    let object = files(&objects).into_iter().find(|path| path.extension().is_some_and(|kind| kind == "file"));
    let object = object.unwrap();
    rustix::fs::removexattr(&object, "user.ostreemeta").unwrap();
    let said = home.fails(&["serve", "--repo=repo", "--export=www"]);
    let name = object.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name.trim_end_matches(".file")), "{said}");
    assert!(said.contains("ostreemeta") && !said.contains("log"), "{said}");
}

/// Runs our program as a user who has nothing else, and may have so many threads.
fn with_threads(home: &Home, threads: usize, args: &[&str]) -> Output {
    let limit = format!("--nproc={threads}");
    let user = ["--reuid=54321", "--regid=54321", "--clear-groups"];
    let mut command = Command::new("prlimit");
    command.arg(limit).arg("setpriv").args(user).arg(home.path("ostree-rs")).args(args);
    command.current_dir(home.path("")).env_remove("OSTREE_REPO").env("HOME", home.path("")).output().unwrap()
}

/// A name is looked up, and a file read, by a thread; there may be none.
#[test]
fn too_few_threads_are_an_error() {
    if !need_root() || !need("prlimit") || !need("setpriv") {
        return;
    }
    let home = Home::new();
    fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_ostree-rs"), home.path("ostree-rs")).unwrap();
    home.ok(&["--repo=archive", "init", "--mode=archive"]);
    home.ok(&["pull-local", "--repo=archive", "repo", "main"]);
    let server = Serving::start(&home.path("archive"));
    let url = format!("http://localhost:{}/repo", server.address.port());
    home.ok(&["--repo=new", "remote", "add", "--no-sign-verify", "origin", &url]);
    let mut worked = [0; 2];
    for threads in [1, 2, 3, 4, 5, 6, 8, 12, 100] {
        let www = format!("--export={}", home.path(&format!("www{threads}")).display());
        for (kind, args) in
            [&["serve", "--repo=archive", &www][..], &["remote", "refs", "--repo=new", "origin"]]
                .iter()
                .enumerate()
        {
            let out = with_threads(&home, threads, args);
            let said = String::from_utf8_lossy(&out.stderr);
            match out.status.code() {
                Some(0) => worked[kind] += 1,
                code => {
                    assert_eq!(code, Some(1), "{threads} threads, {args:?}: {said}");
                    assert!(said.contains("no thread could be started"), "{said}");
                }
            }
        }
    }
    assert!(worked.iter().all(|worked| (1..9).contains(worked)), "{worked:?}");
}
