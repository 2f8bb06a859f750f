//! The refs of a repository as images: skopeo, podman and we pull them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::Serving;
use super::inside::Inside;
use crate::oracle::{self, need, run};
use crate::registry::program::Home;

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");
const INSECURE: &str = "--tls-verify=false";

/// A repository with a commit whose layer has some megabytes, and a second commit on another ref.
fn home() -> Home {
    let home = Home::new();
    let content: Vec<u8> = (0..800_000_u32).flat_map(|n| (n ^ (n >> 3)).to_le_bytes()).collect();
    fs::write(home.path("tree/usr/large"), content).unwrap();
    let commit = ["--repo=repo", "commit", "-b", "os/stable", "--tree=dir=tree", "--timestamp=@1700000001"];
    home.ok(&[&commit[..], &["-s", "Stable", "--owner-uid=0", "--owner-gid=0"]].concat());
    home.ok(&["--repo=repo", "refs", "--create=Fedora/X", "main"]);
    home
}

fn skopeo(args: &[&str]) -> String {
    String::from_utf8(run("skopeo", args)).unwrap()
}

/// Every client takes the same image, which is the one that `container build` makes.
#[test]
fn everybody_pulls() {
    if !need("skopeo") {
        return;
    }
    let home = home();
    let serving = Serving::start(&home.path("repo"));
    let image = |name: &str| format!("docker://{}/{name}", serving.address);
    home.ok(&["container", "build", "--repo=repo", "--ref=os/stable", "--oci-dir=built"]);
    let built =
        skopeo(&["inspect", "--format={{.Digest}}", &format!("oci:{}", home.path("built").display())]);
    let served = skopeo(&["inspect", INSECURE, "--format={{.Digest}}", &image("os/stable")]);
    assert_eq!(served, built);

    let commit = home.ok(&["--repo=repo", "rev-parse", "os/stable"]).trim().to_owned();
    let main = home.ok(&["--repo=repo", "rev-parse", "main"]).trim().to_owned();
    for (name, expected) in
        [("os/stable", &commit), ("fedora/x:latest", &main), (&*format!("main:{main}"), &main)]
    {
        let label = skopeo(&[
            "inspect",
            INSECURE,
            "--config",
            "--format={{index .Config.Labels \"ostree.commit\"}}",
            &image(name),
        ]);
        assert_eq!(label.trim(), *expected, "{name}");
    }
    let copied = format!("dir:{}", home.path("copied").display());
    skopeo(&["--insecure-policy", "copy", "-q", "--src-tls-verify=false", &image("os/stable"), &copied]);

    let ours = format!("ostree-unverified-registry:{}/os/stable", serving.address);
    home.ok(&["pull", "--repo=new", "--ref=got", INSECURE, &ours]);
    assert_eq!(home.ok(&["--repo=new", "rev-parse", "got"]).trim(), commit);
    home.ok(&["--repo=new", "fsck"]);
}

/// podman pulls, with its own parts of layers.
#[test]
fn podman_pulls() {
    if !need("podman") || !oracle::need_root() {
        return;
    }
    let home = home();
    let serving = Serving::start_with(&home.path("repo"), &["--compression=zstd:chunked"]);
    let at = |name: &str| home.path(name).display().to_string();
    let places =
        [&format!("--root={}", at("pod")), &format!("--runroot={}", at("run")), "--storage-driver=vfs"]
            .map(str::to_owned);
    let podman = |args: &[&str]| {
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        String::from_utf8(run("podman", &[&places, args].concat())).unwrap()
    };
    let image = format!("{}/os/stable", serving.address);
    podman(&["pull", "-q", INSECURE, &image]);
    let commit = home.ok(&["--repo=repo", "rev-parse", "os/stable"]);
    let label = podman(&["inspect", "--format={{index .Labels \"ostree.commit\"}}", &image]);
    assert_eq!(label.trim(), commit.trim());
}

/// Where nothing can be kept, every layer is made again each time it is asked for, and is the same.
#[test]
fn layers_are_made_again() {
    let home = home();
    home.ok(&["container", "build", "--repo=repo", "--ref=os/stable", "--oci-dir=built"]);
    let server = Inside::start(&home.path("repo"), |limits| limits.shelf_bytes = 1);
    let manifest = server.get("/v2/os/stable/manifests/latest");
    let digest = manifest.header("docker-content-digest").unwrap();
    let blob = |digest: &str| fs::read(home.path("built/blobs/sha256").join(&digest[7..])).unwrap();
    assert!(manifest.body == blob(digest));
    let parsed: Value = serde_json::from_slice(&manifest.body).unwrap();
    for layer in parsed["layers"].as_array().unwrap() {
        let digest = layer["digest"].as_str().unwrap();
        let (path, expected) = (format!("/v2/os/stable/blobs/{digest}"), blob(digest));
        for _ in 0..2 {
            let reply = server.get(&path);
            assert!(reply.status == 200 && reply.body == expected, "{digest}: {}", reply.status);
        }
        let part = server.ask("GET", &path, &["Range: bytes=1000-1999"]);
        assert!(part.status == 206 && part.body == expected[1000..2000], "{digest}: {}", part.status);
        let head = server.ask("HEAD", &path, &[]);
        assert_eq!(head.header("content-length"), Some(&*expected.len().to_string()));
    }
}

/// So it is where whoever runs it wants nothing to be kept.
#[test]
fn nothing_is_kept() {
    let home = home();
    let serving = Serving::start_with(&home.path("repo"), &["--cache-size=0"]);
    let manifest: Value =
        serde_json::from_slice(&serving.get("/v2/os/stable/manifests/latest").body).unwrap();
    let digest = manifest["layers"][0]["digest"].as_str().unwrap();
    for _ in 0..2 {
        let layer = serving.get(&format!("/v2/os/stable/blobs/{digest}"));
        assert_eq!(format!("sha256:{}", ostree_rs::format::Checksum::of(&layer.body)), digest);
    }
    for bad in ["MB", "5XB", "-1", "99999999999TB"] {
        let out = Command::new(OURS).args(["serve", &format!("--cache-size={bad}")]).output().unwrap();
        assert!(
            !out.status.success() && String::from_utf8_lossy(&out.stderr).contains("--cache-size"),
            "{bad}"
        );
    }
}

/// After a commit the image is another one; the one before is there by its commit.
#[test]
fn images_follow_their_refs() {
    let home = home();
    let serving = Serving::start(&home.path("repo"));
    let digest = |reference: &str| {
        let reply = serving.get(&format!("/v2/os/stable/manifests/{reference}"));
        assert_eq!(reply.status, 200, "{reference}");
        reply.header("docker-content-digest").unwrap().to_owned()
    };
    let before = digest("latest");
    let commit = home.ok(&["--repo=repo", "rev-parse", "os/stable"]);
    home.ok(&["--repo=repo", "commit", "-b", "os/stable", "--tree=ref=main", "--timestamp=@1700000002"]);
    assert_ne!(digest("latest"), before);
    assert_eq!(digest(commit.trim()), before);
    assert_eq!(digest(&before), before);
    let tags: Value = serde_json::from_slice(&serving.get("/v2/os/stable/tags/list").body).unwrap();
    assert_eq!(tags["tags"].as_array().unwrap().len(), 3);
}

/// An image that cannot be made is an error of that image alone.
#[test]
fn damage_stays_where_it_is() {
    let home = home();
    let list = home.ok(&["--repo=repo", "ls", "-C", "os/stable", "/usr/large"]);
    let id = list.split_whitespace().find(|word| word.len() == 64).unwrap();
    fs::remove_file(home.path("repo/objects").join(&id[..2]).join(format!("{}.file", &id[2..]))).unwrap();
    let serving = Serving::start(&home.path("repo"));
    let reply = serving.get("/v2/os/stable/manifests/latest");
    assert_eq!(reply.status, 500);
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(error["errors"][0]["code"], "UNKNOWN");
    assert_eq!(serving.get("/v2/main/manifests/latest").status, 200);
}

/// By TLS, with a certificate that only those trust who were told to.
#[test]
fn by_https() {
    let Some(files) = crate::registry::server::Certificates::make() else { return };
    let home = home();
    let at = |name: &str| files.path(name).display().to_string();
    let options = [format!("--tls-cert={}", at("server.crt")), format!("--tls-key={}", at("server.key"))];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let serving = Serving::start_with(&home.path("repo"), &options);
    assert!(serving.url.starts_with("https://"));
    let image = format!("ostree-unverified-registry:{}/os/stable", serving.address);
    home.write(&format!("certs/{}/ca.crt", serving.address), &String::from_utf8(files.ca()).unwrap());
    let certs = format!("--cert-dir={}", home.path("certs").join(serving.address.to_string()).display());
    home.ok(&["pull", "--repo=new", "--ref=got", &certs, &image]);
    assert!(!home.run(&["pull", "--repo=new", "--ref=got", &image]).status.success());
    if need("ostree") {
        let arg = format!("--repo={}", home.path("new").display());
        let (ca, url) = (format!("--set=tls-ca-path={}", at("ca.crt")), serving.repo_url());
        run("ostree", &[&arg, "remote", "add", "--no-gpg-verify", &ca, "origin", &url]);
        run("ostree", &[&arg, "pull", "origin", "main"]);
        run("ostree", &[&arg, "remote", "add", "--no-gpg-verify", "stranger", &url]);
        let stranger = Command::new("ostree").args([&arg, "pull", "stranger", "main"]).output().unwrap();
        assert!(!stranger.status.success());
    }
    let wrong = Command::new(OURS)
        .args(["serve", &format!("--repo={}", home.path("repo").display()), "--listen=127.0.0.1:0"])
        .args([&format!("--tls-cert={}", at("server.crt")), &format!("--tls-key={}", at("client.key"))])
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("TLS"));
}
