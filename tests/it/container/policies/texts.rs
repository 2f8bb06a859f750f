//! Policies as people write them, and as they should not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Bench, Given, Tally};

/// Whole files. `ANY` is a list that accepts anything, `NO` one that rejects, `SIGNED` one that the image fulfils.
const FILES: &[&str] = &[
    "",
    " ",
    "null",
    "true",
    "[]",
    "{}",
    r#"{"default": ANY}"#,
    r#" {"default": ANY} "#,
    "\u{feff}{\"default\": ANY}",
    r#"{"default": SIGNED}"#,
    r#"{"default": NO}"#,
    r#"{"default": ANY}}"#,
    r#"{"default": ANY} {}"#,
    r#"{"default": ANY} null"#,
    r#"{"default": ANY,}"#,
    r#"{"default": ANY // comment"#,
    r#"{'default': ANY}"#,
    r#"{"Default": ANY}"#,
    r#"{"defaul\u0074": ANY}"#,
    r#"{"default": ANY, "default": ANY}"#,
    r#"{"default": ANY, "defaul\u0074": ANY}"#,
    r#"{"default": ANY, "comment": "x"}"#,
    r#"{"default": ANY, "": 1}"#,
    r#"{"default": ANY, "transports": {}}"#,
    r#"{"default": ANY, "transports": null}"#,
    r#"{"default": ANY, "transports": []}"#,
    r#"{"default": ANY, "Transports": {}}"#,
    r#"{"default": ANY, "transports": {}, "transports": {}}"#,
    r#"{"transports": {"dir": {"": ANY}}}"#,
    r#"{"default": null}"#,
    r#"{"default": {}}"#,
    r#"{"default": "reject"}"#,
    r#"{"default": []}"#,
    r#"{"default": [null]}"#,
    r#"{"default": [[]]}"#,
    r#"{"default": ["insecureAcceptAnything"]}"#,
    r#"{"default": [["insecureAcceptAnything"]]}"#,
    r#"[[{"type": "insecureAcceptAnything"}]]"#,
    r#"{"default": NO, "transports": {"dir": {"": ANY}}}"#,
    r#"{"default": NO, "transports": {"dir": {"": SIGNED}}}"#,
    r#"{"default": NO, "transports": {"dir": {"DIR": SIGNED}}}"#,
    r#"{"default": ANY, "transports": {"dir": {"DIR": NO}}}"#,
    r#"{"default": NO, "transports": {"dir": {"PARENT": ANY}}}"#,
    r#"{"default": NO, "transports": {"dir": {"PARENT": NO, "DIR": ANY}}}"#,
    r#"{"default": NO, "transports": {"dir": {"PARENT": ANY, "DIR": NO}}}"#,
    r#"{"default": NO, "transports": {"dir": {"/tmp": ANY}}}"#,
    r#"{"default": NO, "transports": {"dir": {"PARENT/im": ANY}}}"#,
    r#"{"default": NO, "transports": {"dir": {"PARENT/imag": ANY}}}"#,
    r#"{"default": NO, "transports": {"oci": {"DIR": ANY}}}"#,
    r#"{"default": NO, "transports": {"docker": {"": ANY}}}"#,
    r#"{"default": ANY, "transports": {"dir": {}}}"#,
    r#"{"default": ANY, "transports": {"dir": null}}"#,
    r#"{"default": ANY, "transports": {"dir": []}}"#,
    r#"{"default": ANY, "transports": {"dir": {}, "dir": {}}}"#,
    r#"{"default": ANY, "transports": {"dir": {"": ANY, "": ANY}}}"#,
    r#"{"default": ANY, "transports": {"dir": {"DIR": ANY, "DIR": ANY}}}"#,
    r#"{"default": ANY, "transports": {"dir": {"DIR": ANY, "DIR": NO}}}"#,
    r#"{"default": ANY, "transports": {"docker": {"a.b/c": NO, "a.b/c": NO}}}"#,
    r#"{"default": ANY, "transports": {"dir": {"": []}}}"#,
    r#"{"default": ANY, "transports": {"dir": {"": null}}}"#,
    r#"{"default": ANY, "transports": {"docker": {"": []}}}"#,
    r#"{"default": ANY, "transports": {"docker": {"a.b/c": [{"type": "magic"}]}}}"#,
    r#"{"default": ANY, "transports": {"new-transport": {"anything goes": NO}}}"#,
    r#"{"default": ANY, "transports": {"new-transport": {"x": []}}}"#,
    r#"{"default": ANY, "transports": {"": {"": NO}}}"#,
    r#"{"default": [{"type": "insecureAcceptAnything"}, {"type": "insecureAcceptAnything"}]}"#,
    r#"{"default": [{"type": "insecureAcceptAnything"}, {"type": "reject"}]}"#,
    r#"{"default": [{"type": "insecureAcceptAnything"}, {"type": "reject", "x": 1}]}"#,
];

/// Scopes of transports; a file with one that makes no sense is of no use. Debian's skopeo does not know atomic.
const SCOPES: &[(&str, &str)] = &[
    ("dir", "/"),
    ("dir", "/a"),
    ("dir", "/a/"),
    ("dir", "/a//b"),
    ("dir", "//a"),
    ("dir", "/a/./b"),
    ("dir", "/a/../b"),
    ("dir", "/.."),
    ("dir", "a"),
    ("dir", "."),
    ("dir", "/a b:c"),
    ("oci", "/"),
    ("oci", "/a:tag"),
    ("oci", "/a/:tag"),
    ("oci", "a:tag"),
    ("oci", "/a/../b:tag"),
    ("oci-archive", "/a.tar"),
    ("oci-archive", "a.tar"),
    ("docker-archive", "/a.tar"),
    ("docker-archive", ""),
    ("tarball", "/a.tar"),
    ("docker", "a.b/c:1"),
    ("docker", "*.a.b"),
    ("docker", "/"),
    ("docker", "https://a.b"),
    ("docker", "A B"),
    ("docker-daemon", "a.b/c:1"),
    ("docker-daemon", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
    ("docker-daemon", "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"),
    ("sif", "/a.sif"),
    ("sif", "a.sif"),
    ("containers-storage", "a.b/c"),
    ("containers-storage", "[/var/lib]"),
    ("containers-storage", "[overlay@/var/lib]a.b/c:1"),
    ("containers-storage", "[overlay@var/lib]a.b/c:1"),
    ("containers-storage", "[]a.b/c:1"),
    ("containers-storage", "[/var/lib]a.b/c@x"),
    (
        "containers-storage",
        "[/var/lib]a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    ),
];

/// What is asked of the image, alone in the default list.
const REQUIREMENTS: &[&str] = &[
    r#"{}"#,
    r#"{"type": ""}"#,
    r#"{"type": null}"#,
    r#"{"type": 1}"#,
    r#"{"type": ["reject"]}"#,
    r#"{"type": "magic"}"#,
    r#"{"type": "InsecureAcceptAnything"}"#,
    r#"{"Type": "insecureAcceptAnything"}"#,
    r#"{"type": "insecureAcceptAnything", "Type": "insecureAcceptAnything"}"#,
    r#"{"type": "insecureAcceptAnything", "type": "insecureAcceptAnything"}"#,
    r#"{"type": "insecureAcceptAnything", "type": "reject"}"#,
    r#"{"type": "insecureAcceptAnything", "comment": "x"}"#,
    r#"{"type": "insecureAcceptAnything", "keyPath": "/k"}"#,
    r#"{"comment": "x", "type": "insecureAcceptAnything"}"#,
    r#"{"type": "reject", "comment": "x"}"#,
    r#"{"type": "signedBy"}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys"}"#,
    r#"{"type": "signedBy", "keyPath": "KEY"}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", ID}"#,
    r#"{"keyPath": "KEY", "keyType": "GPGKeys", ID, "type": "signedBy"}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY"}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "DATA", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "DATA\n", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": " DATA", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "DATA=", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "%", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": null, ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": 1, ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": null, ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": ["KEY"], ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nothing/there", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", "keyData": "DATA", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "", "keyData": "DATA", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "KeyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", "keyDatas": ["DATA"], ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", "comment": 1, ID}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", "rekorPublicKeyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "gpgkeys", "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "", "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": null, "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "signedByGPGKeys", "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "X509Certificates", "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBy", "keyType": "signedByX509CAs", "keyPath": "KEY", ID}"#,
    r#"{"type": "signedBaseLayer"}"#,
    r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}"#,
    r#"{"type": "sigstoreSigned"}"#,
    r#"{"type": "sigstoreSigned", "keyPath": "KEY", ID}"#,
    r#"{"type": "sigstoreSigned", "keyPath": "KEY", "keyType": "GPGKeys", ID}"#,
];

/// The same, in a scope that the image does not have: only whether it can be read matters.
const ELSEWHERE: &[&str] = &[
    r#"{"type": "signedBy", "keyType": "X509Certificates", "keyPath": "KEY"}"#,
    r#"{"type": "signedBy", "keyType": "signedByX509CAs", "keyPath": "KEY"}"#,
    r#"{"type": "signedBy", "keyType": "other", "keyPath": "KEY"}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "/nothing/there"}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPath": ""}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": ""}"#,
    r#"{"type": "signedBy", "keyType": "GPGKeys", "keyData": "%"}"#,
    r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}"#,
    r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "magic"}}"#,
    r#"{"type": "signedBaseLayer", "baseLayerIdentity": null}"#,
    r#"{"type": "signedBaseLayer"}"#,
    r#"{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}, "x": 1}"#,
    r#"{"type": "sigstoreSigned", "keyPath": "/nothing/there"}"#,
    r#"{"type": "sigstoreSigned", "keyData": "DATA"}"#,
    r#"{"type": "sigstoreSigned", "keyData": "%"}"#,
    r#"{"type": "sigstoreSigned", "keyData": "DATA", "keyPath": "/k"}"#,
    r#"{"type": "sigstoreSigned", "keyData": "DATA", "keyData": "DATA"}"#,
    r#"{"type": "sigstoreSigned", "keyData": "DATA", "x": 1}"#,
    r#"{"type": "sigstoreSigned", "keyData": "DATA", "signedIdentity": {"type": "matchExact", "x": 1}}"#,
    r#"{"type": "sigstoreSigned"}"#,
];

/// What a signature has to name.
const IDENTITIES: &[&str] = &[
    "null",
    "{}",
    "[]",
    r#""matchExact""#,
    r#"["matchExact"]"#,
    r#"{"type": null}"#,
    r#"{"type": "magic"}"#,
    r#"{"type": "matchExact"}"#,
    r#"{"type": "matchRepository"}"#,
    r#"{"type": "matchRepoDigestOrExact"}"#,
    r#"{"type": "exactReference"}"#,
    r#"{"type": "exactReference", "dockerReference": "example.com/org/app:1"}"#,
    r#"{"dockerReference": "example.com/org/app:1", "type": "exactReference"}"#,
    r#"{"type": "exactReference", "dockerReference": "example.com/org/app:1", "comment": 1}"#,
    r#"{"type": "exactReference", "type": "exactReference", "dockerReference": "example.com/org/app:1"}"#,
    r#"{"type": "exactReference", "dockerReference": "x:1", "dockerReference": "example.com/org/app:1"}"#,
    r#"{"type": "exactReference", "DockerReference": "example.com/org/app:1"}"#,
    r#"{"type": "exactReference", "dockerReference": "example.com/org/app:2"}"#,
    r#"{"type": "exactReference", "dockerReference": "example.com/org/app"}"#,
    r#"{"type": "exactReference", "dockerReference": "example.com/org/app:1@DIGEST"}"#,
    r#"{"type": "exactReference", "dockerReference": "docker://example.com/org/app:1"}"#,
    r#"{"type": "exactReference", "dockerReference": "app:1"}"#,
    r#"{"type": "exactReference", "dockerReference": ""}"#,
    r#"{"type": "exactReference", "dockerReference": null}"#,
    r#"{"type": "exactReference", "dockerReference": "example.com/org/app:1", "dockerRepository": "example.com/org/app"}"#,
    r#"{"type": "exactRepository"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "example.com/org/app"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "example.com/org/app:1"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "example.com/org/app:2"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "example.com/org"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "example.com/Org/app"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "example.com/org/app", "x": {}}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "example.com"}"#,
];

/// Identities in a scope that the image does not have.
const IDENTITIES_ELSEWHERE: &[&str] = &[
    r#"{"type": "matchExact", "x": 1}"#,
    r#"{"type": "matchRepository", "dockerRepository": "a.b/c"}"#,
    r#"{"type": "matchRepoDigestOrExact", "type": "matchRepoDigestOrExact"}"#,
    r#"{"type": "remapIdentity"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b", "signedPrefix": "c.d", "x": 1}"#,
    r#"{"type": "remapIdentity", "prefix": "", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b", "signedPrefix": ""}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b:5000/c", "signedPrefix": "localhost:1/d/e"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b/", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b/c:1", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "a.b/C", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "a_b", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "*.a.b", "signedPrefix": "c.d"}"#,
    r#"{"type": "remapIdentity", "prefix": "https://a.b", "signedPrefix": "c.d"}"#,
    r#"{"type": "exactReference", "dockerReference": "a.b/c@sha256:00"}"#,
    r#"{"type": "exactReference", "dockerReference": "localhost/d:1"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "debian"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "a.b"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "a.b/c__d-e"}"#,
    r#"{"type": "exactRepository", "dockerRepository": "a.b/c___d"}"#,
];

/// What skopeo 1.9 does not know or does not refuse yet, by the source of containers/image 5.36: what can be read.
const NEWER: &[(&str, bool)] = &[
    (r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k"]}"#, true),
    (r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": null}"#, false),
    (r#"{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k"], "keyPath": "/k"}"#, false),
    (r#"{"type": "sigstoreSigned", "keyPath": ""}"#, false),
    (r#"{"type": "sigstoreSigned", "keyPaths": ["/k"]}"#, true),
    (r#"{"type": "sigstoreSigned", "keyPaths": []}"#, false),
    (r#"{"type": "sigstoreSigned", "keyDatas": ["aaaa"]}"#, true),
    (r#"{"type": "sigstoreSigned", "keyDatas": ["aaaa"], "keyData": "aaaa"}"#, false),
    (r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"}"#, true),
    (r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPaths": ["/r"]}"#, true),
    (r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPaths": []}"#, false),
    (
        r#"{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyData": "aaaa", "rekorPublicKeyPath": "/r"}"#,
        false,
    ),
    (r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r"}"#, false),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "fulcio": {"caPath": "/c", "oidcIssuer": "o", "subjectEmail": "e"}}"#,
        true,
    ),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyData": "aaaa", "fulcio": {"caData": "aaaa", "oidcIssuer": "o", "subjectEmail": "e"}}"#,
        true,
    ),
    (
        r#"{"type": "sigstoreSigned", "fulcio": {"caPath": "/c", "oidcIssuer": "o", "subjectEmail": "e"}}"#,
        false,
    ),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "fulcio": {"oidcIssuer": "o", "subjectEmail": "e"}}"#,
        false,
    ),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "fulcio": {"caPath": "/c", "caData": "aaaa", "oidcIssuer": "o", "subjectEmail": "e"}}"#,
        false,
    ),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "fulcio": {"caPath": "/c", "oidcIssuer": "o"}}"#,
        false,
    ),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "fulcio": {"caPath": "/c", "oidcIssuer": "o", "subjectEmail": "e", "x": 1}}"#,
        false,
    ),
    (r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "fulcio": null}"#, false),
    (r#"{"type": "sigstoreSigned", "pki": {"caRootsPath": "/c", "subjectEmail": "e"}}"#, true),
    (
        r#"{"type": "sigstoreSigned", "pki": {"caRootsData": "aaaa", "caIntermediatesPath": "/i", "subjectHostname": "h"}}"#,
        true,
    ),
    (r#"{"type": "sigstoreSigned", "pki": {"caRootsPath": "/c"}}"#, false),
    (
        r#"{"type": "sigstoreSigned", "rekorPublicKeyPath": "/r", "pki": {"caRootsPath": "/c", "subjectEmail": "e"}}"#,
        false,
    ),
    (
        r#"{"type": "sigstoreSigned", "keyPath": "/k", "pki": {"caRootsPath": "/c", "subjectEmail": "e"}}"#,
        false,
    ),
];

const ANY: &str = r#"[{"type": "insecureAcceptAnything"}]"#;
const NO: &str = r#"[{"type": "reject"}]"#;
const ID: &str =
    r#""signedIdentity": {"type": "exactRepository", "dockerRepository": "example.com/org/app"}"#;

/// Every policy of the tables.
fn policies() -> impl Iterator<Item = String> {
    let alone = |requirement: &str| format!(r#"{{"default": [{requirement}]}}"#);
    let elsewhere = |requirement: &str| {
        format!(r#"{{"default": ANY, "transports": {{"docker": {{"a.b/c": [{requirement}]}}}}}}"#)
    };
    let signed = |identity: &str| {
        format!(
            r#"{{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", "signedIdentity": {identity}}}"#
        )
    };
    let scoped = |(transport, scope): &(&str, &str)| {
        format!(r#"{{"default": ANY, "transports": {{"{transport}": {{"{scope}": NO}}}}}}"#)
    };
    let files = FILES.iter().map(|file| (*file).to_owned()).chain(SCOPES.iter().map(scoped));
    let requirements = REQUIREMENTS.iter().map(move |r| alone(r));
    let identities = IDENTITIES.iter().map(move |identity| alone(&signed(identity)));
    let elsewhere_too = ELSEWHERE.iter().map(move |requirement| elsewhere(requirement));
    let identities_elsewhere = IDENTITIES_ELSEWHERE.iter().map(move |identity| elsewhere(&signed(identity)));
    files.chain(requirements).chain(identities).chain(elsewhere_too).chain(identities_elsewhere)
}

/// A policy with its abbreviations written out.
fn written_out(bench: &Bench, policy: &str) -> String {
    let signed = format!(r#"[{{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "KEY", {ID}}}]"#);
    let key = std::fs::read(bench.path("key.gpg")).unwrap();
    let mut policy = policy.replace("SIGNED", &signed).replace(", ID", &format!(", {ID}"));
    for (short, long) in [
        ("ANY", ANY),
        ("NO", NO),
        ("KEY", bench.path("key.gpg").to_str().unwrap()),
        ("DIR", bench.path("image").to_str().unwrap()),
        ("PARENT", bench.path("").to_str().unwrap().trim_end_matches('/')),
        ("DIGEST", &bench.digest.to_string()),
        // The last, since it may hold any letters.
        ("DATA", &STANDARD.encode(key)),
    ] {
        policy = policy.replace(short, long);
    }
    policy
}

#[test]
fn policies_say_the_same_to_both() {
    let Some(bench) = Bench::new() else { return };
    let given = Given { gpg: vec![bench.sign(&bench.claim())], ..Given::default() };
    let mut tally = Tally::default();
    for policy in policies() {
        let policy = written_out(&bench, &policy);
        let theirs = bench.skopeo(&policy, &given.gpg);
        tally.compare(&policy, &bench.ours(&policy, &given), &theirs);
    }
    tally.check(50, 150);
}

#[test]
fn newer_fields() {
    let Some(bench) = Bench::new() else { return };
    for (requirement, good) in NEWER {
        let elsewhere =
            format!(r#"{{"default": ANY, "transports": {{"docker": {{"a.b/c": [{requirement}]}}}}}}"#);
        let elsewhere = written_out(&bench, &elsewhere);
        let judged = bench.ours(&elsewhere, &Given::default());
        assert_eq!(judged.is_ok(), *good, "{elsewhere}: {judged:?}");
        if *good && ["rekor", "fulcio", "pki"].iter().any(|word| requirement.contains(word)) {
            let here = format!(r#"{{"default": [{requirement}]}}"#);
            let error = bench.ours(&here, &Given::default()).unwrap_err().to_string();
            assert!(error.contains("cannot check"), "{error}");
        }
    }
}
