//! Exports where the disk fails, or somebody else exports.

use std::fs;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::exports::files;
use crate::oracle::injected;
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
