//! `sign` and the options for bare keys of other verbs: openssl verifies what we sign.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostree_rs::format::commitmeta;
use ostree_rs::format::variant::Dict;
use ostree_rs::sign::KeyKind;

use super::{OURS, repository_tree, start};
use crate::oracle::need;
use crate::sign::Openssl;

fn run(dir: &Path, args: &[&str]) -> Result<String, String> {
    let out = start(OURS, dir, &[&["--repo=repo"], args].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

fn ok(dir: &Path, args: &[&str]) -> String {
    run(dir, args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
}

/// A directory with a repository and a commit `main` that nobody signed.
fn unsigned() -> (tempfile::TempDir, String) {
    let tmp = repository_tree();
    ok(tmp.path(), &["init", "--mode=archive"]);
    let id = ok(tmp.path(), &["commit", "-b", "main", "--tree=dir=tree"]);
    (tmp, id.trim().to_owned())
}

fn object(dir: &Path, id: &str, suffix: &str) -> Vec<u8> {
    fs::read(dir.join(format!("repo/objects/{}/{}.{suffix}", &id[..2], &id[2..]))).unwrap()
}

#[test]
fn a_commit_that_sign_signed_is_verified_by_openssl_and_by_verify() {
    if !need("openssl") {
        return;
    }
    let ((tmp, id), key, other) = (unsigned(), Openssl::ed25519(), Openssl::ed25519());
    let dir = tmp.path();
    assert_eq!(ok(dir, &["sign", "main", &key.secret()]), "");
    let detached = Dict::parse(&object(dir, &id, "commitmeta")).unwrap();
    let signatures = commitmeta::signatures(&detached, KeyKind::Ed25519.signature_kind()).unwrap();
    assert_eq!(signatures.len(), 1);
    assert!(key.verifies_data(&object(dir, &id, "commit"), signatures[0]));

    let good = format!(
        "ed25519: Signature verified successfully with key '{}'\n",
        hex::encode(STANDARD.decode(key.public()).unwrap())
    );
    assert_eq!(ok(dir, &["sign", "--verify", "main", &other.public(), &key.public()]), good);
    let bad = run(dir, &["sign", "--verify", "main", &other.public()]).unwrap_err();
    assert_eq!(bad, "error: No valid signatures found\n");

    fs::write(dir.join("keys"), format!("{}\n{}\n", other.public(), key.public())).unwrap();
    assert_eq!(ok(dir, &["sign", "--verify", "--keys-file=keys", "main"]), good);
    fs::create_dir(dir.join("trusted.ed25519.d")).unwrap();
    fs::write(dir.join("trusted.ed25519.d/key"), key.public()).unwrap();
    assert_eq!(ok(dir, &["sign", "--verify", "--keys-dir=.", "main"]), good);
    fs::write(dir.join("revoked.ed25519"), key.public()).unwrap();
    run(dir, &["sign", "--verify", "--keys-dir=.", "main"]).unwrap_err();

    let deleted = |key: &Openssl| ok(dir, &["sign", "--delete", "main", &key.public()]);
    assert_eq!(deleted(&other), "Signatures deleted: 0\n");
    assert_eq!(deleted(&key), "Signatures deleted: 1\n");
    run(dir, &["sign", "--verify", "main", &key.public()]).unwrap_err();
}

#[test]
fn spki_keys_are_read_from_pem_files() {
    if !need("openssl") {
        return;
    }
    let (tmp, _) = unsigned();
    let dir = tmp.path();
    let key = Openssl::generate(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    fs::copy(key.path("secret.pem"), dir.join("secret.pem")).unwrap();
    fs::copy(key.path("public.pem"), dir.join("public.pem")).unwrap();
    ok(dir, &["sign", "-s", "spki", "--keys-file=secret.pem", "main"]);
    let good = ok(dir, &["sign", "-s", "spki", "--verify", "--keys-file=public.pem", "main"]);
    assert!(good.starts_with("spki: Signature verified successfully with key '30"), "{good}");
    let unknown = run(dir, &["sign", "-s", "rot13", "main", "x"]).unwrap_err();
    assert!(unknown.contains("Requested signature type is not implemented"), "{unknown}");
}

/// Lists may have empty lines, comments and what is no text; a list of revoked keys that cannot be read ends the work.
#[test]
fn lists_of_keys_are_read_to_their_ends() {
    if !need("openssl") {
        return;
    }
    let ((tmp, _), key) = (unsigned(), Openssl::ed25519());
    let dir = tmp.path();
    fs::write(dir.join("secret"), format!("# ours\r\n\r\n{}\r\n", key.secret())).unwrap();
    ok(dir, &["sign", "--keys-file=secret", "main"]);
    fs::create_dir(dir.join("keys")).unwrap();
    let public = key.public();
    let write = |name: &str, parts: &[&[u8]]| fs::write(dir.join("keys").join(name), parts.concat()).unwrap();
    write("trusted.ed25519", &[b"\n# caf\xe9\n", public.as_bytes()]);
    let verify = || run(dir, &["sign", "--verify", "--keys-dir=keys", "main"]);
    verify().unwrap();
    for parts in [[&b"\n"[..], public.as_bytes()], [b"# caf\xe9\r\n ", public.as_bytes()]] {
        write("revoked.ed25519", &parts);
        let said = verify().unwrap_err();
        assert!(said.contains("ed25519: no signatures found"), "{said}");
    }
    write("revoked.ed25519", &[public.as_bytes(), b" # stolen"]);
    let said = verify().unwrap_err();
    assert!(said.contains("keys/revoked.ed25519: Invalid ed25519 public key"), "{said}");
    let list = dir.join("keys/revoked.ed25519");
    fs::remove_file(&list).unwrap();
    symlink("revoked.ed25519", &list).unwrap();
    let said = verify().unwrap_err();
    assert!(said.contains("keys/revoked.ed25519: Too many levels of symbolic links"), "{said}");
}

/// Keys in other forms of PEM are told of with the command that rewrites them, which does.
#[test]
fn other_forms_of_pem_are_told_of() {
    if !need("openssl") {
        return;
    }
    let (tmp, _) = unsigned();
    let dir = tmp.path();
    let openssl = |line: &str| {
        let out = Command::new("openssl").args(line.split(' ')).current_dir(dir).output().unwrap();
        assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    };
    let sign = |file: &str, more: &[&str]| {
        let file = format!("--keys-file={file}");
        run(dir, &[&["sign", "--sign-type=spki", &file, "main"], more].concat())
    };
    for (make, advice, rewrite) in [
        (
            "genpkey -algorithm ed25519 -aes-256-cbc -pass pass:x -out key.pem",
            "key.pem: a PEM block 'ENCRYPTED PRIVATE KEY' instead of 'PRIVATE KEY', which is encrypted: decrypt it first, \
             with openssl pkey",
            "pkey -in key.pem -passin pass:x -out new.pem",
        ),
        (
            "ecparam -genkey -name prime256v1 -out key.pem",
            "key.pem: a PEM block 'EC PRIVATE KEY' instead of 'PRIVATE KEY', an older form: rewrite it first, with openssl \
             pkcs8 -topk8 -nocrypt",
            "pkcs8 -topk8 -nocrypt -in key.pem -out new.pem",
        ),
        (
            "genrsa -traditional -out key.pem 2048",
            "key.pem: a PEM block 'RSA PRIVATE KEY' instead of 'PRIVATE KEY', an older form: rewrite it first",
            "pkcs8 -topk8 -nocrypt -in key.pem -out new.pem",
        ),
    ] {
        openssl(make);
        let said = sign("key.pem", &[]).unwrap_err();
        assert!(said.contains(advice), "{said}");
        openssl(rewrite);
        sign("new.pem", &[]).unwrap();
        let said = sign("new.pem", &["--verify"]).unwrap_err();
        assert!(said.contains("the secret half: openssl pkey -pubout writes the public one"), "{said}");
        openssl("pkey -in new.pem -pubout -out public.pem");
        sign("public.pem", &["--verify"]).unwrap();
    }
}

#[test]
fn commits_and_summaries_are_signed_as_they_are_made() {
    if !need("openssl") {
        return;
    }
    let ((tmp, _), key, second) = (unsigned(), Openssl::ed25519(), Openssl::ed25519());
    let dir = tmp.path();
    fs::write(dir.join("secret"), second.secret()).unwrap();
    let sign = format!("--sign={}", key.secret());
    ok(dir, &["commit", "-b", "main", "--tree=ref=main", &sign, "--sign-from-file=secret"]);
    ok(dir, &["sign", "--verify", "main", &key.public()]);
    ok(dir, &["sign", "--verify", "main", &second.public()]);
    let short = run(dir, &["commit", "-b", "main", "--tree=ref=main", "--sign=AAAA"]).unwrap_err();
    let expected = "Invalid ed25519 secret key: Ill-formed input: expected 64 bytes, got 3 bytes";
    assert!(short.contains(expected), "{short}");

    ok(dir, &["summary", "-u", &sign, "--sign-type=ed25519"]);
    let summary = fs::read(dir.join("repo/summary")).unwrap();
    let signatures = Dict::parse(&fs::read(dir.join("repo/summary.sig")).unwrap()).unwrap();
    let signatures = commitmeta::signatures(&signatures, KeyKind::Ed25519.signature_kind()).unwrap();
    assert!(key.verifies_data(&summary, signatures[0]));
    assert!(!second.verifies_data(&summary, signatures[0]));
    let modified = |name: &str| fs::metadata(dir.join("repo").join(name)).unwrap().modified().unwrap();
    assert_eq!(modified("summary"), modified("summary.sig"));
    ok(dir, &["summary", "-u"]);
    assert!(!dir.join("repo/summary.sig").exists());
}

#[test]
fn remote_add_notes_whose_signatures_are_needed() {
    let (tmp, _) = unsigned();
    let dir = tmp.path();
    let add = |name: &str, options: &[&str]| {
        run(dir, &[&["remote", "add"], options, &[name, "http://example.com"]].concat())
    };
    add("one", &["--sign-verify=ed25519=inline:KEY"]).unwrap();
    add("two", &["--sign-verify=ed25519=file:/a:b", "--sign-verify=spki=inline:K"]).unwrap();
    let config = fs::read_to_string(dir.join("repo/config")).unwrap();
    let lines = [
        "[remote \"one\"]\nurl=http://example.com\nverification-ed25519-key=KEY\nsign-verify=ed25519\n",
        "verification-ed25519-file=/a:b\nverification-spki-key=K\nsign-verify=ed25519;spki\n",
    ];
    assert!(lines.iter().all(|lines| config.contains(lines)), "{config}");
    for (given, error) in [
        ("trustme=inline:ok", "Requested signature type is not implemented"),
        ("dummy", "Failed to parse KEYTYPE"),
        ("dummy=foo:bar", "Invalid key reference"),
    ] {
        let said = add("three", &[&format!("--sign-verify={given}")]).unwrap_err();
        assert!(said.contains(error), "{said}");
    }
}

#[test]
fn dummy_keys_sign_only_where_the_environment_says_so() {
    let (tmp, _) = unsigned();
    let sign = |enabled: bool, args: &[&str]| {
        let mut command = Command::new(OURS);
        command.args(["--repo=repo", "sign", "-s", "dummy"]).args(args).current_dir(tmp.path());
        command.env_remove("OSTREE_DUMMY_SIGN_ENABLED");
        if enabled {
            command.env("OSTREE_DUMMY_SIGN_ENABLED", "1");
        }
        command.output().unwrap()
    };
    assert_eq!(sign(false, &["main", "word"]).status.code(), Some(1));
    assert!(sign(true, &["main", "word"]).status.success());
    assert_eq!(sign(true, &["--verify", "main", "word"]).stdout, b"dummy: Signature verified\n");
    let refused = sign(false, &["--verify", "main", "word"]);
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "error: No valid signatures found\n");
}
