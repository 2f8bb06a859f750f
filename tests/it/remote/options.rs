//! Options of `pull`, each beside C ostree or by what it refuses.

use std::fs;

use super::Fixture;

#[test]
fn parts_of_commits_and_histories_are_those_of_c_ostree() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    for options in [
        &["--depth=1"][..],
        &["--depth=-1"],
        &["--commit-metadata-only", "--depth=2"],
        &["--subpath=/usr/bin"],
        &["--subpath=/usr/lib/deep", "--subpath=/etc"],
    ] {
        for (name, program) in [("theirs", "ostree"), ("ours", super::OURS)] {
            fixture.repository(name, "bare-user", &server.url("repo"));
            let repo = format!("--repo={name}");
            let args = [&["pull", &repo][..], options, &["origin", "main"]].concat();
            super::succeed(fixture.start(program, &args));
        }
        assert_eq!(fixture.content("ours"), fixture.content("theirs"), "{options:?}");
    }
}

#[test]
fn what_a_part_of_a_commit_lacks_is_told_in_the_words_of_c_ostree() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "archive", &server.url("repo"));
    fixture.ours(&["pull", "--repo=ours", "--subpath=/usr/bin", "origin", "main"]);
    // A content object, and a dirtree.
    for path in ["/usr/empty", "/etc"] {
        let args = ["ls", "--repo=ours", "origin:main", path];
        let [theirs, ours] = ["ostree", super::OURS].map(|program| fixture.start(program, &args));
        assert_eq!((ours.status.code(), theirs.status.code()), (Some(1), Some(1)));
        assert_eq!(super::text(&ours.stderr), super::text(&theirs.stderr));
    }
}

#[test]
fn objects_of_other_repositories_are_not_fetched() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("cache", "bare-user", &server.url("repo"));
    fixture.ours(&["pull", "--repo=cache", "origin", "main"]);
    fixture.repository("ours", "archive", &server.url("repo"));
    server.asked();
    let said = fixture.ours(&["pull", "--repo=ours", "-L", "cache", "origin", "main"]);
    assert!(said.starts_with("0 metadata, 0 content objects fetched ("), "{said}");
    assert!(!server.asked().iter().any(|line| line.contains("/objects/")));
    fixture.fsck("ours");
}

#[test]
fn older_commits_are_refused_when_time_counts() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "archive", &server.url("repo"));
    let [new, old] = ["main", "main^"].map(|rev| fixture.c(&["rev-parse", "--repo=srv/repo", rev]));
    fixture.ours(&["pull", "--repo=ours", "-T", "origin", "main"]);
    let older = format!("main@{old}");
    for option in ["-T", &format!("--timestamp-check-from-rev={new}")] {
        let said = fixture.refused(&["pull", "--repo=ours", option, "origin", &older]);
        assert!(said.contains("is chronologically older than current revision"), "{said}");
        assert_eq!(fixture.c(&["rev-parse", "--repo=ours", "origin:main"]), new);
    }
    fixture.ours(&["pull", "--repo=ours", "origin", &older]);
    assert_eq!(fixture.c(&["rev-parse", "--repo=ours", "origin:main"]), old);
}

#[test]
fn commits_belong_to_the_refs_that_they_are_bound_to() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.c(&["refs", "--repo=srv/repo", "--create=elsewhere", "main"]);
    fixture.c(&["summary", "--repo=srv/repo", "-u"]);
    fixture.repository("ours", "archive", &server.url("repo"));
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "elsewhere"]);
    assert!(said.contains("Commit has no requested ref ‘elsewhere’ in ref binding metadata"), "{said}");
    assert!(!fixture.content("ours").keys().any(|name| name.contains("objects/")));
    fixture.ours(&["pull", "--repo=ours", "--disable-verify-bindings", "origin", "elsewhere"]);
}

#[test]
fn what_the_configuration_says_of_a_remote_counts() {
    let fixture = Fixture::new();
    let Some(server) = fixture.serve() else { return };
    fixture.repository("ours", "archive", &server.url("nothing"));
    let said = fixture.refused(&["pull", "--repo=ours", "origin"]);
    assert!(said.contains("No configured branches for remote origin"), "{said}");
    let config = fixture.path("ours/config");
    let with = |more: &str| {
        fixture.repository("ours", "archive", &server.url("repo"));
        fs::write(&config, fs::read_to_string(&config).unwrap() + more).unwrap();
    };
    with("unconfigured-state=Access costs ONE DOLLAR.\n");
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("remote unconfigured-state: Access costs ONE DOLLAR."), "{said}");
    with("custom-backend=elsewhere\n");
    let said = fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    assert!(said.contains("remote 'origin' uses custom backend 'elsewhere'"), "{said}");
    with("branches=main;\n");
    fixture.ours(&["pull", "--repo=ours", "origin"]);
    assert_eq!(fixture.ours(&["refs", "--repo=ours"]), "origin:main");
    // Objects and signatures have addresses of their own.
    fs::create_dir(fixture.path("srv/top")).unwrap();
    for name in ["summary", "config", "refs"] {
        fs::rename(fixture.path("srv/repo").join(name), fixture.path("srv/top").join(name)).unwrap();
    }
    with(&format!("contenturl={}\n", server.url("repo")));
    fixture.refused(&["pull", "--repo=ours", "origin", "main"]);
    let top = format!("[remote \"origin\"]\nurl={}\n", server.url("top"));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(&format!("url={}\n", server.url("repo")), "") + &top).unwrap();
    with(&format!("contenturl={}\n", server.url("repo")));
    let text = fs::read_to_string(&config).unwrap();
    let text =
        text.replacen(&format!("\nurl={}", server.url("repo")), &format!("\nurl={}", server.url("top")), 1);
    fs::write(&config, text).unwrap();
    fixture.ours(&["pull", "--repo=ours", "origin", "main"]);
    fixture.fsck("ours");
}

#[test]
fn headers_and_names_reach_the_server() {
    let fixture = Fixture::new();
    let more = "location / { if ($http_foo != bar) { return 403; } if ($http_user_agent !~ \"^ostree-rs/.* more/1$\") \
                { return 403; } }";
    let Some(server) = super::Nginx::start_with(&fixture.path("srv"), more) else { return };
    fixture.repository("ours", "archive", &server.url("repo"));
    let said = fixture.refused(&["pull", "--repo=ours", "--http-header=foo=bar", "origin", "main"]);
    assert!(said.contains("403"), "{said}");
    let both = ["--http-header=foo=bar", "--append-user-agent=more/1"];
    fixture.ours(&[&["pull", "--repo=ours"], &both[..], &["origin", "main"]].concat());
}
