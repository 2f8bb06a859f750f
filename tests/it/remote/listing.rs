//! `remote refs` and `remote summary`, beside C ostree's.

use super::{Fixture, OURS, text};
use crate::oracle::need;

#[test]
fn what_a_remote_says_of_itself() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    let directory = format!("file://{}", fixture.path("srv/repo").display());
    for url in [server.url("repo"), directory] {
        fixture.repository("new", "bare-user", &url);
        for args in [
            &["remote", "refs", "origin"][..],
            &["remote", "summary", "origin"],
            &["remote", "summary", "--raw", "origin"],
            &["remote", "refs", "nothing"],
        ] {
            let args = [args, &["--repo=new"]].concat();
            let (ours, theirs) = (fixture.start(OURS, &args), fixture.start("ostree", &args));
            assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{args:?}: {}", text(&ours.stderr));
            assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}");
        }
        let with_commits = fixture.ours(&["remote", "refs", "-r", "origin", "--repo=new"]);
        let main = fixture.c(&["rev-parse", "--repo=srv/repo", "main"]);
        assert!(with_commits.contains(&format!("origin:main\t{main}")), "{with_commits}");
        let keys = fixture.ours(&["remote", "summary", "--list-metadata-keys", "origin", "--repo=new"]);
        assert!(keys.lines().any(|key| key == "ostree.summary.mode"), "{keys}");
        let key = "--print-metadata-key=ostree.summary.mode";
        assert_eq!(fixture.ours(&["remote", "summary", key, "origin", "--repo=new"]), "'archive-z2'");
    }
    std::fs::remove_file(fixture.path("srv/repo/summary")).unwrap();
    for args in [["refs", "Remote refs not available"], ["summary", "Remote server has no summary file"]] {
        let error = fixture.refused(&["remote", args[0], "origin", "--repo=new"]);
        assert!(error.contains(args[1]), "{error}");
    }
}

#[test]
fn summaries_of_remotes_that_nothing_is_pulled_from_are_listed() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "archive", &server.url("repo"));
    let add = ["remote", "--repo=ours", "add", "--no-gpg-verify"];
    let state = ["--set=unconfigured-state=Access costs ONE DOLLAR.", "paid", &server.url("repo")];
    fixture.ours(&[&add[..], &state].concat());
    fixture.ours(&[&add[..], &["--custom-backend=other", "elsewhere"]].concat());
    for (name, is_there) in [("paid", true), ("elsewhere", false)] {
        let args = ["remote", "--repo=ours", "refs", name];
        let [theirs, ours] = ["ostree", super::OURS].map(|program| fixture.start(program, &args));
        assert_eq!((ours.status.success(), theirs.status.success()), (is_there, is_there), "{name}");
        assert_eq!(super::text(&ours.stdout), super::text(&theirs.stdout));
        assert_eq!(super::text(&ours.stderr), super::text(&theirs.stderr));
        fixture.refused(&["pull", "--repo=ours", name, "main"]);
    }
}
