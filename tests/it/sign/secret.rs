//! Secret keys of every kind and file form, and what gpg makes of our signatures.

use super::*;

#[test]
fn every_algorithm_both_ways_with_gpg() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    for algorithm in ["rsa2048", "ed25519", "dsa2048", "nistp256", "nistp384", "nistp521"] {
        let user = format!("{algorithm} <{algorithm}@example.org>");
        home.generate(&user, algorithm, "never");
    }
    let keyring = home.keyring();
    let exported = SecretKeys::from_bytes(&home.gpg(&["--export-secret-keys"])).unwrap();
    let armored = SecretKeys::from_bytes(&home.gpg(&["--armor", "--export-secret-keys"])).unwrap();
    let agent = SecretKeys::from_homedir(&home.dir()).unwrap();
    assert_eq!(agent.public().certs().len(), 6);
    for cert in keyring.certs() {
        let id = cert.fingerprint().to_hex();
        let verdict = one(&keyring, &home.sign(&id), SystemTime::now());
        assert_eq!(verdict.status, Status::Good, "{id}: {verdict:?}");
        for keys in [&exported, &armored, &agent] {
            let signer = keys.signer(&id, SystemTime::now()).unwrap();
            assert_eq!(signer.primary_fingerprint(), cert.fingerprint());
            let signature = signer.sign(DATA, SystemTime::now()).unwrap();
            let status = home.status(&signature);
            assert!(status.contains(" GOODSIG ") && status.contains(&format!("VALIDSIG {id}")), "{status}");
            assert!(one(&keyring, &signature, SystemTime::now()).is_valid());
        }
    }
}

/// A key that we make is one to gpg, in both directions.
#[test]
fn gpg_takes_a_new_key() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    let now = SystemTime::now() - std::time::Duration::from_secs(60);
    let key = NewKey::new("New <new@example.org>", now).unwrap();
    let files = tempfile::tempdir().unwrap();
    let [secret, public] = [("secret.asc", &key.secret), ("public.asc", &key.public)].map(|(name, bytes)| {
        let path = files.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    });
    home.gpg(&["--import", &public]);
    let ours = SecretKeys::from_bytes(&key.secret).unwrap();
    let signature =
        ours.signer("new@example.org", SystemTime::now()).unwrap().sign(DATA, SystemTime::now()).unwrap();
    let status = home.status(&signature);
    assert!(
        status.contains(" GOODSIG ") && status.contains(&format!("VALIDSIG {}", key.fingerprint)),
        "{status}"
    );
    home.gpg(&["--import", &secret]);
    let theirs = home.sign(&key.fingerprint);
    let keyring = Keyring::from_bytes(&key.public).unwrap();
    assert_eq!(one(&keyring, &theirs, SystemTime::now()).status, Status::Good);
    // Nobody who verifies gets the secret half.
    assert!(
        SecretKeys::from_bytes(&key.public).unwrap().signer(&key.fingerprint, SystemTime::now()).is_err()
    );
}

/// The s-expression of a key file in the form that older versions of GnuPG wrote: `(3:rsa…)`.
fn canonical(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.split_once("Key:").unwrap().1.trim();
    while let Some(first) = rest.chars().next() {
        if first == '(' || first == ')' {
            out.push(first as u8);
            rest = rest[1..].trim_start();
            continue;
        }
        let (atom, behind) = if let Some(number) = rest.strip_prefix('#') {
            let (digits, behind) = number.split_once('#').unwrap();
            (hex::decode(digits.split_whitespace().collect::<String>()).unwrap(), behind)
        } else if let Some(quoted) = rest.strip_prefix('"') {
            let (text, behind) = quoted.split_once('"').unwrap();
            (text.as_bytes().to_vec(), behind)
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "()#".contains(c)).unwrap();
            (rest.as_bytes()[..end].to_vec(), &rest[end..])
        };
        out.extend(format!("{}:", atom.len()).bytes());
        out.extend(atom);
        rest = behind.trim_start();
    }
    out
}

#[test]
fn older_key_files_of_the_agent() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    for algorithm in ["rsa2048", "ed25519", "nistp256", "dsa2048"] {
        home.generate(&format!("{algorithm}@example.org"), algorithm, "never");
    }
    for file in fs::read_dir(home.path("private-keys-v1.d")).unwrap().map(|file| file.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, canonical(&text)).unwrap();
    }
    let keys = SecretKeys::from_homedir(&home.dir()).unwrap();
    for user in ["rsa2048@", "ed25519@", "nistp256@", "dsa2048@"] {
        let signature = keys.signer(user, SystemTime::now()).unwrap().sign(DATA, SystemTime::now()).unwrap();
        assert!(one(&home.keyring(), &signature, SystemTime::now()).is_valid(), "{user}");
    }
}

#[test]
fn a_protected_key_says_so() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    let args =
        ["--passphrase", "secret", "--quick-generate-key", "locked@example.org", "rsa2048", "sign", "never"];
    home.gpg(&args);
    let exported = home.gpg(&["--passphrase", "secret", "--export-secret-keys"]);
    let public = home.gpg(&["--export"]);
    let key = home.keyring().find("locked").unwrap().fingerprint();
    let protected = Error::CannotSign { key: key.clone(), why: CannotSign::Protected };
    for keys in [SecretKeys::from_bytes(&exported), SecretKeys::from_homedir(&home.dir())] {
        assert_eq!(
            keys.unwrap().signer("locked@example.org", SystemTime::now()).map(|_| ()),
            Err(protected.clone())
        );
    }
    let no_secret = SecretKeys::from_bytes(&public).unwrap().signer("locked", SystemTime::now()).map(|_| ());
    assert_eq!(no_secret, Err(Error::CannotSign { key, why: CannotSign::NoSecret }));
}

/// GnuPG 1's `secring.gpg`, its self-signatures made with SHA-1.
#[test]
fn signs_with_the_keys_of_libostrees_tests() {
    let Some(dir) = oracle::installed("gpghome") else { return };
    let home = Dir::open_ambient_dir(&dir, ambient_authority()).unwrap();
    let keys = SecretKeys::from_homedir(&home).unwrap();
    let trusted = Keyring::from_bytes(&fs::read(dir.join("trusted/pubring.gpg")).unwrap()).unwrap();
    for id in ["472CDAFA", "CA950D41", "DF444D67"] {
        let signature = keys.signer(id, SystemTime::now()).unwrap().sign(DATA, SystemTime::now()).unwrap();
        assert!(one(&trusted, &signature, SystemTime::now()).is_valid());
    }
    let info = trusted.find("472CDAFA").unwrap().info(&trusted, SystemTime::now());
    assert_eq!(info.primary.fingerprint.to_hex(), "5E65DE75AB1C501862D476347FCA23D8472CDAFA");
    assert_eq!(info.subkeys[0].fingerprint.to_hex(), "CC47B2DFB520AEF231180725DF20F58B408DEA49");
    assert_eq!(info.primary.created, at(1_378_780_182));
    assert_eq!(info.users[0].id, "Ostree Tester <test@test.com>");
}

/// `gpg --batch` imports keys without a passphrase in a form of their own.
#[test]
fn keys_that_gpg_imported() {
    if !oracle::need("gpg") {
        return;
    }
    let home = Home::new();
    for algorithm in ["rsa2048", "ed25519", "dsa2048", "nistp256", "nistp384", "nistp521"] {
        home.generate(&format!("{algorithm}@example.org"), algorithm, "never");
    }
    let other = Home::new();
    let file = other.path("secret");
    std::fs::write(&file, home.gpg(&["--export-secret-keys"])).unwrap();
    other.gpg(&["--import", file.to_str().unwrap()]);
    let keys = SecretKeys::from_homedir(&other.dir()).unwrap();
    assert_eq!(keys.public().certs().len(), 6);
    for cert in keys.public().certs() {
        let signer = keys.signer(&cert.fingerprint().to_hex(), SystemTime::now()).unwrap();
        let status = home.status(&signer.sign(DATA, SystemTime::now()).unwrap());
        assert!(status.contains(" GOODSIG "), "{status}");
    }
}
