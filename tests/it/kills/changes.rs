//! What changes a repository without another one: commits, prunes, refs, summaries, deltas.

use std::fs;

use super::{BEFORE, Place, WORK};
use crate::oracle::run;

/// A repository with both commits, in a mode.
fn both(place: &Place, mode: &str) {
    let repo = format!("--repo={BEFORE}");
    place.ours(&["init", &repo, &format!("--mode={mode}")]);
    place.ours(&["pull-local", &repo, "--depth=-1", "srv/repo", "main"]);
    place.ours(&["summary", &repo, "-u"]);
}

#[test]
fn a_killed_commit_is_ended() {
    let mut place = Place::new();
    for mode in ["bare-user", "archive"] {
        let _ = fs::remove_dir_all(place.path(BEFORE));
        place.ours(&["init", &format!("--repo={BEFORE}"), &format!("--mode={mode}")]);
        let old = place.ours(&["rev-parse", "--repo=srv/repo", "main^"]);
        place.ours(&["pull-local", &format!("--repo={BEFORE}"), "srv/repo", &old]);
        place.ours(&["refs", &format!("--repo={BEFORE}"), "--create=main", &old]);
        let repo = format!("--repo={WORK}");
        // Without the parent the next run would make one more commit, if the first came to its end.
        let (parent, time) = (format!("--parent={old}"), "--timestamp=2024-01-03 00:00:00 +0000");
        let args = ["commit", &repo, "-b", "main", "--tree=dir=tree", &parent, time];
        place.kill(&args, |_| (), |_, ()| ());
    }
}

#[test]
fn a_killed_prune_is_ended() {
    let mut place = Place::new();
    for mode in ["bare-user", "archive"] {
        let _ = fs::remove_dir_all(place.path(BEFORE));
        both(&place, mode);
        place.kill(&["prune", &format!("--repo={WORK}"), "--refs-only", "--depth=0"], |_| (), |_, ()| ());
    }
}

#[test]
fn killed_changes_of_what_is_listed_are_ended() {
    let mut place = Place::new();
    both(&place, "archive");
    let repo = format!("--repo={WORK}");
    // C ostree reads what was made.
    let read = |place: &Place| {
        let work = format!("--repo={}", place.path(WORK).display());
        for args in [&["summary", "-v"][..], &["static-delta", "list"], &["log", "main"]] {
            run("ostree", &[args, &[&work]].concat());
        }
    };
    place.kill(&["summary", &repo, "-u"], |_| (), |place, ()| read(place));
    place.kill(&["refs", &repo, "--create=other/name", "main", "--force"], |_| (), |_, ()| ());
    let old = place.ours(&["rev-parse", "--repo=srv/repo", "main^"]);
    place.kill(&["reset", &repo, "main", &old], |_| (), |_, ()| ());
    let delta = ["static-delta", "generate", &repo, "--max-chunk-size=3", "main"];
    place.kill(&delta, |_| (), |place, ()| read(place));
}
