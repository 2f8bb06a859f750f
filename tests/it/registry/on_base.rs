//! Images on a base in a registry: what is sent of the base, and what is fetched of it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::front::{Answer, Front};
use super::noise;
use super::program::Home;
use super::server::{Login, Server, Speech};
use crate::oracle::{need, run};

/// Bytes of the one large file of the base.
const LARGE: usize = 900_000;

fn commit(home: &Home) {
    let commit = ["--repo=repo", "commit", "-b", "main", "--parent=none", "--tree=dir=tree"];
    home.ok(&[&commit[..], &["--timestamp=@1700000000"]].concat());
}

#[test]
fn the_base_is_neither_sent_nor_fetched_twice() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let front = Front::start(server.address, |_| None);
    let home = Home::new();
    fs::write(home.path("tree/usr/large"), noise(LARGE)).unwrap();
    commit(&home);
    home.push(&format!("{}/org/base:1", server.address), &["--tls-verify=false"]);
    for (round, layers_fetched) in [2, 1].into_iter().enumerate() {
        fs::write(home.path("tree/usr/news"), format!("{round}\n")).unwrap();
        fs::remove_file(home.path("tree/usr/hello")).ok();
        commit(&home);
        let base = format!("--from=docker://{}/org/base:1", server.address);
        let to = format!("--push={}/org/os:1", server.address);
        let built = ["--repo=repo", "container", "build", "--ref=main", "--tls-verify=false", "--json"];
        let built: Value = serde_json::from_str(&home.ok(&[&built[..], &[&base, &to]].concat())).unwrap();
        assert_eq!([&built["layers"]["total"], &built["layers"]["reused"]], [2, 1], "{built}");
        assert!(built["written_bytes"].as_u64().unwrap() < 20_000, "{built}");

        let before = front.asked().len();
        let image = format!("ostree-unverified-registry:{}/org/os:1", front.address);
        let pull = ["--repo=new", "container", "pull", "--tls-verify=false", "--json", "--ref=got"];
        let pulled: Value = serde_json::from_str(&home.ok(&[&pull[..], &[&image]].concat())).unwrap();
        assert_eq!(pulled["commit"], home.ok(&["--repo=repo", "rev-parse", "main"]).trim());
        assert_eq!(pulled["layers_fetched"], layers_fetched, "{pulled}");
        let fetched = pulled["bytes_fetched"].as_u64().unwrap();
        assert_eq!(fetched > LARGE as u64, round == 0, "{pulled}");
        // What it says is what it asked for.
        let asked = front.asked().split_off(before);
        let layers = pulled["layers"].as_array().unwrap().iter();
        let asked_for = layers.filter(|layer| {
            let target = format!("/v2/org/os/blobs/{}", layer["digest"].as_str().unwrap());
            asked.iter().any(|asked| asked.target == target)
        });
        assert_eq!(asked_for.count(), layers_fetched);
        home.ok(&["--repo=new", "fsck"]);
    }
}

/// Pushes an image of the commit, with one large file, to be a base.
fn push_base(home: &Home, image: &str) {
    fs::write(home.path("tree/usr/large"), noise(LARGE)).unwrap();
    commit(home);
    home.push(image, &["--tls-verify=false"]);
}

/// Builds an image of a commit with something new on the base.
fn build(home: &Home, base: &str, to: &str, more: &[&str]) -> Value {
    fs::write(home.path("tree/usr/news"), "news\n").unwrap();
    commit(home);
    let (base, to) = (format!("--from=docker://{base}"), format!("--push={to}"));
    let built =
        ["--repo=repo", "container", "build", "--ref=main", "--tls-verify=false", "--json", &base, &to];
    serde_json::from_str(&home.ok(&[&built[..], more].concat())).unwrap()
}

#[test]
fn a_base_from_elsewhere_is_fetched_once() {
    let Some(old) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let Some(new) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !need("skopeo") {
        return;
    }
    let home = Home::new();
    push_base(&home, &format!("{}/org/base:1", old.address));
    // Where the first upload is refused, the base has to come again.
    for (path, refuses) in [("org/at-once", false), ("org/again", true)] {
        let (from, refused) = (Front::start(old.address, |_| None), AtomicBool::new(!refuses));
        let to = Front::start(new.address, move |asked| {
            let is_refused = asked.method == "POST" && !refused.swap(true, Ordering::Relaxed);
            is_refused.then(|| Answer::new("403 Forbidden", ""))
        });
        let (base, image) = (format!("{}/org/base:1", from.address), format!("{}/{path}:1", to.address));
        let built = build(&home, &base, &image, &[]);
        assert_eq!([&built["layers"]["total"], &built["layers"]["reused"]], [2, 0], "{built}");
        assert!(built["written_bytes"].as_u64().unwrap() > LARGE as u64, "{built}");
        let is_blob = |target: &str| target.contains("/blobs/");
        let asked = from.asked();
        let fetched = asked.iter().filter(|asked| asked.method == "GET" && is_blob(&asked.target)).count();
        // The configuration is a blob, too.
        assert_eq!(fetched, if refuses { 3 } else { 2 }, "{asked:#?}");
        // All of it is there, with the digests that it should have.
        let copy = format!("dir:{}", home.path(path.rsplit('/').next().unwrap()).display());
        let image = format!("docker://{image}");
        run("skopeo", &["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &image, &copy]);
    }
}

#[test]
fn blobs_are_mounted_from_the_base_and_from_the_image_before() {
    let Some(old) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let Some(new) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    let [base, copied] = [&old, &new].map(|server| format!("{}/org/base:1", server.address));
    push_base(&home, &base);
    let copy = ["container", "copy", "-q", "--tls-verify=false"];
    let names = [&base, &copied].map(|name| format!("docker://{name}"));
    home.ok(&[&copy[..], &[&names[0], &names[1]]].concat());
    // The base is another registry's; the image before has its layers where the new one goes.
    let previous = format!("--previous=docker://{copied}");
    let built = build(&home, &base, &format!("{}/org/os:1", new.address), &[&previous]);
    assert_eq!([&built["layers"]["total"], &built["layers"]["reused"]], [2, 1], "{built}");
    assert!(built["written_bytes"].as_u64().unwrap() < 20_000, "{built}");
}
