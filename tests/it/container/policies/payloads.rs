//! What a signature signs: every field, once, of its type.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use super::{Bench, Given, NAME, SigstoreSignature, Tally};

/// Changes of the claim that is right: what is replaced, and by what.
const CHANGES: &[(&str, &str)] = &[
    ("", ""),
    // The whole.
    (r#"{"critical""#, r#"[{"critical""#),
    (r#""optional": {}}"#, r#""optional": {}} x"#),
    (r#""optional": {}}"#, r#""optional": {}} {}"#),
    (r#""optional": {}}"#, r#""optional": {}, "more": 1}"#),
    (r#""optional": {}}"#, r#""optional": {}, "optional": {}}"#),
    (r#", "optional": {}"#, ""),
    (r#""optional": {}"#, r#""Optional": {}"#),
    (r#""critical""#, r#""Critical""#),
    (r#""critical""#, r#""\u0063ritical""#),
    (r#"{"critical""#, "\n\t {\"critical\""),
    // optional
    (r#""optional": {}"#, r#""optional": null"#),
    (r#""optional": {}"#, r#""optional": []"#),
    (r#""optional": {}"#, r#""optional": "x""#),
    (r#""optional": {}"#, r#""optional": 1"#),
    (r#""optional": {}"#, r#""optional": false"#),
    (r#""optional": {}"#, r#""optional": {"creator": "x", "timestamp": 1700000000}"#),
    (r#""optional": {}"#, r#""optional": {"creator": null}"#),
    (r#""optional": {}"#, r#""optional": {"creator": 1}"#),
    (r#""optional": {}"#, r#""optional": {"creator": ["x"]}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": null}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": 1.0}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": 1.7e9}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": -1}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": 1.5}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": 1e19}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": 9223372036854775807}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": 1e999}"#),
    (r#""optional": {}"#, r#""optional": {"timestamp": "1"}"#),
    (r#""optional": {}"#, r#""optional": {"Timestamp": "1"}"#),
    (r#""optional": {}"#, r#""optional": {"other": {"a": [1, {"b": 2}]}}"#),
    (r#""optional": {}"#, r#""optional": {"other": {"a": 1, "a": 2}}"#),
    (r#""optional": {}"#, r#""optional": {"other": 1, "other": 1}"#),
    (r#""optional": {}"#, r#""optional": {"creator": "x", "creator": "x"}"#),
    // critical
    (r#"{"type": "#, r#"{"more": 1, "type": "#),
    (r#"{"type": "#, r#"{"type": "atomic container signature", "type": "#),
    (r#""type": "atomic container signature", "#, ""),
    (r#""atomic container signature""#, r#""atomic""#),
    (r#""atomic container signature""#, "null"),
    (r#""atomic container signature""#, r#"["atomic container signature"]"#),
    (r#""type": "#, r#""Type": "#),
    (r#""image": {"#, r#""image": {"more": 1, "#),
    (r#""image": {"#, r#""image": {"docker-manifest-digest": "", "#),
    (r#""image": {"docker-manifest-digest"#, r#""image": {"Docker-manifest-digest"#),
    (r#""image": "#, r#""image": null, "image": "#),
    (r#""docker-manifest-digest": "sha256:"#, r#""docker-manifest-digest": "SHA256:"#),
    (r#""docker-manifest-digest": "sha256:"#, r#""docker-manifest-digest": "sha256:0"#),
    (r#""docker-manifest-digest": "sha256:"#, r#""docker-manifest-digest": " sha256:"#),
    (r#""identity": {"#, r#""identity": {"more": 1, "#),
    (r#""identity": {"docker-reference": "#, r#""identity": {"docker-reference": "x", "docker-reference": "#),
    (r#""identity": {"docker-reference": "#, r#""identity": {"docker-reference": null, "x": "#),
    (r#"{"docker-reference": "example.com/org/app:1"}"#, r#""example.com/org/app:1""#),
    (r#"{"docker-reference": "example.com/org/app:1"}"#, "null"),
    (r#""example.com/org/app:1""#, "null"),
    (r#""example.com/org/app:1""#, "1"),
    (r#""example.com/org/app:1""#, r#""example.com/org/app""#),
    (r#""example.com/org/app:1""#, r#""example.com/org/app:2""#),
    (r#""example.com/org/app:1""#, r#""example.com/org/App:1""#),
    (r#""example.com/org/app:1""#, r#""example.com/org/app:""#),
    (r#""example.com/org/app:1""#, r#""example.com/org/app:1 ""#),
    (r#""example.com/org/app:1""#, r#""docker://example.com/org/app:1""#),
    (r#""example.com/org/app:1""#, r#""example.com\/org/app:\u0031""#),
    (r#""example.com/org/app:1""#, r#""example.com/org/app@DIGEST""#),
    (r#""example.com/org/app:1""#, r#""example.com/org/app:1@DIGEST""#),
];

#[test]
fn simple_signing() {
    let Some(bench) = Bench::new() else { return };
    let mut tally = Tally::default();
    for identity in [
        r#"{"type": "exactReference", "dockerReference": "example.com/org/app:1"}"#,
        r#"{"type": "exactRepository", "dockerRepository": "example.com/org/app"}"#,
    ] {
        let policy = format!(
            r#"{{"default": [{{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "{}", "signedIdentity": {identity}}}]}}"#,
            bench.path("key.gpg").display()
        );
        for (from, to) in CHANGES {
            let claim = changed(&bench, &bench.claim(), from, to);
            let given = Given { gpg: vec![bench.sign(&claim)], ..Given::default() };
            let theirs = bench.skopeo(&policy, &given.gpg);
            tally.compare(&format!("{identity} {claim}"), &bench.ours(&policy, &given), &theirs);
        }
    }
    tally.check(20, 80);
}

/// Debian's skopeo checks no signatures of sigstore. What they sign has the same form, up to the name of the type and
/// "optional", which may be null: so it says of simple signing what is right here.
#[test]
fn sigstore() {
    let Some(bench) = Bench::new() else { return };
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref(), &random).unwrap();
    // SubjectPublicKeyInfo of a point of P-256.
    let head = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let der = STANDARD.encode([&head[..], key.public_key().as_ref()].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    std::fs::write(bench.path("key.pub"), pem).unwrap();
    let policy = |kind: &str, key: &str| {
        format!(
            r#"{{"default": [{{"type": {kind}, "keyPath": "{}", "signedIdentity": {{"type": "exactReference", "dockerReference": "{NAME}"}}}}]}}"#,
            bench.path(key).display()
        )
    };
    let simple = policy(r#""signedBy", "keyType": "GPGKeys""#, "key.gpg");
    let sigstore = policy(r#""sigstoreSigned""#, "key.pub");
    let mut tally = Tally::default();
    for (from, to) in CHANGES {
        let atomic = changed(&bench, &bench.claim(), from, to);
        let theirs = match to.contains("null") && from.contains("optional") && !to.contains('{') {
            true => Ok(()),
            false => bench.skopeo(&simple, &[bench.sign(&atomic)]),
        };
        let payload = atomic.replace("atomic container", "cosign container image").into_bytes();
        let signature = STANDARD.encode(key.sign(&random, &payload).unwrap());
        let given = |payload: &[u8], signature: String| Given {
            sigstore: vec![SigstoreSignature { payload: payload.to_vec(), signature }],
            ..Given::default()
        };
        let ours = bench.ours(&sigstore, &given(&payload, signature.clone()));
        tally.compare(&atomic, &ours, &theirs);
        // What is damaged, or signed by nobody.
        bench.ours(&sigstore, &given(&payload, format!("{signature}%"))).unwrap_err();
        bench.ours(&sigstore, &given(&[&payload[..], b" "].concat(), signature)).unwrap_err();
    }
    tally.check(10, 40);
}

fn changed(bench: &Bench, claim: &str, from: &str, to: &str) -> String {
    assert!(claim.contains(from), "{from}");
    claim.replacen(from, to, 1).replace("DIGEST", &bench.digest.to_string())
}
