//! Signatures of images: GPG by skopeo, sigstore's by openssl.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ostree_rs::base::Ctx;
use ostree_rs::format::Checksum;
use serde_json::json;

use super::program::Home;
use super::server::{Login, Server, Speech};
use super::{MANIFEST, push_blob, registry};
use crate::oracle;

pub(crate) fn run(home: &Home, program: &str, args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).current_dir(home.path("")).env("GNUPGHOME", home.path("gnupg"));
    let out = command.output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Makes a key for each user, whose public half is in USER.asc.
pub(crate) fn keys(home: &Home, users: &[&str]) {
    fs::create_dir(home.path("gnupg")).unwrap();
    run(home, "chmod", &["700", "gnupg"]);
    for user in users {
        let quick = ["--batch", "--passphrase", "", "--quick-gen-key", user, "rsa2048", "sign", "never"];
        run(home, "gpg", &quick);
        let exported = run(home, "gpg", &["--export", "--armor", user]);
        home.write(&format!("{user}.asc"), std::str::from_utf8(&exported).unwrap());
    }
}

pub(crate) fn fingerprint(home: &Home, user: &str) -> String {
    let list = String::from_utf8(run(home, "gpg", &["--with-colons", "--list-keys", user])).unwrap();
    list.lines().find(|l| l.starts_with("fpr")).unwrap().split(':').nth(9).unwrap().to_owned()
}

pub(crate) fn policy(home: &Home, host: &str, requirement: &serde_json::Value) {
    let policy = json!({"default": [{"type": "reject"}], "transports": {"docker": {host: [requirement]}}});
    home.write(".config/containers/policy.json", &policy.to_string());
}

/// The manifest of a digest, as the registry has it.
pub(crate) fn manifest(server: &Server, path: &str, digest: &str) -> Vec<u8> {
    registry(&server.url(), path, None).manifest(digest, &[MANIFEST], &Ctx::default()).unwrap().bytes
}

pub(crate) fn pull(home: &Home, image: &str) -> Result<String, String> {
    let signed = format!("ostree-image-signed:docker://{image}");
    let out = home.run(&["--repo=new", "container", "pull", "--ref=got", "--tls-verify=false", &signed]);
    match out.status.success() {
        true => Ok(String::from_utf8(out.stdout).unwrap().trim().to_owned()),
        false => {
            assert!(home.ok(&["--repo=new", "refs"]).is_empty(), "a refused image became visible");
            Err(String::from_utf8(out.stderr).unwrap())
        }
    }
}

#[test]
fn simple_signing() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("gpg") || !oracle::need("skopeo") {
        return;
    }
    let (home, host) = (Home::new(), server.address.to_string());
    let image = format!("{host}/org/app:1");
    let digest = home.push(&image, &["--tls-verify=false"]);
    keys(&home, &["good@example.com", "other@example.com"]);
    let key = |user: &str| json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": home.path(&format!("{user}.asc"))});
    let config = format!("docker:\n  {host}:\n    lookaside: file://{}\n", home.path("sigs").display());
    home.write(".config/containers/registries.d/test.yaml", &config);

    // Nothing is signed yet; and a policy that accepts anything is none.
    let error = pull(&home, &image).unwrap_err();
    assert!(error.contains("accepts anything"), "{error}");
    policy(&home, &host, &json!({"type": "insecureAcceptAnything"}));
    assert!(pull(&home, &image).unwrap_err().contains("accepts anything"));
    policy(&home, &host, &key("good@example.com"));
    let error = pull(&home, &image).unwrap_err();
    assert!(error.contains("no GPG signature"), "{error}");

    // Signed by skopeo.
    fs::write(home.path("manifest"), manifest(&server, "org/app", &digest)).unwrap();
    let place = format!("sigs/org/app@{}", digest.replace(':', "="));
    fs::create_dir_all(home.path(&place)).unwrap();
    let sign = |name: &str, user: &str, number: u32| {
        let output = format!("{place}/signature-{number}");
        run(
            &home,
            "skopeo",
            &["standalone-sign", "manifest", name, &fingerprint(&home, user), "-o", &output],
        );
    };
    sign(&image, "other@example.com", 1);
    let error = pull(&home, &image).unwrap_err();
    assert!(error.contains("its signature is by none of the keys"), "{error}");
    sign(&format!("{host}/org/other:1"), "good@example.com", 2);
    let error = pull(&home, &image).unwrap_err();
    assert!(error.contains("org/other:1"), "{error}");
    sign(&image, "good@example.com", 3);
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    assert_eq!(pull(&home, &image).unwrap(), commit);
    home.ok(&["--repo=new", "refs", "--delete", "got"]);
    assert_eq!(pull(&home, &format!("{host}/org/app@{digest}")).unwrap(), commit);
    home.ok(&["--repo=new", "refs", "--delete", "got"]);

    // A damaged signature, and the same image under another tag.
    let file = home.path(&format!("{place}/signature-3"));
    let good = fs::read(&file).unwrap();
    let mut bad = good.clone();
    let at = bad.len() - 20;
    bad[at] ^= 1;
    fs::write(&file, bad).unwrap();
    pull(&home, &image).unwrap_err();
    fs::write(&file, good).unwrap();
    home.push(&format!("{host}/org/app:2"), &["--tls-verify=false"]);
    pull(&home, &format!("{host}/org/app:2")).unwrap_err();
    let mut anyhow = key("good@example.com");
    anyhow["signedIdentity"] = json!({"type": "matchRepository"});
    policy(&home, &host, &anyhow);
    assert_eq!(pull(&home, &format!("{host}/org/app:2")).unwrap(), commit);
    // The policy holds for unverified images too.
    policy(&home, &host, &json!({"type": "reject"}));
    let unverified = format!("ostree-unverified-registry:{image}");
    let error = home.fails(&["--repo=new", "container", "pull", "--tls-verify=false", &unverified]);
    assert!(error.contains("rejects"), "{error}");
}

/// Stores a signature as cosign does.
pub(crate) fn attach(
    server: &Server,
    path: &str,
    tag: &str,
    claim: &[u8],
    signature: &[u8],
    subject: Option<&str>,
) -> Vec<u8> {
    let registry = registry(&server.url(), path, None);
    let (payload, config) = (push_blob(&registry, claim).unwrap(), push_blob(&registry, b"{}").unwrap());
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json",
                   "digest": format!("sha256:{config}"), "size": 2},
        "layers": [{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                    "digest": format!("sha256:{payload}"), "size": claim.len(),
                    "annotations": {"dev.cosignproject.cosign/signature": STANDARD.encode(signature)}}],
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({"mediaType": MANIFEST, "digest": subject, "size": 1});
    }
    let bytes = serde_json::to_vec(&manifest).unwrap();
    registry.put_manifest(tag, MANIFEST, &bytes, &Ctx::default()).unwrap();
    bytes
}

pub(crate) fn claim(name: &str, digest: &str) -> Vec<u8> {
    json!({"critical": {"identity": {"docker-reference": name},
                        "image": {"docker-manifest-digest": digest},
                        "type": "cosign container image signature"}, "optional": null})
    .to_string()
    .into_bytes()
}

#[test]
fn sigstore() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("openssl") {
        return;
    }
    let (home, host) = (Home::new(), server.address.to_string());
    let commit = home.ok(&["--repo=repo", "rev-parse", "main"]);
    let kinds = [
        ("p256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key"),
        ("p384", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key"),
        // As podman signs, and cosign up to version 2.
        ("p384-sha256", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key"),
        ("rsa", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key"),
        ("ed25519", "genpkey -algorithm ed25519 -out key"),
    ];
    for (kind, generate) in kinds {
        let (path, image) = (format!("org/{kind}"), format!("{host}/org/{kind}:1"));
        let digest = home.push(&image, &["--tls-verify=false"]);
        run(&home, "openssl", &generate.split(' ').collect::<Vec<_>>());
        run(&home, "openssl", &["pkey", "-in", "key", "-pubout", "-out", "key.pub"]);
        let sign = |claim: &[u8]| {
            fs::write(home.path("claim"), claim).unwrap();
            let hash = if kind == "p384" { "-sha384" } else { "-sha256" };
            match kind {
                "ed25519" => {
                    let args = ["pkeyutl", "-sign", "-rawin", "-inkey", "key", "-in", "claim", "-out", "sig"];
                    run(&home, "openssl", &args);
                }
                _ => {
                    run(&home, "openssl", &["dgst", hash, "-sign", "key", "-out", "sig", "claim"]);
                }
            }
            fs::read(home.path("sig")).unwrap()
        };
        let requirement = json!({"type": "sigstoreSigned", "keyPath": home.path("key.pub"),
                                 "signedIdentity": {"type": "matchRepository"}});
        policy(&home, &host, &requirement);
        let error = pull(&home, &image).unwrap_err();
        assert!(error.contains("no sigstore signature"), "{error}");

        let tag = format!("{}.sig", digest.replace(':', "-"));
        let good = claim(&format!("{host}/{path}"), &digest);
        let wrong_name = claim(&format!("{host}/other"), &digest);
        let wrong_image = claim(&format!("{host}/{path}"), &format!("sha256:{}", "0".repeat(64)));
        for wrong in [&wrong_name, &wrong_image] {
            attach(&server, &path, &tag, wrong, &sign(wrong), None);
            pull(&home, &image).unwrap_err();
        }
        if kind == "p256" {
            // cosign names the repository, and a policy that says nothing of names wants the tag.
            attach(&server, &path, &tag, &good, &sign(&good), None);
            policy(&home, &host, &json!({"type": "sigstoreSigned", "keyPath": home.path("key.pub")}));
            let error = pull(&home, &image).unwrap_err();
            assert!(error.contains("of the type matchRepository accepts it"), "{error}");
            policy(&home, &host, &requirement);
        }
        attach(&server, &path, &tag, &good, &sign(&wrong_name), None);
        let error = pull(&home, &image).unwrap_err();
        assert!(error.contains("not by one of the keys"), "{error}");

        // As a referrer for one of them, by the tag for the others.
        let signature = sign(&good);
        if kind == "rsa" {
            let bytes = attach(&server, &path, "x", &good, &signature, Some(&digest));
            let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [{"mediaType": MANIFEST, "digest": format!("sha256:{}", Checksum::of(&bytes)),
                               "size": bytes.len(),
                               "artifactType": "application/vnd.dev.cosign.artifact.sig.v1+json"}]});
            let bytes = Bytes::from(index.to_string());
            let tag = digest.replace(':', "-");
            let index_type = "application/vnd.oci.image.index.v1+json";
            registry(&server.url(), &path, None)
                .put_manifest(&tag, index_type, &bytes, &Ctx::default())
                .unwrap();
        } else {
            attach(&server, &path, &tag, &good, &signature, None);
        }
        assert_eq!(pull(&home, &image).unwrap(), commit, "{kind}");
        home.ok(&["--repo=new", "refs", "--delete", "got"]);
    }
}

/// The file of a key is named if there is no key in it.
#[test]
fn key_files_without_a_key() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    let (home, host) = (Home::new(), server.address.to_string());
    let image = format!("{host}/org/app:1");
    home.push(&image, &["--tls-verify=false"]);
    home.write("empty.pub", "");
    home.write("text.pub", "not a key");
    let gpg = |path| json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": path});
    let cosign = |path| json!({"type": "sigstoreSigned", "keyPath": path});
    for name in ["empty.pub", "text.pub"] {
        for requirement in [gpg(home.path(name)), cosign(home.path(name))] {
            policy(&home, &host, &requirement);
            let error = pull(&home, &image).unwrap_err();
            assert!(error.contains(&format!("/{name}: n")), "{requirement}: {error}");
        }
    }
}

/// A policy that leads nowhere lets nothing in, with us as little as with skopeo.
#[test]
fn a_policy_that_leads_nowhere() {
    if !oracle::need("skopeo") {
        return;
    }
    let home = Home::new();
    home.ok(&["--repo=repo", "container", "build", "--ref=main", "--oci-dir=image"]);
    fs::create_dir(home.path("etc")).unwrap();
    fs::rename(home.path(".config/containers/policy.json"), home.path("etc/good.json")).unwrap();
    for (target, good) in [("good.json", true), ("nowhere.json", false)] {
        let _ = fs::remove_file(home.path("etc/policy.json"));
        symlink(target, home.path("etc/policy.json")).unwrap();
        let copy = |program: &str, more: &[&str]| {
            let to = format!("dir:{good}-{}", more.len());
            let args = [more, &["copy", "-q", "oci:image", &to]].concat();
            home.run_mounted(&[("etc", "/etc/containers")], program, &args)
        };
        let Some(ours) = copy(env!("CARGO_BIN_EXE_ostree-rs"), &["container"]) else { return };
        let said = String::from_utf8(ours.stderr).unwrap();
        assert_eq!(ours.status.success(), good, "{said}");
        assert!(good || said.contains("/etc/containers/policy.json"), "{said}");
        assert_eq!(copy("skopeo", &[]).unwrap().status.success(), good);
    }
}
