//! The forms in which a claim can be signed: one signature of one content, and nothing else besides.

use std::fs;

use super::{Bench, Given, NAME, Tally};

const OTHER: &str = "other@example.com";
const OLD: &str = "old@example.com";
/// The clock stands still: a key that took long to make would be of the future for who signs at that very time.
const THEN: &str = "--faked-system-time=20200101T000000!";

/// Each way in which gpg signs, with its options.
const FORMS: &[(&str, &[&str])] = &[
    ("as skopeo does", &["--sign"]),
    ("not compressed", &["--compress-level=0", "--sign"]),
    ("zlib", &["--compress-algo=zlib", "--sign"]),
    ("bzip2", &["--compress-algo=bzip2", "--sign"]),
    ("text", &["--textmode", "--sign"]),
    ("in SHA-512", &["--digest-algo=SHA512", "--sign"]),
    ("in SHA-1", &["--digest-algo=SHA1", "--sign"]),
    ("detached", &["--detach-sign"]),
    ("in clear text", &["--clearsign"]),
    ("in ASCII", &["--armor", "--sign"]),
    ("not at all", &["--store"]),
    ("by another", &["--local-user", OTHER, "--sign"]),
    ("by two", &["--local-user=key@example.com", "--local-user", OTHER, "--sign"]),
    ("by two, not compressed", &["-z0", "--local-user=key@example.com", "--local-user", OTHER, "--sign"]),
    ("by one twice", &["-z0", "--local-user=key@example.com", "--local-user=key@example.com", "--sign"]),
    ("for a day, long ago", &[THEN, "--default-sig-expire=1d", "--local-user", OLD, "--sign"]),
    ("long ago", &[THEN, "--local-user", OLD, "--sign"]),
    ("by a key that expired", &[THEN, "--local-user=brief@example.com", "--sign"]),
    ("tomorrow", &["--faked-system-time=20990101T000000", "--sign"]),
];

/// What skopeo takes and we do not: nothing that signs images makes it.
const STRICTER: [&str; 2] = ["text", "a marker behind it"];

/// Messages made of one or two that are good.
fn changed(first: &[u8], second: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let marker = [0xca, 3, b'P', b'G', b'P'];
    vec![
        ("", Vec::new()),
        ("half of it", first[..first.len() / 2].to_vec()),
        ("without its last byte", first[..first.len() - 1].to_vec()),
        ("twice", [first, first].concat()),
        ("another behind it", [first, second].concat()),
        ("another before it", [second, first].concat()),
        ("a byte behind it", [first, &[0]].concat()),
        ("a line end behind it", [first, b"\n"].concat()),
        ("a marker before it", [&marker[..], first].concat()),
        ("a marker behind it", [first, &marker[..]].concat()),
    ]
}

#[test]
fn forms_of_messages() {
    let Some(bench) = Bench::new() else { return };
    bench.gpg(&["--quick-gen-key", OTHER, "rsa2048", "sign", "never"]);
    bench.gpg(&[THEN, "--quick-gen-key", OLD, "rsa2048", "sign", "never"]);
    bench.gpg(&[THEN, "--quick-gen-key", "brief@example.com", "rsa2048", "sign", "1d"]);
    fs::write(bench.path("all.gpg"), bench.gpg(&["--export"])).unwrap();
    fs::write(bench.path("content"), bench.claim()).unwrap();
    let sign = |args: &[&str]| {
        let content = bench.path("content");
        bench.gpg(&[&["--output=-"], args, &[content.to_str().unwrap()]].concat())
    };
    let mut messages: Vec<_> = FORMS.iter().map(|(name, args)| (*name, sign(args))).collect();
    let good = bench.sign(&bench.claim());
    let other = bench.sign(&bench.claim().replace(NAME, "example.com/org/app:2"));
    messages.extend(changed(&good, &other));
    fs::write(bench.path("content"), &good).unwrap();
    messages.push(("signed again", sign(&["-z0", "--sign"])));
    let mut tally = Tally::default();
    for keys in ["key.gpg", "all.gpg"] {
        let policy = format!(
            r#"{{"default": [{{"type": "signedBy", "keyType": "GPGKeys", "keyPath": "{}", "signedIdentity": {{"type": "exactReference", "dockerReference": "{NAME}"}}}}]}}"#,
            bench.path(keys).display()
        );
        for (name, message) in &messages {
            let given = Given { gpg: vec![message.clone()], ..Given::default() };
            let theirs = bench.skopeo(&policy, &given.gpg);
            let ours = bench.ours(&policy, &given);
            match STRICTER.contains(name) {
                true => assert!(ours.is_err() && theirs.is_ok(), "{name}"),
                false => tally.compare(&format!("{keys}: {name}"), &ours, &theirs),
            }
        }
    }
    tally.check(10, 20);
}
