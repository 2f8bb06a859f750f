//! Signatures of commits and of the summary, which the remote's keys have to have made.

use std::fs;

use ostree_rs::format::variant::Dict;

use super::Fixture;

/// A key, and a repository that trusts it.
fn signed(fixture: &Fixture) {
    fixture.ours(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Test <test@example.org>"]);
}

#[test]
fn commits_have_to_be_signed_by_a_key_of_the_remote() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    signed(&fixture);
    fixture.c(&["init", "--repo=ours", "--mode=bare-user"]);
    let url = server.url("repo");
    fixture.ours(&["remote", "--repo=ours", "add", "--gpg-import=key.asc", "origin", &url]);
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("GPG verification enabled, but no signatures found"), "{said}");
    let objects = || fixture.content("ours").into_keys().filter(|name| name.starts_with("objects")).count();
    assert_eq!(objects(), 0);
    fixture.ours(&["gpg-sign", "--repo=srv/repo", "--gpg-homedir=secret.asc", "main", "test@example.org"]);
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    fixture.fsck("ours");
    // The parents are not signed.
    let said = fixture.refused(&["pull", "--repo=ours", "--depth=1", "origin", "main"]);
    assert!(said.contains("no signatures found"), "{said}");
    // A signature that came later is fetched for a commit that is here.
    let commit = fixture.c(&["rev-parse", "--repo=ours", "origin:main"]);
    let path = format!("ours/objects/{}/{}.commitmeta", &commit[..2], &commit[2..]);
    let before = fs::read(fixture.path(&path)).unwrap();
    fs::remove_file(fixture.path(&path)).unwrap();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    assert_eq!(fs::read(fixture.path(&path)).unwrap(), before);
}

#[test]
fn the_summary_is_judged_before_it_is_believed_and_kept() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    signed(&fixture);
    fixture.repository("ours", "archive", &server.url("repo"));
    let config = fixture.path("ours/config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "gpg-verify-summary=true\n").unwrap();
    fixture.ours(&["remote", "--repo=ours", "gpg-import", "-k", "key.asc", "origin"]);
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("GPG verification enabled, but no summary.sig found"), "{said}");
    fixture.ours(&[
        "summary",
        "--repo=srv/repo",
        "-u",
        "--gpg-homedir=secret.asc",
        "--gpg-sign=test@example.org",
    ]);
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    let kept = fixture.path("ours/tmp/cache/summaries/origin");
    assert_eq!(fs::read(&kept).unwrap(), fs::read(fixture.path("srv/repo/summary")).unwrap());
    server.asked();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    let asked: Vec<_> = server.asked().into_iter().filter(|line| line.contains("summary")).collect();
    assert_eq!(asked, ["GET /repo/summary.sig 304 -"]);
    // One that was damaged here is fetched anew.
    fs::write(&kept, "damaged").unwrap();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    assert_eq!(fs::read(&kept).unwrap(), fs::read(fixture.path("srv/repo/summary")).unwrap());
    // Also where the server says that it is as it was, under new signatures, or where nobody asks for signatures.
    for asked_for in ["true", "false"] {
        let mut signatures = Dict::parse(&fs::read(fixture.path("srv/repo/summary.sig")).unwrap()).unwrap();
        signatures.insert("example.note", asked_for);
        fixture.c(&[
            "config",
            "--repo=ours",
            "set",
            "--group=remote \"origin\"",
            "gpg-verify-summary",
            asked_for,
        ]);
        for _ in 0..2 {
            fs::write(&kept, "damaged").unwrap();
            fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
            assert_eq!(fs::read(&kept).unwrap(), fs::read(fixture.path("srv/repo/summary")).unwrap());
            fs::write(fixture.path("srv/repo/summary.sig"), signatures.to_bytes()).unwrap();
        }
    }
    fixture.c(&["config", "--repo=ours", "set", "--group=remote \"origin\"", "gpg-verify-summary", "true"]);
    // One that was changed there is not believed.
    fixture.c(&["refs", "--repo=srv/repo", "--create=more", "main"]);
    let signatures = fs::read(fixture.path("srv/repo/summary.sig")).unwrap();
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    fs::write(fixture.path("srv/repo/summary.sig"), &signatures).unwrap();
    fs::remove_dir_all(fixture.path("ours/tmp/cache")).unwrap();
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("BAD signature"), "{said}");
}

#[test]
fn repositories_keep_no_summaries_where_the_environment_says_so() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    signed(&fixture);
    let sign = ["--gpg-homedir=secret.asc", "--gpg-sign=test@example.org"];
    fixture.ours(&[&["summary", "--repo=srv/repo", "-u"], &sign[..]].concat());
    for program in ["ostree", super::OURS] {
        fixture.repository("here", "archive", &server.url("repo"));
        let config = fixture.path("here/config");
        fs::write(&config, fs::read_to_string(&config).unwrap() + "gpg-verify-summary=true\n").unwrap();
        fixture.ours(&["remote", "--repo=here", "gpg-import", "-k", "key.asc", "origin"]);
        let pull = |variable: &str, more: &[&str]| {
            let args = [&[variable, program, "pull", "--repo=here", "origin", "main"][..], more].concat();
            super::succeed(fixture.start("env", &args));
            server.asked().iter().any(|line| line.contains("/repo/summary "))
        };
        for (variable, is_kept) in [("OSTREE_SKIP_CACHE=1", false), ("OTHER=1", true)] {
            pull(variable, &[]);
            assert_eq!(fixture.path("here/tmp/cache/summaries/origin").exists(), is_kept, "{program}");
            assert_eq!(pull(variable, &[]), !is_kept, "{program}");
        }
        // A directory that is asked for counts in any case.
        let _ = fs::remove_dir_all(fixture.path("cache"));
        fs::create_dir(fixture.path("cache")).unwrap();
        pull("OSTREE_SKIP_CACHE=1", &["--cache-dir=cache"]);
        assert!(fixture.path("cache/summaries/origin").exists(), "{program}");
    }
}
