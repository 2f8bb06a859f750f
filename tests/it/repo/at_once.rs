//! Processes that work on one repository at the same time.

use std::fs;
use std::thread;

use crate::oracle;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A staging directory that was just made is one that nobody uses: before its maker locks it, another process may take it
/// over, use it and remove it.
#[test]
fn a_staging_directory_may_be_taken_away() {
    let temp = tempfile::tempdir().unwrap();
    let repo = temp.path().join("repo").display().to_string();
    fs::create_dir(temp.path().join("tree")).unwrap();
    fs::write(temp.path().join("tree/file"), "content").unwrap();
    let tree = format!("--tree=dir={}", temp.path().join("tree").display());
    oracle::run(PROGRAM, &["init", "--repo", &repo, "--mode=bare-user"]);
    let commit = |branch| ["commit", "--repo", &repo, "-b", branch, &tree].map(str::to_owned);
    // The third directory that a commit makes is this one: it waits then, long enough for others to come in between.
    let slow = ["-e", "inject=mkdirat:delay_exit=1000000:when=3"];
    let slowly = commit("slow");
    let slowly =
        thread::spawn(move || oracle::injected(&slow, PROGRAM, &slowly.each_ref().map(String::as_str)));
    while !slowly.is_finished() {
        oracle::run(PROGRAM, &commit("fast").each_ref().map(String::as_str));
    }
    let Some(out) = slowly.join().unwrap() else { return };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    oracle::run("ostree", &["fsck", "--repo", &repo]);
}
