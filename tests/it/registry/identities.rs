//! Which names a signature is good for, asked of us and of skopeo.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use ostree_rs::container::config::policy::Policy;
use ostree_rs::container::image::{Digest, Error, RepositoryName, Result};
use ostree_rs::container::trust::{Candidate, Signatures, SigstoreSignature, check};
use serde_json::json;

use super::program::Home;
use super::server::{Login, Server, Speech};
use super::trust::{fingerprint, keys, manifest, run};
use crate::oracle;

/// One signature in memory.
struct One(Vec<u8>);

impl Signatures for One {
    fn gpg(&self) -> Result<Vec<Vec<u8>>> {
        Ok(vec![self.0.clone()])
    }

    fn sigstore(&self) -> Result<Vec<SigstoreSignature>> {
        Ok(Vec::new())
    }

    fn key_file(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(path).map_err(|source| Error::Io { op: "read", path: Path::new(path).into(), source })
    }
}

#[test]
fn names_that_a_signature_is_good_for_to_both() {
    let Some(server) = Server::start(&Login::Anybody, &Speech::Plain) else { return };
    if !oracle::need("gpg") || !oracle::need("skopeo") {
        return;
    }
    let (home, host) = (Home::new(), server.address.to_string());
    let (repository, tagged) = (format!("{host}/org/app"), format!("{host}/org/app:1"));
    let digest = home.push(&tagged, &["--tls-verify=false"]);
    keys(&home, &["key@example.com"]);
    fs::write(home.path("manifest"), manifest(&server, "org/app", &digest)).unwrap();
    let sigs = format!("docker:\n  {host}:\n    sigstore: file://{}\n", home.path("sigs").display());
    home.write("registries.d/x.yaml", &sigs);
    let place = home.path(&format!("sigs/org/app@{}/signature-1", digest.replace(':', "=")));
    fs::create_dir_all(place.parent().unwrap()).unwrap();

    let pinned = format!("{repository}@{digest}");
    let other = format!("{repository}@sha256:{}", "0".repeat(64));
    let identities = [
        json!({"type": "matchExact"}),
        json!({"type": "matchRepository"}),
        json!({"type": "matchRepoDigestOrExact"}),
        json!({"type": "exactReference", "dockerReference": tagged}),
        json!({"type": "exactReference", "dockerReference": pinned}),
        json!({"type": "exactReference", "dockerReference": format!("{tagged}@{digest}")}),
        json!({"type": "exactRepository", "dockerRepository": repository}),
        json!({"type": "exactRepository", "dockerRepository": "debian"}),
        json!({"type": "remapIdentity", "prefix": host, "signedPrefix": "example.com"}),
        json!({"type": "remapIdentity", "prefix": repository, "signedPrefix": "example.com/prod"}),
        json!({"type": "remapIdentity", "prefix": format!("{host}/org/ap"), "signedPrefix": "example.com/prod"}),
        json!({"type": "remapIdentity", "prefix": format!("{host}/org"), "signedPrefix": "docker.io"}),
        json!({"type": "remapIdentity", "prefix": "elsewhere.com", "signedPrefix": "example.com"}),
    ];
    let signed = [
        repository.clone(),
        tagged.clone(),
        format!("{repository}:2"),
        pinned.clone(),
        other,
        format!("{tagged}@{digest}"),
        format!("{repository}s:1"),
        "example.com/org/app:1".into(),
        "example.com/prod:1".into(),
        "docker.io/library/debian:1".into(),
        "debian".into(),
        "docker.io/app:1".into(),
        "docker.io/library/app:1".into(),
    ];
    let (mut accepted, mut wrong) = (0, Vec::new());
    for name in &signed {
        let args =
            ["standalone-sign", "manifest", name, &fingerprint(&home, "key@example.com"), "-o", "signature"];
        run(&home, "skopeo", &args);
        let signature = fs::read(home.path("signature")).unwrap();
        fs::write(&place, &signature).unwrap();
        let one = One(signature);
        for identity in &identities {
            let requirement = json!({"type": "signedBy", "keyType": "GPGKeys",
                "keyPath": home.path("key@example.com.asc"), "signedIdentity": identity});
            let policy = json!({"default": [{"type": "reject"}],
                "transports": {"docker": {host.clone(): [requirement]}}})
            .to_string();
            home.write("policy.json", &policy);
            let policy = Policy::parse("policy.json", policy.as_bytes()).unwrap();
            for wanted in [&tagged, &pinned] {
                let full = wanted.parse::<RepositoryName>().unwrap().to_string();
                let manifest: Digest = digest.parse().unwrap();
                let image = Candidate { transport: "docker", name: &full, manifest };
                let ours = check(&policy, &image, &one, SystemTime::now());
                let theirs = skopeo(&home, wanted);
                accepted += usize::from(ours.is_ok());
                if ours.is_ok() != theirs.is_ok() {
                    wrong.push(format!("{wanted} by {identity} signed {name}\n {ours:?}\n {theirs:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    assert!((20..200).contains(&accepted), "{accepted} of {}", 2 * signed.len() * identities.len());
}

fn skopeo(home: &Home, image: &str) -> Result<(), String> {
    let mut command = Command::new("skopeo");
    command.args([
        "--policy=policy.json",
        "--registries.d=registries.d",
        "copy",
        "-q",
        "--src-tls-verify=false",
    ]);
    command
        .args(["--remove-signatures", &format!("docker://{image}"), "dir:copy"])
        .current_dir(home.path(""));
    let out = command.output().unwrap();
    out.status.success().then_some(()).ok_or_else(|| String::from_utf8(out.stderr).unwrap())
}
