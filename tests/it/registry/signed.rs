//! Where signatures lie, and which names they are good for.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostree_rs::container::image::Digest;
use serde_json::json;

use super::MANIFEST;
use super::front::{Answer, Front};
use super::program::Home;
use super::server::{Login, Server, Speech};
use super::trust::{attach, claim, fingerprint, keys, manifest, policy, pull, run};
use crate::oracle;

const KEY: &str = "good@example.com";

/// A home with a key, and an image that is signed as `name`; gives its digest and the signature.
fn signed(home: &Home, server: &Server, name: &str) -> (String, Vec<u8>) {
    let digest = home.push(&format!("{}/org/app:1", server.address), &["--tls-verify=false"]);
    keys(home, &[KEY]);
    fs::write(home.path("manifest"), manifest(server, "org/app", &digest)).unwrap();
    run(home, "skopeo", &["standalone-sign", "manifest", name, &fingerprint(home, KEY), "-o", "signature"]);
    (digest, fs::read(home.path("signature")).unwrap())
}

fn requirement(home: &Home, identity: &serde_json::Value) -> serde_json::Value {
    json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": home.path(&format!("{KEY}.asc")), "signedIdentity": identity})
}

fn oracles() -> Option<Server> {
    let server = Server::start(&Login::Anybody, &Speech::Plain)?;
    (oracle::need("gpg") && oracle::need("skopeo")).then_some(server)
}

#[test]
fn a_lookaside_server() {
    let Some(server) = oracles() else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let image = format!("{host}/org/app:1");
    let (digest, signature) = signed(&home, &server, &image);
    policy(&home, &host, &requirement(&home, &json!({"type": "matchRepoDigestOrExact"})));
    // The first signature is by nobody we know; the server is busy at first.
    let place = format!("/sigs/org/app@{}", digest.replace(':', "="));
    let busy = AtomicBool::new(true);
    let (expected, kept) = (place.clone(), signature.clone());
    let lookaside = Front::start(server.address, move |asked| {
        if busy.swap(false, Ordering::SeqCst) {
            return Some(Answer::new("503 Busy\r\nRetry-After: 0", ""));
        }
        Some(match asked.target.strip_prefix(&expected) {
            Some("/signature-1") => Answer::new("200 OK", "no signature"),
            Some("/signature-2") => Answer::new("200 OK", signature.clone()),
            _ => Answer::new("404 Not Found", ""),
        })
    });
    let error = pull(&home, &image).unwrap_err();
    assert!(error.contains("no GPG signature"), "{error}");
    let config = format!("docker:\n  {host}/org:\n    lookaside: http://{}/sigs/\n", lookaside.address);
    home.write(".config/containers/registries.d/test.yaml", &config);
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    assert_eq!(pull(&home, &image).unwrap(), commit);
    let targets: Vec<_> = lookaside.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets.last().unwrap(), &format!("{place}/signature-3"), "{targets:?}");

    // Copies take them along.
    home.ok(&["container", "copy", "--tls-verify=false", &format!("docker://{image}"), "dir:copy"]);
    let files = ["signature-1", "signature-2"].map(|name| fs::read(home.path("copy").join(name)).unwrap());
    assert_eq!(files, [b"no signature".to_vec(), kept]);

    // A server that is broken is no server without signatures.
    let broken = Front::start(server.address, |_| Some(Answer::new("403 Forbidden", "")));
    let config = format!("docker:\n  {host}/org:\n    lookaside: http://{}/sigs\n", broken.address);
    home.write(".config/containers/registries.d/test.yaml", &config);
    home.ok(&["--repo=new", "refs", "--delete", "got"]);
    assert!(pull(&home, &image).unwrap_err().contains("403"));
}

/// As OpenShift's registry does.
#[test]
fn what_the_policy_asks_for_suffices() {
    let Some(server) = oracles() else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let image = format!("{host}/org/app:1");
    let (digest, signature) = signed(&home, &server, &image);
    let place = home.path("sigs").join(format!("org/app@{}", digest.replace(':', "=")));
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("signature-1"), &signature).unwrap();
    let config = format!("docker:\n  {host}/org:\n    lookaside: file://{}\n", home.path("sigs").display());
    home.write(".config/containers/registries.d/test.yaml", &config);
    // An image by its bare name, and no word about signatures but the policy's.
    let pull = || home.run(&["--repo=new", "container", "pull", "--ref=got", "--tls-verify=false", &image]);
    policy(&home, &host, &json!({"type": "insecureAcceptAnything"}));
    let refused = pull();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("cannot be checked"), "{why}");
    policy(&home, &host, &requirement(&home, &json!({"type": "matchExact"})));
    assert!(pull().status.success());
    home.ok(&["--repo=new", "refs", "--delete", "got"]);
    fs::write(place.join("signature-1"), "none").unwrap();
    assert!(!pull().status.success());
    assert_eq!(home.ok(&["--repo=new", "refs"]), "");
}

#[test]
fn a_registry_that_keeps_signatures() {
    let Some(server) = oracles() else { return };
    let home = Home::new();
    let (digest, signature) = signed(&home, &server, "example.com/org/app:1");
    for (kind, version, good) in [("atomic", 2, true), ("atomic", 3, false), ("other", 2, false)] {
        let list = json!({"signatures": [
            {"schemaVersion": version, "name": "x", "type": kind, "content": STANDARD.encode(&signature)}]});
        let place = format!("/extensions/v2/org/app/signatures/{digest}");
        let registry = Front::start(server.address, move |asked| match asked.target.as_str() {
            "/v2/" => Some(Answer::new("200 OK\r\nX-Registry-Supports-Signatures: 1", "{}")),
            target if target == place => Some(Answer::new("200 OK", list.to_string())),
            _ => None,
        });
        let host = registry.address.to_string();
        let name = json!({"type": "exactReference", "dockerReference": "example.com/org/app:1"});
        policy(&home, &host, &requirement(&home, &name));
        assert_eq!(pull(&home, &format!("{host}/org/app:1")).is_ok(), good, "{kind} {version}");
        home.run(&["--repo=new", "refs", "--delete", "got"]);
    }
}

#[test]
fn names_that_a_signature_is_good_for() {
    let Some(server) = oracles() else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let (digest, signature) = signed(&home, &server, "example.com/prod/app:1");
    let place = format!("sigs/org/app@{}", digest.replace(':', "="));
    fs::create_dir_all(home.path(&place)).unwrap();
    fs::write(home.path(&format!("{place}/signature-1")), signature).unwrap();
    let config = format!("default-docker:\n  sigstore: file://{}\n", home.path("sigs").display());
    home.write(".config/containers/registries.d/test.yaml", &config);
    let (org, image) = (format!("{host}/org"), format!("{host}/org/app:1"));
    for (identity, good) in [
        (json!({"type": "matchExact"}), false),
        (json!({"type": "matchRepository"}), false),
        (json!({"type": "matchRepoDigestOrExact"}), false),
        (json!({"type": "exactReference", "dockerReference": "example.com/prod/app:1"}), true),
        (json!({"type": "exactReference", "dockerReference": "example.com/prod/app:2"}), false),
        (json!({"type": "exactRepository", "dockerRepository": "example.com/prod/app"}), true),
        (json!({"type": "exactRepository", "dockerRepository": "example.com/prod"}), false),
        (json!({"type": "remapIdentity", "prefix": org, "signedPrefix": "example.com/prod"}), true),
        (json!({"type": "remapIdentity", "prefix": "x.y", "signedPrefix": "example.com/prod"}), false),
    ] {
        policy(&home, &host, &requirement(&home, &identity));
        let pulled = pull(&home, &image);
        assert_eq!(pulled.is_ok(), good, "{identity}: {pulled:?}");
        home.run(&["--repo=new", "refs", "--delete", "got"]);
    }
}

/// A registry that knows the referrers API gives cosign's signatures by it; others of its answers are not for
/// us.
#[test]
fn signatures_that_refer_to_the_image() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("openssl") {
        return;
    }
    let (home, index) = (Home::new(), "application/vnd.oci.image.index.v1+json");
    let digest = home.push(&format!("{}/org/app:1", server.address), &["--tls-verify=false"]);
    let generate = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key";
    run(&home, "openssl", &generate.split(' ').collect::<Vec<_>>());
    run(&home, "openssl", &["pkey", "-in", "key", "-pubout", "-out", "key.pub"]);
    let claim = claim("example.com/org/app", &digest);
    fs::write(home.path("claim"), &claim).unwrap();
    run(&home, "openssl", &["dgst", "-sha256", "-sign", "key", "-out", "sig", "claim"]);
    let signature = fs::read(home.path("sig")).unwrap();
    let manifest = attach(&server, "org/app", "signature", &claim, &signature, Some(&digest));
    let requirement = json!({"type": "sigstoreSigned", "keyPath": home.path("key.pub"),
        "signedIdentity": {"type": "exactRepository", "dockerRepository": "example.com/org/app"}});
    let signature = "application/vnd.dev.cosign.artifact.sig.v1+json";
    for (kind, status, good) in [
        (signature, "200 OK", true),
        ("application/spdx+json", "200 OK", false),
        (signature, "404 No", false),
    ] {
        let entry = json!({"mediaType": MANIFEST, "digest": Digest::of(&manifest).to_string(),
                           "size": manifest.len(), "artifactType": kind});
        let list = json!({"schemaVersion": 2, "mediaType": index, "manifests": [entry]}).to_string();
        let place = format!("/v2/org/app/referrers/{digest}");
        let registry = Front::start(server.address, move |asked| {
            let head = format!("{status}\r\nContent-Type: {index}");
            (asked.target == place).then(|| Answer::new(&head, list.clone()))
        });
        let host = registry.address.to_string();
        policy(&home, &host, &requirement);
        let pulled = pull(&home, &format!("{host}/org/app:1"));
        assert_eq!(pulled.is_ok(), good, "{kind} {status}: {pulled:?}");
        home.run(&["--repo=new", "refs", "--delete", "got"]);
    }
}
