//! Commits are pushed into an export: whoever reads it behind a plain web server finds them, as a repository and as images.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::exports::{Server, files};
use super::server::ask;
use crate::oracle::{need, need_root, run};
use crate::registry::program::Home;

/// Every file of an export and its content, but for what a repository needs to be written into.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let named = files(dir).into_iter().map(|path| {
        let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    });
    named.filter(|(name, _)| name != "repo/.lock" && !name.starts_with("repo/tmp/")).collect()
}

/// Commits a tree with one more file, in a repository of its own.
fn commit(home: &Home, repo: &str, name: &str, more: &[&str]) -> String {
    fs::write(home.path("tree/usr").join(name.replace('/', "-")), format!("{name}\n").repeat(30_000))
        .unwrap();
    let commit = [&format!("--repo={repo}"), "commit", "-b", name, "--tree=dir=tree"];
    home.ok(&[&commit[..], more].concat()).trim().to_owned()
}

/// As root, since nginx changes its user where it can.
#[test]
fn who_pulls_finds_what_was_pushed() {
    if !need_root() || !need("ostree") || !need("skopeo") {
        return;
    }
    let home = Home::new();
    home.ok(&["serve", "--repo=repo", "--export=www"]);
    let Some(nginx) = Server::nginx(&home.path("www")) else { return };
    let (arg, url) =
        (format!("--repo={}", home.path("new").display()), format!("http://{}/repo", nginx.address));
    run("ostree", &[&arg, "remote", "add", "--no-gpg-verify", "origin", &url]);
    run("ostree", &[&arg, "pull", "origin", "main"]);

    // From another repository, which knows nothing of what is there.
    home.ok(&["--repo=second", "init", "--mode=bare-user"]);
    let next = commit(&home, "second", "os/next", &["--timestamp=@1700000001"]);
    let image = home.path("www/v2/main/manifests/latest");
    let before = fs::metadata(&image).unwrap().modified().unwrap();
    let said = home.ok(&["push", "--repo=second", "--from-ref=os/next", "www"]);
    assert!(said.ends_with(&format!("os/next: {next}")), "{said}");
    // What is there already is not made again.
    assert_eq!(fs::metadata(&image).unwrap().modified().unwrap(), before);

    run("ostree", &[&arg, "pull", "origin", "os/next"]);
    run("ostree", &[&arg, "fsck"]);
    let listed = run("ostree", &[&arg, "remote", "refs", "origin"]);
    assert_eq!(String::from_utf8(listed).unwrap(), "origin:main\norigin:os/next\n");
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "origin:os/next"]).trim(), next);
    for name in ["main", "os/next"] {
        let from = format!("docker://{}/{name}", nginx.address);
        let to = format!("dir:{}", home.path("copied").display());
        run("skopeo", &["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &from, &to]);
    }
    home.ok(&[
        "pull",
        "--repo=new",
        "--ref=got",
        "--tls-verify=false",
        &format!("ostree-unverified-registry:{}/os/next", nginx.address),
    ]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "got"]).trim(), next);
    let first = ask(nginx.address, "GET", "/", &[]);
    let first = first.text();
    assert!(first.contains(&format!("/commit/{next}")) && first.contains("os/next"), "{first}");

    // The same as an export of a repository that has both.
    home.ok(&["push", "--repo=second", "--from-ref=os/next", "repo"]);
    home.ok(&["serve", "--repo=repo", "--export=whole"]);
    let whole = content(&home.path("whole"));
    assert_eq!(whole, content(&home.path("www")));

    // Broken off before the image had its names, a push goes on; by the path of the repository, too.
    for lost in ["v2/os/next/manifests/latest", "v2/os/next/tags/list", "repo/summary", "index.html"] {
        fs::remove_file(home.path("www").join(lost)).unwrap();
    }
    let again = home.ok(&["push", "--repo=second", "--from-ref=os/next", "www/repo"]);
    assert_eq!(again, format!("0 metadata, 0 content objects pushed\nos/next: {next} as before"));
    assert_eq!(whole, content(&home.path("www")));
}

/// A signed summary is not left behind by its signature.
#[test]
fn the_summary_stays_signed() {
    if !need_root() || !need("ostree") {
        return;
    }
    let home = Home::new();
    home.ok(&["gpg-new-key", "--secret=secret.asc", "--public=key.asc", "Example <os@example.org>"]);
    let signing = ["--gpg-sign=os@example.org", "--gpg-homedir=secret.asc"];
    home.ok(&[&["serve", "--repo=repo", "--export=www"], &signing[..]].concat());
    let next = commit(&home, "repo", "next", &signing);
    let before = content(&home.path("www"));
    let push = ["push", "--repo=repo", "--from-ref=next", "www"];
    let refused = home.fails(&push);
    assert!(refused.contains("--gpg-sign"), "{refused}");
    assert_eq!(before, content(&home.path("www")));
    home.ok(&[&push[..], &signing].concat());

    let Some(nginx) = Server::nginx(&home.path("www")) else { return };
    let arg = format!("--repo={}", home.path("new").display());
    let (url, key) = (
        format!("http://{}/repo", nginx.address),
        format!("--gpg-import={}", home.path("key.asc").display()),
    );
    run("ostree", &[&arg, "remote", "add", "--set=gpg-verify-summary=true", &key, "origin", &url]);
    run("ostree", &[&arg, "pull", "origin", "next"]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "origin:next"]).trim(), next);

    // A key signs nothing elsewhere.
    home.ok(&["--repo=plain", "init", "--mode=archive"]);
    let refused = home.fails(&[&["push", "--repo=repo", "plain"], &signing[..]].concat());
    assert!(refused.contains("serve --export"), "{refused}");
}
