//! What is said about signatures and keys: C ostree's and gpg's words against ours.

use super::*;

/// One commit with a signature of every kind; C ostree's words about each against ours.
#[test]
fn the_words_of_c_ostree() {
    if !oracle::need("gpg") || !oracle::need("ostree") {
        return;
    }
    let home = Home::new();
    let users = ["plain", "bysubkey", "lapsed", "primaryexpired", "revoked", "missing"];
    for user in users {
        home.generate(&format!("{user} (note) <{user}@example.org>"), "ed25519", "2y");
    }
    for user in ["bysubkey", "primaryexpired"] {
        home.gpg(&["--quick-add-key", &home.fingerprint(user), "rsa2048", "sign", "3y"]);
    }
    home.generate("Just A Name", "rsa2048", "never");
    home.generate("only@example.org", "rsa2048", "never");
    // Of two user ids of the same second either may be the one that is shown.
    std::thread::sleep(Duration::from_millis(1100));
    home.gpg(&["--quick-add-uid", &home.fingerprint("plain@"), "A second user <second@example.org>"]);

    fs::create_dir(home.path("tree")).unwrap();
    let (repo, homedir) = (home.path("repo"), home.path(""));
    let repo = repo.to_str().unwrap();
    oracle::run("ostree", &["init", "--mode=bare-user-only", "--repo", repo]);
    let (tree, homedir) = (format!("--tree=dir={}", home.path("tree").display()), homedir.display());
    let mut args = vec!["commit".into(), format!("--repo={repo}"), "--branch=main".into(), tree];
    args.push(format!("--gpg-homedir={homedir}"));
    args.extend(users.iter().map(|user| format!("--gpg-sign={user}@example.org")));
    args.extend(["--gpg-sign=Just A Name".into(), "--gpg-sign=only@example.org".into()]);
    oracle::run("ostree", &args.iter().map(String::as_str).collect::<Vec<_>>());

    for user in ["lapsed", "primaryexpired"] {
        home.gpg(&["--quick-set-expire", &home.fingerprint(user), "seconds=1"]);
    }
    home.revoke("revoked");
    std::thread::sleep(Duration::from_secs(2));
    let mut export = vec!["--export".to_owned()];
    export.extend(users.iter().filter(|u| **u != "missing").map(|u| format!("{u}@example.org")));
    export.extend(["Just A Name".into(), "only@example.org".into()]);
    let bytes = home.gpg(&export.iter().map(String::as_str).collect::<Vec<_>>());

    fs::create_dir(home.path("trusted")).unwrap();
    fs::write(home.path("trusted/keys.gpg"), &bytes).unwrap();
    let shown = Command::new("ostree")
        .args(["show", "--repo", repo, "main"])
        .env("OSTREE_GPG_HOME", home.path("trusted"))
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (data, signatures) = commit_and_signatures(repo);
    let verdicts = verify(
        &Keyring::from_bytes(&bytes).unwrap(),
        &data,
        signatures.iter().map(Vec::as_slice),
        SystemTime::now(),
    );
    let ours: Vec<String> = verdicts.iter().map(|v| format!("\n{}", v.describe("  ", &Utc))).collect();
    assert_eq!(
        format!("Found {} signatures:\n{}", ours.len(), ours.concat()).trim(),
        shown[shown.find("Found").unwrap()..].trim()
    );
    let statuses: Vec<Status> = verdicts.iter().map(|v| v.status).collect();
    let (good, expired) = (Status::Good, Status::KeyExpired);
    assert_eq!(statuses, [good, good, expired, expired, Status::KeyRevoked, Status::KeyMissing, good, good]);
}

fn commit_and_signatures(repo: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let rev = String::from_utf8(oracle::run("ostree", &["rev-parse", "--repo", repo, "main"])).unwrap();
    let base = format!("{repo}/objects/{}/{}", &rev[..2], rev[2..].trim());
    let meta = Dict::parse(&fs::read(format!("{base}.commitmeta")).unwrap()).unwrap();
    let signatures = meta.get_bytes_array("ostree.gpgsigs").unwrap();
    (fs::read(format!("{base}.commit")).unwrap(), signatures.into_iter().map(<[u8]>::to_vec).collect())
}

#[test]
fn c_ostree_words_for_a_bad_signature() {
    if !oracle::need("gpg") || !oracle::need("ostree") {
        return;
    }
    let home = Home::new();
    home.generate("someone@example.org", "rsa2048", "2y");
    fs::create_dir(home.path("tree")).unwrap();
    let repo = home.path("repo").display().to_string();
    let tree = format!("--tree=dir={}", home.path("tree").display());
    let homedir = format!("--gpg-homedir={}", home.0.path().display());
    oracle::run("ostree", &["init", "--mode=bare-user-only", "--repo", &repo]);
    let sign = "--gpg-sign=someone@example.org";
    oracle::run("ostree", &["commit", "--repo", &repo, "--branch=main", &tree, sign, &homedir]);
    let (data, signatures) = commit_and_signatures(&repo);
    let rev = String::from_utf8(oracle::run("ostree", &["rev-parse", "--repo", &repo, "main"])).unwrap();
    let meta = format!("{repo}/objects/{}/{}.commitmeta", &rev[..2], rev[2..].trim());
    let mut bytes = fs::read(&meta).unwrap();
    let mut bad = signatures[0].clone();
    let place = bytes.windows(bad.len()).position(|w| w == bad).unwrap() + bad.len() - 9;
    let inside = bad.len() - 9;
    bytes[place] ^= 1;
    bad[inside] ^= 1;
    fs::write(&meta, bytes).unwrap();
    fs::create_dir(home.path("trusted")).unwrap();
    fs::write(home.path("trusted/keys.gpg"), home.gpg(&["--export"])).unwrap();
    let shown = Command::new("ostree")
        .args(["show", "--repo", &repo, "main"])
        .env("OSTREE_GPG_HOME", home.path("trusted"))
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let verdicts = verify(&home.keyring(), &data, [bad.as_slice()], SystemTime::now());
    assert_eq!(verdicts[0].status, Status::Bad);
    let words = verdicts[0].describe("  ", &Utc);
    assert_eq!(shown[shown.find("  Signature").unwrap()..].trim_end(), words.trim_end());
}

#[test]
fn lists_keys_as_gpg_does() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    home.generate("First <first@example.org>", "rsa2048", "2y");
    let fingerprint = home.fingerprint("first");
    for user in ["Second <second@example.org>", "Third"] {
        std::thread::sleep(Duration::from_millis(1100));
        home.gpg(&["--quick-add-uid", &fingerprint, user]);
    }
    home.gpg(&["--quick-set-primary-uid", &fingerprint, "Second <second@example.org>"]);
    home.gpg(&["--quick-revoke-uid", &fingerprint, "First <first@example.org>"]);
    home.gpg(&["--quick-add-key", &fingerprint, "ed25519", "sign", "1y"]);
    let listed = String::from_utf8(home.gpg(&["--with-colons", "--list-keys"])).unwrap();
    let ring = home.keyring();
    let info = ring.certs().next().unwrap().info(&ring, SystemTime::now());
    let secs = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let mut ours = Vec::new();
    for key in std::iter::once(&info.primary).chain(&info.subkeys) {
        ours.push((secs(key.created), key.expires.map(secs).unwrap_or_default()));
    }
    let fields = |kinds: &[&str]| -> Vec<Vec<String>> {
        let lines = listed.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| kinds.contains(&line[0].as_str())).collect()
    };
    let theirs: Vec<_> = fields(&["pub", "sub"]).iter().map(|f| (f[5].clone(), f[6].clone())).collect();
    assert_eq!(ours, theirs);
    let ours: Vec<_> = info.users.iter().map(|user| (user.id.clone(), user.revoked)).collect();
    let theirs: Vec<_> = fields(&["uid"]).iter().map(|f| (f[9].clone(), f[1] == "r")).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn lists_keys_in_the_words_of_c_ostree() {
    if !oracle::need("gpg") || !oracle::need("ostree") {
        return;
    }
    let home = Home::new();
    home.generate("Expiring <expiring@example.org>", "ed25519", "2y");
    home.generate("No Mail", "ed25519", "never");
    home.generate("Gone (old) <Some.one+tag@Example.org>", "ed25519", "never");
    for (user, expires) in [("expiring", "1y"), ("Gone", "never")] {
        home.gpg(&["--quick-add-key", &home.fingerprint(user), "rsa2048", "sign", expires]);
    }
    home.revoke("Gone");
    let keys = home.gpg(&["--export"]);
    fs::create_dir(home.path("trusted")).unwrap();
    fs::write(home.path("trusted/keys.gpg"), &keys).unwrap();
    let repo = home.path("repo").display().to_string();
    oracle::run("ostree", &["init", "--repo", &repo]);
    let listed = Command::new("ostree")
        .args(["remote", "gpg-list-keys", "--repo", &repo])
        .env("OSTREE_GPG_HOME", home.path("trusted"))
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let ring = home.keyring();
    let ours: String = ring.certs().map(|c| c.info(&ring, SystemTime::now()).describe(&Utc)).collect();
    assert_eq!(ours, String::from_utf8(listed.stdout).unwrap());
}

#[test]
fn user_ids_and_their_web_key_directory() {
    let parts = |id: &str| {
        let UserName { name, comment, email } = UserName::parse(id);
        [name, comment, email]
    };
    assert_eq!(parts("A B (of C) <a@b.org>"), ["A B", "of C", "a@b.org"]);
    assert_eq!(parts("Test Key 1"), ["Test Key 1", "", ""]);
    assert_eq!(parts("mail@only.org"), ["", "", "mail@only.org"]);
    assert_eq!(parts("<mail@only.org>"), ["", "", "mail@only.org"]);
    assert_eq!(parts("open <a@b.org"), ["open", "", ""]);
    // From libostree's test-remote-gpg-list-keys.sh.
    let urls = UserName::parse("Ostree Tester <test@test.com>").wkd_urls().unwrap();
    let hash = "iffe93qcsgp4c8ncbb378rxjo6cn9q6u?l=test";
    assert_eq!(
        urls.advanced,
        format!("https://openpgpkey.test.com/.well-known/openpgpkey/test.com/hu/{hash}")
    );
    assert_eq!(urls.direct, format!("https://test.com/.well-known/openpgpkey/hu/{hash}"));
    assert_eq!(UserName::parse("Nobody").wkd_urls(), None);
}
