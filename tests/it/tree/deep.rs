//! Directories that nest deeper than the stack of a thread, or the files that a process may have open, would allow.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

use super::fixture::ready;
use crate::cli::OURS;
use crate::oracle::run;

const LEVELS: usize = 5000;

/// Makes the directory `top` with one in it, in which there is one, and so on.
fn nest(top: &Path) {
    fs::create_dir(top).unwrap();
    let open = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = openat(CWD, top, open, Mode::empty()).unwrap();
    for _ in 0..LEVELS {
        mkdirat(&dir, "deep", Mode::RWXU).unwrap();
        dir = openat(&dir, "deep", open, Mode::empty()).unwrap();
    }
}

/// Lets both programs do the same, each to directories of its own; ours may have few files open.
fn both(args: &[&str], dest: &Path) {
    for program in ["ostree", OURS] {
        nest(dest);
        if program == "ostree" {
            run(program, args);
        } else {
            let limited = ["-c", "ulimit -n 64; exec \"$0\" \"$@\"", program];
            let out = Command::new("sh").args(limited).args(args).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        // What is consumed goes as a whole.
        let left = fs::read_dir(dest).map_or(0, |entries| entries.count());
        assert_eq!(left, 0, "{program}");
        let _ = fs::remove_dir(dest);
    }
}

#[test]
fn what_is_removed_may_be_deep() {
    if !ready() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name).display().to_string();
    let repo = format!("--repo={}", at("repo"));
    run("ostree", &[&repo, "init", "--mode=bare-user"]);
    fs::create_dir(at("layer")).unwrap();
    fs::write(tmp.path().join("layer/.wh.deep"), "").unwrap();
    run("ostree", &[&repo, "commit", "-b", "layer", &at("layer")]);
    let whiteout = [&repo, "checkout", "-U", "--union", "--whiteouts", "layer", &at("dest")];
    both(&whiteout, &tmp.path().join("dest"));

    fs::write(at("left-out"), "/deep\n").unwrap();
    let left_out = format!("--skip-list={}", at("left-out"));
    let consume = [&repo, "commit", "-b", "consumed", "--consume", &left_out, &at("dest")];
    both(&consume, &tmp.path().join("dest"));
}
