//! Which way a request takes: proxies, mirrors, redirects, digests, and lines that break.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use ostree_rs::base::Ctx;
use serde_json::json;

use super::front::{Answer, Front};
use super::program::{Home, auth_json};
use super::server::{Certificates, Login, Server, Speech, USER};
use super::trust::manifest;
use super::{MANIFEST, registry};
use crate::oracle;
use crate::proxy::{Faults, Proxy};

const NAME: &str = "registry.test/org/app:1";

fn nowhere() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

#[test]
fn a_proxy_of_the_environment() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (home, proxy) = (Home::new(), Front::start(server.address, |_| None));
    let url = format!("http://user:pass@{}", proxy.address);
    let push = format!("--push=docker://{NAME}");
    let push = ["--repo=repo", "container", "build", "--ref=main", "--tls-verify=false", &push];
    home.ok_with(&[("HTTP_PROXY", &url)], &push);
    let unverified = format!("ostree-unverified-registry:{NAME}");
    let pull = ["--repo=new", "container", "pull", "--tls-verify=false", &unverified];
    home.ok_with(&[("http_proxy", &url), ("HTTP_PROXY", "http://127.0.0.1:9")], &pull);
    let asked = proxy.asked();
    assert!(asked.iter().all(|a| a.target.starts_with("http://registry.test/")), "{asked:?}");
    // "user:pass"
    assert!(asked.iter().all(|a| a.header("proxy-authorization") == Some("Basic dXNlcjpwYXNz")), "{asked:?}");
    // Hosts that are excepted, and those of this machine, are reached without it.
    let out = home.run_with(&[("HTTP_PROXY", &url), ("NO_PROXY", "other.test,.test")], &pull);
    assert!(!out.status.success());
    let out = home.run_with(&[("HTTP_PROXY", &url), ("NO_PROXY", "registry.test:80")], &pull);
    assert!(!out.status.success());
    let asked = proxy.asked();
    home.ok_with(&[("HTTP_PROXY", &url), ("NO_PROXY", "registry.test:5000")], &pull);
    assert!(proxy.asked().len() > asked.len());
    let asked = proxy.asked();
    let here = format!("ostree-unverified-registry:{}/org/app:1", server.address);
    home.ok_with(&[("ALL_PROXY", &url)], &["--repo=new", "container", "pull", "--tls-verify=false", &here]);
    assert_eq!(proxy.asked().len(), asked.len());
}

#[test]
fn tls_through_a_proxy() {
    let Some(files) = Certificates::make() else { return };
    let Some(server) = Server::start(&Login::Basic, &Speech::Tls(&files)) else { return };
    let (home, proxy) = (Home::new(), Front::start(server.address, |_| None));
    let (url, push) = (format!("http://{}", proxy.address), format!("--push=docker://{NAME}"));
    let creds = format!("--creds={}:{}", USER.0, USER.1);
    let push = ["--repo=repo", "container", "build", "--ref=main", "--tls-verify=false", &creds, &push];
    home.ok_with(&[("https_proxy", &url), ("http_proxy", "http://127.0.0.1:9")], &push);
    let asked = proxy.asked();
    assert!(asked.iter().all(|a| (a.method.as_str(), a.target.as_str()) == ("CONNECT", "registry.test:443")));
    // The proxy is not told what goes through it.
    assert!(asked.iter().all(|a| a.header("authorization").is_none()));
}

/// The password of the command line is for the host that is named there, as it is with skopeo; the one of
/// auth.json for the place that registries.conf leads to.
#[test]
fn the_password_is_for_one_host() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let creds = format!("--creds={}:{}", USER.0, USER.1);
    let digest = home.push(&format!("{host}/org/app:1"), &["--tls-verify=false", &creds]);
    let challenge = "401 No\r\nWWW-Authenticate: Basic realm=\"x\"";
    let mirror = Front::start(nowhere(), move |_| Some(Answer::new(challenge, "")));
    let config = |only: &str| {
        format!(
            "[[registry]]\nprefix = \"*.example.com\"\nlocation = \"{host}\"\ninsecure = true\n\
             [[registry.mirror]]\nlocation = \"{}/mirror\"\ninsecure = true\npull-from-mirror = \"{only}\"\n",
            mirror.address
        )
    };
    home.write("registries.conf", &config("digest-only"));
    let pull = |name: &str, more: &[&str]| {
        let image = format!("ostree-unverified-registry:a.example.com/org/app{name}");
        home.run(&[&["--repo=new", "container", "pull", &image], more].concat()).status.success()
    };
    assert!(!pull(":1", &[&creds]));
    if oracle::need("skopeo") {
        let login = format!("{}:{}", USER.0, USER.1);
        let conf = home.path("registries.conf");
        let args = ["--registries-conf", conf.to_str().unwrap(), "inspect", "--creds", &login];
        let skopeo =
            Command::new("skopeo").args(args).arg("docker://a.example.com/org/app:1").output().unwrap();
        assert!(!skopeo.status.success());
        let said = String::from_utf8_lossy(&skopeo.stderr);
        assert!(said.contains("unauthorized") || said.contains("authentication required"), "{said}");
    }
    home.write(".config/containers/auth.json", &auth_json(&host));
    assert!(pull(":1", &[]));
    assert!(mirror.asked().is_empty());
    assert!(pull(&format!("@{digest}"), &[&creds]));
    let asked = mirror.asked();
    assert!(asked.iter().any(|a| a.target == format!("/v2/mirror/org/app/manifests/{digest}")), "{asked:?}");
    assert!(asked.iter().all(|a| a.header("authorization").is_none()), "{asked:?}");
    // No mirror is ever pushed to, and what is pushed goes to the name that was given.
    let count = asked.len();
    let push = "--push=docker://a.example.com/org/app:2";
    home.fails(&["--repo=repo", "container", "build", "--ref=main", &creds, push]);
    assert_eq!(mirror.asked().len(), count);
}

/// A registry whose blobs lie on another server, which answers in parts only.
#[test]
fn redirects_are_followed_without_the_password() {
    let Some(server) = Server::start(&Login::Basic, &Speech::Plain) else { return };
    let (home, creds) = (Home::new(), format!("--creds={}:{}", USER.0, USER.1));
    home.push(&format!("{}/org/app:1", server.address), &["--tls-verify=false", &creds]);
    let root = server.dir.path().join("data/docker/registry/v2/blobs/sha256");
    let store = Front::start(nowhere(), move |asked| {
        let hex = asked.target.strip_prefix("/store/").unwrap();
        Some(Answer::new("200 OK", fs::read(root.join(&hex[..2]).join(hex).join("data")).unwrap()))
    });
    let there = store.address;
    let registry = Front::start(server.address, move |asked| {
        let hex = asked.target.strip_prefix("/v2/org/app/blobs/sha256:")?;
        asked.header("authorization")?;
        Some(Answer::new(&format!("307 Elsewhere\r\nLocation: http://{there}/store/{hex}"), ""))
    });
    let image = format!("ostree-unverified-registry:{}/org/app:1", registry.address);
    home.ok(&["--repo=new", "container", "pull", "--tls-verify=false", &creds, &image]);
    let asked = store.asked();
    assert!(asked.len() >= 2 && asked.iter().all(|a| a.header("authorization").is_none()), "{asked:?}");
}

/// The first answers break off; also those that are read whole, such as manifests.
#[test]
fn a_manifest_that_breaks_off_is_asked_for_again() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let home = Home::new();
    home.push(&format!("{}/org/app:1", server.address), &["--tls-verify=false"]);
    let proxy = Proxy::start(server.address, Faults { cut_answers: Some((5, 900)), ..Faults::default() });
    let image = format!("ostree-unverified-registry:{}/org/app:1", proxy.address);
    home.ok(&["--repo=new", "container", "pull", "--tls-verify=false", &image]);
    assert!(proxy.connections() > 5, "{}", proxy.connections());
}

#[test]
fn the_image_for_a_platform() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (home, insecure) = (Home::new(), "--tls-verify=false");
    let (mut entries, mut commits) = (Vec::new(), Vec::new());
    for (architecture, variant) in [("amd64", None), ("arm64", Some("v8"))] {
        home.write("tree/usr/hello", architecture);
        home.ok(&["--repo=repo", "commit", "-b", "main", "--tree=dir=tree", "--timestamp=@1700000000"]);
        commits.push(home.ok(&["--repo=repo", "rev-parse", "main"]));
        let digest = home.push(&format!("{}/org/app:{architecture}", server.address), &[insecure]);
        let size = manifest(&server, "org/app", &digest).len();
        entries.push(json!({"mediaType": MANIFEST, "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": architecture, "variant": variant}}));
    }
    let index_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": entries}).to_string();
    let repository = registry(&server.url(), "org/app", None);
    repository.put_manifest("all", index_type, index.as_bytes(), &Ctx::default()).unwrap();
    let pinned = format!("@{}", ostree_rs::container::image::Digest::of(index.as_bytes()));
    for suffix in [":all", &pinned] {
        let image = format!("{}/org/app{suffix}", server.address);
        let unverified = format!("ostree-unverified-registry:{image}");
        let pull = ["--repo=new", "container", "pull", insecure, &unverified];
        for (platform, at) in
            [("linux/amd64", 0), ("linux/arm64", 1), ("linux/aarch64", 1), ("linux/arm64/v8", 1)]
        {
            assert_eq!(home.ok(&[&pull[..], &["--platform", platform]].concat()), commits[at], "{platform}");
        }
        let error = home.fails(&[&pull[..], &["--platform=linux/s390x"]].concat());
        assert!(error.contains("linux/amd64, linux/arm64/v8"), "{error}");
        for part in ["linux", "arm64"] {
            let error = home.fails(&[&pull[..], &["--platform", part]].concat());
            assert!(error.contains("OS/ARCHITECTURE[/VARIANT]"), "{error}");
        }
        // What is copied is what skopeo would copy.
        if oracle::need("skopeo") {
            let place = format!("docker://{image}");
            let copy = ["container", "copy", insecure, "--platform=linux/arm64", &place, "dir:arm"];
            let config = ["--override-arch", "arm64", "inspect", insecure, "--config", "--raw", &place];
            home.ok(&copy);
            let config = oracle::run("skopeo", &config);
            let digest = ostree_rs::container::image::Digest::of(&config).to_string();
            assert_eq!(fs::read(home.path("arm").join(&digest[7..])).unwrap(), config);
        }
    }
}
