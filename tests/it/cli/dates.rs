//! Dates for `--timestamp`, beside C ostree.

use std::path::Path;

use chrono::DateTime;

use super::OURS;
use crate::oracle::need;

const ABSOLUTE: &[&str] = &[
    "@1234567890",
    "2005-10-29",
    "2005-10-29T14:43:29+02:00",
    "10/29/2005",
    "85-10-25",
    "25-oct-1985",
    "Fri, 25 Oct 1985 01:21:00 -0700",
    "2015-10-21 12am",
    "2015-10-21 12:00 JST",
    "2015-03-31 1 month ago",
    "2016-02-29 1 year",
    "",
    " ",
];
/// How far these lie from now depends on when clocks change, which C ostree passes over.
const RELATIVE: &[&str] = &[
    "now",
    "yesterday 12:00",
    "3 days 2 hours ago",
    "3 days ago 2 hours ago",
    "last month",
    "next monday",
    "friday 12:00",
];

/// The seconds since 1970 of a commit that `program` makes in `dir` with this date; `None` if it refuses.
fn seconds(program: &str, dir: &Path, zone: &str, date: &str) -> Option<i64> {
    let call = |program: &str, args: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.args(args).current_dir(dir).env("TZ", zone).env_remove("OSTREE_REPO");
        let out = command.output().unwrap();
        out.status.success().then(|| String::from_utf8(out.stdout).unwrap())
    };
    let timestamp = format!("--timestamp={date}");
    call(program, &["commit", "--repo=repo", "-b", "x", &timestamp, "--tree=dir=tree"])?;
    let shown = call("ostree", &["--repo=repo", "show", "x"]).unwrap();
    let date = shown.lines().find_map(|line| line.strip_prefix("Date:")).unwrap();
    Some(DateTime::parse_from_str(date.trim(), "%F %T %z").unwrap().timestamp())
}

/// Clocks of machines without a battery begin anywhere: what was committed before 1970 is shown, and goes into images.
#[test]
fn commits_before_1970() {
    if !need("ostree") {
        return;
    }
    let tmp = super::repository("archive");
    let start = |program: &str, args: &[&str]| super::start(program, tmp.path(), args);
    for (date, created) in [("@-1", "1969-12-31T23:59:59Z"), ("1901-02-03", "1901-02-03T00:00:00Z")] {
        let date = format!("--timestamp={date}");
        let args = ["--repo=repo", "commit", "-b", "old", &date, "--tree=dir=tree"];
        assert!(start("ostree", &args).status.success());
        for verb in ["log", "show"] {
            super::same(tmp.path(), &["--repo=repo", verb, "old"]);
        }
        let built = start(OURS, &["--repo=repo", "container", "build", "--ref=old", "--oci-dir=o", "-q"]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let config = start("skopeo", &["inspect", "--config", "oci:o"]);
        if need("skopeo") {
            assert!(String::from_utf8_lossy(&config.stdout).contains(created), "{config:?}");
        }
        let exported = start(OURS, &["--repo=repo", "export", "old", "-o", "old.tar"]);
        assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
        assert!(
            start(OURS, &["--repo=repo", "commit", "-b", "again", "--tree=tar=old.tar"]).status.success()
        );
    }
}

#[test]
fn dates_are_read_as_c_ostree_reads_them() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    std::fs::create_dir(tmp.path().join("tree")).unwrap();
    crate::oracle::run(
        "ostree",
        &["init", "--mode=bare-user", &format!("--repo={}/repo", tmp.path().display())],
    );
    for (zone, relative) in [("UTC", RELATIVE), ("America/New_York", &[])] {
        for date in ABSOLUTE.iter().chain(relative) {
            let ours = seconds(OURS, tmp.path(), zone, date).unwrap();
            let theirs = seconds("ostree", tmp.path(), zone, date).unwrap();
            // Some say how long before now, and now goes on.
            assert!((ours..ours + 60).contains(&theirs), "{date} in {zone}: {ours}, C ostree {theirs}");
        }
        for wrong in ["BACON", "October", "25:00", "1985-13-01", "@x"] {
            assert_eq!(seconds(OURS, tmp.path(), zone, wrong), None, "{wrong}");
            assert_eq!(seconds("ostree", tmp.path(), zone, wrong), None, "{wrong}");
        }
    }
}

/// An empty date would keep what is of today: a variable that was forgotten deletes nothing.
#[test]
fn prune_wants_a_date() {
    let tmp = super::repository("archive");
    let out = super::start(OURS, tmp.path(), &["--repo=repo", "prune", "--keep-younger-than="]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("--keep-younger-than: an empty date"), "{said}");
}
