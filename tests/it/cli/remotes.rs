//! Remotes beside C ostree: cookies, and what a repository takes over from its parent.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

use super::{OURS, repository, same, start};
use crate::oracle::need;

#[test]
fn cookies_of_one_program_are_the_others() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("archive");
    // C ostree lists the file of the current directory.
    let dir = tmp.path().join("repo");
    let ok = |program: &str, args: &[&str]| {
        let out = start(program, &dir, &[&["--repo=.", "remote"], args].concat());
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    ok("ostree", &["add", "--no-gpg-verify", "o", "http://example.org"]);
    ok("ostree", &["add-cookie", "o", "example.org", "/", "foo", "bar"]);
    ok(OURS, &["add-cookie", "o", ".example.org", "/repo", "baz", "badger"]);
    let listed = ok(OURS, &["list-cookies", "o"]);
    assert_eq!(listed, ok("ostree", &["list-cookies", "o"]));
    assert_eq!(listed.matches("--\nDomain: ").count(), 2);

    ok(OURS, &["delete-cookie", "o", "example.org", "/", "foo"]);
    let left = ok("ostree", &["list-cookies", "o"]);
    assert!(left.contains("Value: badger") && !left.contains("Value: bar"), "{left}");
    let gone = start(OURS, &dir, &["--repo=.", "remote", "delete-cookie", "o", "example.org", "/", "foo"]);
    assert_eq!(gone.status.code(), Some(1));
    ok("ostree", &["delete-cookie", "o", ".example.org", "/repo", "baz"]);
    assert_eq!(ok(OURS, &["list-cookies", "o"]), "");
    let blank = start(OURS, &dir, &["--repo=.", "remote", "add-cookie", "o", "h", "/", "a", "b c"]);
    assert_eq!(blank.status.code(), Some(1));
}

#[test]
fn keys_and_settings_of_a_remote_come_from_the_parent() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    let dir = tmp.path();
    let ok = |args: &[&str]| {
        let out = start(OURS, dir, args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    ok(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Me <me@example.org>"]);
    ok(&["--repo=repo", "remote", "add", "--gpg-import=key.asc", "o", "http://example.org"]);
    ok(&["--repo=child", "init", "--mode=bare-user"]);
    let parent = format!("\nparent={}\n", dir.join("repo").display());
    let config = fs::read_to_string(dir.join("child/config")).unwrap() + &parent;
    fs::write(dir.join("child/config"), config).unwrap();
    assert_eq!(ok(&["--repo=child", "remote", "show-url", "o"]), "http://example.org\n");
    let sign = ["--repo=repo", "gpg-sign", "main", "me@example.org", "--gpg-homedir=secret.asc"];
    ok(&sign);
    for program in ["ostree", OURS] {
        let shown = start(program, dir, &["--repo=child", "show", "--gpg-verify-remote=o", "main"]);
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.contains("Good signature from \"Me <me@example.org>\""), "{program}: {text}");
    }
    // A key that has signed already is an error, as it is for the other program.
    let again = start(OURS, dir, &sign);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("Commit is already signed with GPG key me@"));
}

/// As what a pipe brings whose beginning failed.
#[test]
fn nothing_is_no_key() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    let dir = tmp.path();
    fs::write(dir.join("empty"), "").unwrap();
    let added = start(OURS, dir, &["--repo=repo", "remote", "add", "o", "http://example.org"]);
    assert!(added.status.success());
    for program in ["ostree", OURS] {
        let imported = start(program, dir, &["--repo=repo", "remote", "gpg-import", "-k", "empty", "o"]);
        let said = String::from_utf8_lossy(&imported.stderr).into_owned();
        assert_eq!(imported.status.code(), Some(1), "{program}: {said}");
    }
}

/// The other program leaves the remote after the first error, and the keys after the second.
#[test]
fn a_remote_comes_and_goes_with_its_keys() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    let dir = tmp.path();
    let code = |args: &[&str]| start(OURS, dir, args).status.code();
    let remotes = || start("ostree", dir, &["--repo=repo", "remote", "list"]).stdout;
    let add = ["--repo=repo", "remote", "add", "--gpg-import=key.asc", "o", "http://example.org"];
    assert_eq!(code(&add), Some(1));
    assert_eq!(remotes(), b"");
    assert_eq!(
        code(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Me <me@example.org>"]),
        Some(0)
    );
    assert_eq!(code(&add), Some(0));

    let keys = dir.join("repo/o.trustedkeys.gpg");
    let delete = ["--repo=repo", "remote", "delete", "o"];
    fs::rename(&keys, dir.join("kept")).unwrap();
    // A directory is what even root cannot unlink.
    fs::create_dir(&keys).unwrap();
    assert_eq!(code(&delete), Some(1));
    assert_eq!(remotes(), b"o\n");
    fs::remove_dir(&keys).unwrap();
    fs::rename(dir.join("kept"), &keys).unwrap();
    assert_eq!(code(&delete), Some(0));
    assert_eq!(remotes(), b"");
    assert!(!keys.exists());
}

#[test]
fn a_commit_that_was_deleted_on_purpose_is_known_where_it_is_pulled_to() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("archive");
    let dir = tmp.path();
    let ok = |program: &str, args: &[&str]| {
        let out = start(program, dir, args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let first = ok("ostree", &["--repo=repo", "rev-parse", "main^"]).trim().to_owned();
    ok("ostree", &["--repo=repo", "refs", "--delete", "a/b/c"]);
    ok("ostree", &["--repo=repo", "prune", &format!("--delete-commit={first}")]);
    // The other program asks the summary whether there are such commits.
    ok("ostree", &["--repo=repo", "summary", "-u"]);
    let object = |repo: &str, suffix: &str| {
        dir.join(format!("{repo}/objects/{}/{}.{suffix}", &first[..2], &first[2..]))
    };
    for (program, repo) in [("ostree", "theirs"), (OURS, "ours")] {
        ok(program, &[&format!("--repo={repo}"), "init", "--mode=archive"]);
        ok(program, &[&format!("--repo={repo}"), "pull-local", "--depth=-1", "repo", "main"]);
        assert!(!object(repo, "commit").exists());
    }
    let (theirs, ours) = (object("theirs", "tombstone-commit"), object("ours", "tombstone-commit"));
    assert_eq!(fs::read(ours).unwrap(), fs::read(theirs).unwrap());
}

#[test]
fn cookies_go_with_requests_to_the_host_that_they_are_for() {
    let tmp = tempfile::tempdir().unwrap();
    let ok = |args: &[&str]| assert!(start(OURS, tmp.path(), args).status.success(), "{args:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/repo", listener.local_addr().unwrap());
    ok(&["--repo=repo", "init", "--mode=archive"]);
    ok(&["--repo=repo", "remote", "add", "--no-gpg-verify", "o", &url]);
    let add = ["--repo=repo", "remote", "add-cookie", "o"];
    ok(&[&add[..], &["127.0.0.1", "/", "foo", "bar"]].concat());
    ok(&[&add[..], &["127.0.0.1", "/repo", "baz", "badger"]].concat());
    ok(&[&add[..], &["example.org", "/", "other", "host"]].concat());
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let lines = BufReader::new(client.try_clone().unwrap()).lines().map(Result::unwrap);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        client
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        head
    });
    let pulled = start(OURS, tmp.path(), &["--repo=repo", "pull", "--network-retries=0", "o", "main"]);
    assert_eq!(pulled.status.code(), Some(1));
    let head = server.join().unwrap();
    assert!(head.iter().any(|line| line.eq_ignore_ascii_case("cookie: foo=bar; baz=badger")), "{head:?}");
}

#[test]
fn prune_forgets_the_summaries_of_remotes_that_are_gone() {
    if !need("ostree") {
        return;
    }
    let left = |program: &str| {
        let tmp = repository("archive");
        let cache = tmp.path().join("repo/tmp/cache/summaries");
        fs::create_dir_all(&cache).unwrap();
        for name in ["o", "o.sig", "gone", "gone.sig"] {
            fs::write(cache.join(name), b"").unwrap();
        }
        for args in
            [&["--repo=repo", "remote", "add", "o", "http://example.org"][..], &["--repo=repo", "prune"]]
        {
            assert!(start(program, tmp.path(), args).status.success(), "{program} {args:?}");
        }
        names(&cache)
    };
    assert_eq!(left(OURS), ["o", "o.sig"]);
    assert_eq!(left(OURS), left("ostree"));
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.collect();
    names.sort();
    names
}

/// Escapes that do not exist stand for themselves, and keep no other remote from being listed.
#[test]
fn urls_with_odd_escapes() {
    if !need("ostree") {
        return;
    }
    let tmp = repository("bare-user");
    let config = tmp.path().join("repo/config");
    let remotes =
        [("q", r"file:///a\qb"), ("s", r"file:///a\sb"), ("end", r"http://a/\"), ("two", r"file:///\\x")];
    let groups = remotes.map(|(name, url)| format!("[remote \"{name}\"]\nurl={url}\n")).concat();
    fs::write(&config, fs::read_to_string(&config).unwrap() + &groups).unwrap();
    for (name, _) in remotes {
        same(tmp.path(), &["--repo=repo", "remote", "show-url", name]);
    }
    let listed = start(OURS, tmp.path(), &["--repo=repo", "remote", "list", "-u"]);
    assert!(listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains(r"file:///a\qb"));
}
