//! `config`: defaults, every value that may and may not be, remotes.

use ostree_format::commitmeta::SignatureKind;
use ostree_format::config::{Locking, MinFreeSpace, RepoConfig, Tristate};
use ostree_format::keyfile::KeyFile;
use ostree_format::{RemoteConfig, RepoMode, SignVerify};

fn core(lines: &str) -> Result<RepoConfig, String> {
    RepoConfig::parse(format!("[core]\nrepo_version=1\n{lines}").as_bytes()).map_err(|e| e.to_string())
}

/// What `ostree init` of C ostree writes.
#[test]
fn new_configs() {
    let plain = RepoConfig::new(RepoMode::Archive, None).unwrap();
    assert_eq!(plain.keyfile().to_string(), "[core]\nrepo_version=1\nmode=archive-z2\n");
    let id = "org.example.A".parse().unwrap();
    let with_id = RepoConfig::new(RepoMode::BareUser, Some(&id)).unwrap();
    let expected = "[core]\nrepo_version=1\nmode=bare-user\ncollection-id=org.example.A\n";
    assert_eq!(with_id.keyfile().to_string(), expected);
    assert_eq!(RepoConfig::parse(expected.as_bytes()), Ok(with_id));
}

#[test]
fn defaults() {
    let config = core("").unwrap();
    assert_eq!(config.mode, RepoMode::Bare);
    assert!(config.fsync && !config.per_object_fsync && !config.tombstone_commits);
    assert_eq!((config.tmp_expiry_secs, config.zlib_level), (86_400, 6));
    assert_eq!(
        (config.locking, config.min_free_space),
        (Locking::TimeoutSecs(300), MinFreeSpace::Percent(3))
    );
    assert_eq!((config.fsverity, config.composefs), (Tristate::No, Tristate::No));
    assert_eq!((config.payload_link_threshold_bytes, config.add_remotes_config_dir), (None, None));
}

#[test]
fn values() {
    assert_eq!(core("locking=false").unwrap().locking, Locking::Off);
    assert_eq!(core("lock-timeout-secs=-1").unwrap().locking, Locking::Forever);
    assert_eq!(core("lock-timeout-secs=5").unwrap().locking, Locking::TimeoutSecs(5));
    assert_eq!(core("commit-update-summary=true").map(|c| c.auto_update_summary), Ok(true));
    assert_eq!(core("payload-link-threshold=100").unwrap().payload_link_threshold_bytes, Some(100));
    assert_eq!(core("payload-link-threshold=-1").unwrap().payload_link_threshold_bytes, None);
    assert_eq!(core("lock-timeout-secs=-7").unwrap().locking, Locking::Forever);
    assert_eq!(core("[archive]\nzlib-level=20").map(|c| c.zlib_level), Ok(9));
    // A number is what the value begins with.
    assert_eq!(core("tmp-expiry-secs= 60s").unwrap().tmp_expiry_secs, 60);
    assert_eq!(core("min-free-space-percent=5%").unwrap().min_free_space, MinFreeSpace::Percent(5));
    assert_eq!(
        core("lock-timeout-secs=99999999999999999999").unwrap().locking,
        Locking::TimeoutSecs(i64::MAX as u64)
    );
    let none = core(
        "tmp-expiry-secs=x\nmin-free-space-percent=\nlock-timeout-secs=-\npayload-link-threshold=x\n\
         [archive]\nzlib-level=x",
    );
    let (none, defaults) = (none.unwrap(), core("").unwrap());
    assert_eq!((none.tmp_expiry_secs, none.zlib_level), (defaults.tmp_expiry_secs, defaults.zlib_level));
    assert_eq!((none.locking, none.min_free_space), (defaults.locking, defaults.min_free_space));
    assert_eq!(none.payload_link_threshold_bytes, None);
    let integrity = core("[ex-integrity]\ncomposefs=yes").unwrap();
    assert_eq!((integrity.composefs, integrity.fsverity), (Tristate::Yes, Tristate::Maybe));
    assert_eq!(core("[ex-integrity]\nfsverity=true").unwrap().fsverity, Tristate::Yes);
    assert_eq!(core("[ex-fsverity]\nopportunistic=true").unwrap().fsverity, Tristate::Maybe);
}

#[test]
fn free_space() {
    let of = |lines: &str| core(lines).map(|c| c.min_free_space);
    assert_eq!(of("min-free-space-size=500MB"), Ok(MinFreeSpace::Bytes(500 << 20)));
    assert_eq!(of("min-free-space-size=2GB\nmin-free-space-percent=5"), Ok(MinFreeSpace::Bytes(2 << 30)));
    assert_eq!(of("min-free-space-size=1TB"), Ok(MinFreeSpace::Bytes(1 << 40)));
    assert_eq!(of("min-free-space-size=0MB\nmin-free-space-percent=5"), Ok(MinFreeSpace::Percent(5)));
    assert_eq!(of("min-free-space-percent=0"), Ok(MinFreeSpace::Percent(0)));
    for bad in
        ["size=5", "size=5KB", "size=MB", "size=-1MB", "size=99999999999999TB", "percent=100", "percent=-1"]
    {
        let error = of(&format!("min-free-space-{bad}")).unwrap_err();
        assert!(error.contains("min-free-space-"), "{error}");
    }
}

#[test]
fn refused() {
    let messages = [
        core("mode=funny").unwrap_err(),
        core("archive=true").unwrap_err(),
        core("fsync=maybe").unwrap_err(),
        core("[ex-integrity]\ncomposefs=x").unwrap_err(),
        RepoConfig::parse(b"[core]\nrepo_version=2\n").unwrap_err().to_string(),
        RepoConfig::parse(b"[core]\nmode=bare\n").unwrap_err().to_string(),
    ];
    let keys = [
        "core.mode",
        "core.archive",
        "core.fsync",
        "ex-integrity.composefs",
        "core.repo_version",
        "core.repo_version",
    ];
    for (message, key) in messages.iter().zip(keys) {
        assert!(message.contains(key), "{message}");
    }
}

#[test]
fn remotes() {
    let text = "[core]\nrepo_version=1\n\n[remote \"a\"]\nurl=https://e.org/repo\ngpg-verify=false\n\
        branches=x;y/z;\ngpgkeypath=/k1,/k2\nsign-verify=ed25519;spki\nsign-verify-summary=true\n\
        verification-ed25519-key=AAAA\nverification-spki-file=/f\n\n[remote \"b\"]\nurl=file:///b\n\n[remote \"c d\"]\n";
    let file = KeyFile::parse(text.as_bytes()).unwrap();
    let names: Vec<_> = RemoteConfig::names(&file).collect();
    assert_eq!(names.iter().map(|n| n.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let a = RemoteConfig::get(&file, &names[0]).unwrap().unwrap();
    assert_eq!(
        (a.url.as_deref(), a.gpg_verify, a.gpg_verify_summary),
        (Some("https://e.org/repo"), false, false)
    );
    assert_eq!(
        (a.branches, a.gpgkeypath),
        (vec!["x".into(), "y/z".into()], vec!["/k1".into(), "/k2".into()])
    );
    assert_eq!(a.sign_verify, SignVerify::Types(vec!["ed25519".into(), "spki".into()]));
    assert_eq!(a.sign_verify_summary, SignVerify::Any);
    assert_eq!(a.verification_keys["ed25519"], "AAAA");
    assert_eq!(a.verification_files["spki"], "/f");
    let b = RemoteConfig::get(&file, &names[1]).unwrap().unwrap();
    assert!(b.gpg_verify && b.sign_verify == SignVerify::Off && b.branches.is_empty());
    assert_eq!(RemoteConfig::get(&file, &"none".parse().unwrap()), Ok(None));
    assert_eq!(SignatureKind::Gpg.key(), "ostree.gpgsigs");
}
