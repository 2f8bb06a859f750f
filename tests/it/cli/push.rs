//! `push`: commits as they are, in another repository, which C ostree reads.

use super::{OURS, start};
use crate::oracle::{need, run};

#[test]
fn commits_keep_their_ids() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name).display().to_string();
    let ours = |args: &[&str]| start(OURS, tmp.path(), args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let theirs = |repo: &str, args: &[&str]| {
        text(run("ostree", &[&[&*format!("--repo={}", at(repo))], args].concat())).trim().to_owned()
    };
    std::fs::create_dir_all(tmp.path().join("tree/usr")).unwrap();
    run("ostree", &[&format!("--repo={}", at("here")), "init", "--mode=bare-user"]);
    run("ostree", &[&format!("--repo={}", at("there")), "init", "--mode=archive"]);
    for n in 0..3 {
        std::fs::write(tmp.path().join(format!("tree/usr/file{n}")), format!("{n}\n").repeat(1000)).unwrap();
        theirs("here", &["commit", "-b", "os", &format!("--tree=dir={}", at("tree"))]);
    }
    let before = theirs("here", &["rev-parse", "os^^"]);
    theirs("here", &["refs", "--create=old", &before]);

    let out = ours(&["push", "--repo=here", "--from-ref=os", "--depth=1", "there"]);
    assert!(out.status.success(), "{out:?}");
    let now = theirs("here", &["rev-parse", "os"]);
    assert!(text(out.stdout).ends_with(&format!("3 content objects pushed\nos: {now}\n")));
    assert_eq!(theirs("there", &["rev-parse", "os"]), now);
    assert_eq!(theirs("there", &["rev-parse", "os^"]), theirs("here", &["rev-parse", "os^"]));
    assert_eq!(theirs("there", &["refs"]), "os");
    theirs("there", &["fsck"]);

    let again = text(ours(&["push", "--repo=here", "--from-ref=os", "there"]).stdout);
    assert_eq!(again, format!("0 metadata, 0 content objects pushed\nos: {now} as before\n"));
    let back = ours(&["push", "--repo=here", "--from-ref=old", "--to-ref=os", "there"]);
    assert_eq!(back.status.code(), Some(1));
    assert_eq!(
        text(back.stderr),
        format!(
            "error: ref os names commit {now}, which is not in the history of {before}; nothing was pushed; --force \
             lets the ref go elsewhere\n"
        )
    );
    assert_eq!(theirs("there", &["rev-parse", "os"]), now);
    assert!(
        ours(&["push", "--repo=here", "--from-ref=old", "--to-ref=os", "--force", "there"]).status.success()
    );
    assert_eq!(theirs("there", &["rev-parse", "os"]), before);

    // All refs, where they are not there yet.
    run("ostree", &[&format!("--repo={}", at("other")), "init", "--mode=bare-user-only"]);
    assert!(ours(&["push", "--repo=here", "--quiet", "other"]).status.success());
    assert_eq!(theirs("other", &["refs"]).lines().count(), 2);
    theirs("other", &["fsck"]);
    let no_repo = text(ours(&["push", "--repo=here", "tree"]).stderr);
    assert!(no_repo.contains("tree") && no_repo.contains("`init` makes one"), "{no_repo}");
}
