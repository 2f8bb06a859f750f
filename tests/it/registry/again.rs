//! Pushes of what the registry has already, counted in bytes that go to it.

use std::fs;

use serde_json::{Value, json};

use super::program::Home;
use super::server::{Login, Server, Speech};
use crate::proxy::{Faults, Proxy};

/// Requests without a blob, for a few layers.
const FEW_BYTES: u64 = 40_000;

/// A root file system with two packages, each larger than a chunk of an upload.
fn two_packages(home: &Home) {
    let mut status = String::new();
    for (number, name) in ["one", "two"].into_iter().enumerate() {
        let mut noise = super::noise(12_000_000 + number);
        noise.reverse();
        fs::write(home.path(&format!("tree/usr/{name}")), noise).unwrap();
        home.write(&format!("tree/var/lib/dpkg/info/{name}.list"), &format!("/.\n/usr\n/usr/{name}\n"));
        status += &format!("Package: {name}\nVersion: 1\n\n");
    }
    home.write("tree/var/lib/dpkg/status", &status);
    commit(home);
}

fn commit(home: &Home) -> String {
    home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"])
}

/// Pushes to `name`; gives what the program says of it, and how many bytes it sent.
fn push(home: &Home, proxy: &Proxy, name: &str, more: &[&str]) -> (Value, u64) {
    let before = proxy.asked();
    let image = format!("{}/{name}", proxy.address);
    let said = home.push(&image, &[&["--tls-verify=false", "--json"], more].concat());
    (serde_json::from_str(&said).unwrap(), proxy.asked() - before)
}

#[test]
fn what_is_there_is_not_sent_again() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    two_packages(&home);
    let proxy = Proxy::start(server.address, Faults::default());

    // In one layer, which is too large for its digest to be known before it is sent.
    let (first, sent) = push(&home, &proxy, "app:1", &[]);
    assert_eq!(first["layers"], json!({"total": 1, "reused": 0, "written": 1}));
    assert!(sent > first["written_bytes"].as_u64().unwrap() && sent > 8 << 20, "{sent}");
    let (again, sent) = push(&home, &proxy, "app:1", &[]);
    assert_eq!(again["layers"], json!({"total": 1, "reused": 1, "written": 0}));
    assert_eq!((&again["manifest_digest"], &again["written_bytes"]), (&first["manifest_digest"], &json!(0)));
    assert!(sent < FEW_BYTES, "{sent}");

    // In several, the second time to another repository of the same registry.
    let packages = ["--max-layers=10"];
    let (first, sent) = push(&home, &proxy, "app:layers", &packages);
    assert_eq!(first["layers"], json!({"total": 4, "reused": 0, "written": 4}));
    assert!(sent > 8 << 20, "{sent}");
    let previous = format!("--previous=docker://{}/app:layers", proxy.address);
    let (other, sent) = push(&home, &proxy, "other:1", &[&packages[..], &[&previous]].concat());
    assert_eq!(other["layers"], json!({"total": 4, "reused": 4, "written": 0}));
    assert_eq!(other["manifest_digest"], first["manifest_digest"]);
    assert!(sent < FEW_BYTES, "{sent}");

    // One package is upgraded.
    home.write("tree/usr/two", "the new one\n");
    home.write("tree/var/lib/dpkg/status", "Package: one\nVersion: 1\n\nPackage: two\nVersion: 2\n\n");
    commit(&home);
    let (upgraded, sent) = push(&home, &proxy, "app:layers", &[&packages[..], &[&previous]].concat());
    assert_eq!(upgraded["layers"], json!({"total": 4, "reused": 2, "written": 2}));
    assert!(sent < FEW_BYTES, "{sent}");
    let image = format!("ostree-unverified-registry:{}/app:layers", proxy.address);
    let pulled = home.ok(&["--repo=new", "container", "pull", "--tls-verify=false", &image]);
    assert_eq!(pulled, home.ok(&["--repo=repo", "rev-parse", "main"]));
    assert!(home.run(&["--repo=new", "fsck"]).status.success());
}
