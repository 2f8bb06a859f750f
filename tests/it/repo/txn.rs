//! Transactions that do not go the straight way.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use ostree_rs::base::Ctx;
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{FileHeader, ObjectName, ObjectType, RepoMode};
use ostree_rs::repo::{Fsync, Repo};
use ostree_rs::store::{
    Begin, Completeness, Error, Hints, MAX_CACHED_BYTES, ObjectRead, ObjectWrite, Refs, Txn,
};

use super::{create, files, open, read, refspec, write_commit};

pub(super) fn objects(repo: &Repo) -> usize {
    let mut n = 0;
    repo.for_each_object(&mut |_| {
        n += 1;
        Ok(())
    })
    .unwrap();
    n
}

fn tmp_entries(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.join("tmp")).unwrap();
    entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|name| name != "cache").collect()
}

#[test]
fn a_suspended_transaction_is_gone_on_with() {
    let tmp = tempfile::tempdir().unwrap();
    let mut repo = create(tmp.path(), RepoMode::BareUser);
    let ctx = Ctx::default();
    drop(repo.begin(&ctx).unwrap());
    assert_eq!(tmp_entries(tmp.path()), [""; 0], "an empty staging directory stays");

    let txn = repo.begin(&ctx).unwrap();
    let commit = write_commit(&txn, &files());
    txn.set_ref(&refspec("main"), Some(commit)).unwrap();
    txn.suspend();
    assert_eq!((objects(&repo), tmp_entries(tmp.path()).len()), (0, 1));
    assert_eq!(repo.resolve(&refspec("main")).unwrap(), None);

    let txn = repo.begin(&ctx).unwrap();
    assert!(txn.is_resumed() && txn.contains(&commit.into()).unwrap());
    // A second one at the same time gets a directory of its own, and does not see it.
    let other = repo.begin(&ctx).unwrap();
    assert!(!other.is_resumed() && !other.contains(&commit.into()).unwrap());
    drop(other);
    assert_eq!(write_commit(&txn, &files()), commit);
    assert_eq!(txn.commit(&ctx).unwrap().content_written, 0);
    assert_eq!((objects(&repo), tmp_entries(tmp.path()).len()), (8, 0));

    // What another boot left may be incomplete.
    let txn = repo.begin(&ctx).unwrap();
    txn.write_file(&FileHeader::regular(1, 2, 0o644, Default::default()), 1, &mut &b"x"[..]).unwrap();
    txn.suspend();
    repo.set_boot_id("another");
    let txn = repo.begin(&ctx).unwrap();
    assert!(!txn.is_resumed());
    txn.commit(&ctx).unwrap();
    assert_eq!((objects(&repo), tmp_entries(tmp.path()).len()), (8, 0));
}

/// What somebody else made may have other permissions than what is made now.
#[test]
fn directories_of_a_suspended_transaction_stay_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    let ctx = Ctx::default();
    let modes = |dir: &Path| -> Vec<u32> {
        let dirs = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        dirs.filter(|meta| meta.is_dir()).map(|meta| meta.mode() & 0o7777).collect()
    };
    let expected = modes(tmp.path())[0];
    let txn = repo.begin(&ctx).unwrap();
    write_commit(&txn, &files());
    txn.suspend();
    let staging = tmp.path().join("tmp").join(&tmp_entries(tmp.path())[0]);
    for dir in fs::read_dir(&staging).unwrap() {
        fs::set_permissions(dir.unwrap().path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
    assert!(modes(&staging).len() > 4);
    repo.begin(&ctx).unwrap().commit(&ctx).unwrap();
    let published = modes(&tmp.path().join("objects"));
    assert!(published.len() > 4 && published.iter().all(|mode| *mode == expected), "{published:?}");
}

#[test]
fn commits_become_visible_last() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    let ctx = Ctx::default();
    let txn = repo.begin(&ctx).unwrap();
    let commit = write_commit(&txn, &files());
    txn.set_ref(&refspec("main"), Some(commit)).unwrap();
    // No directory can be made for one of the files.
    let first = |hex: String| hex[..2].to_owned();
    let mut ids = files().into_iter().map(|(_, header, content)| first(header.id_with(&content).to_string()));
    let blocked = ids.rfind(|dir| *dir != first(commit.to_string())).unwrap();
    fs::write(tmp.path().join("objects").join(&blocked), "").unwrap();
    let error = txn.commit(&ctx).unwrap_err().to_string();
    assert!(error.contains(&format!("objects/{blocked}/")), "{error}");
    assert!(!repo.contains(&commit.into()).unwrap());
    assert_eq!(repo.resolve(&refspec("main")).unwrap(), None);
}

#[test]
fn a_dropped_transaction_leaves_nothing() {
    for fsync in [Fsync::Transaction, Fsync::Object, Fsync::Never] {
        let tmp = tempfile::tempdir().unwrap();
        let mut repo = create(tmp.path(), RepoMode::BareUser);
        repo.set_fsync(fsync);
        let txn = repo.begin(&Ctx::default()).unwrap();
        let commit = write_commit(&txn, &files());
        txn.set_partial(&commit, Completeness::Partial).unwrap();
        drop(txn);
        assert_eq!((objects(&repo), tmp_entries(tmp.path()).len()), (0, 0));
        assert_eq!(repo.completeness(&commit).unwrap(), Completeness::Complete);
    }
}

#[test]
fn cancelled_work_is_gone_on_with() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::BareUser);
    let ctx = Ctx::default();
    let txn = repo.begin(&ctx).unwrap();
    let commit = write_commit(&txn, &files());
    ctx.cancel.cancel();
    assert!(matches!(txn.commit(&ctx), Err(Error::Cancelled(_))));
    assert_eq!(objects(&repo), 0);
    let txn = repo.begin(&Ctx::default()).unwrap();
    assert!(txn.is_resumed() && txn.contains(&commit.into()).unwrap());
}

#[test]
fn a_killed_transaction_leaves_nothing_visible() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::Archive);
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "repo::txn::dies", "--ignored"])
        .env("OSTREE_RS_TEST_REPO", tmp.path())
        .output()
        .unwrap()
        .status;
    assert!(!status.success());
    assert_eq!((objects(&repo), repo.list().unwrap().len()), (0, 0));
    let txn = repo.begin(&Ctx::default()).unwrap();
    assert!(txn.is_resumed());
    let commit = write_commit(&txn, &files());
    txn.commit(&Ctx::default()).unwrap();
    assert!(repo.contains(&commit.into()).unwrap());
    assert_eq!(tmp_entries(tmp.path()), [""; 0]);
}

#[test]
#[ignore = "runs in a process of its own, which it kills"]
fn dies() {
    let repo = open(Path::new(&std::env::var_os("OSTREE_RS_TEST_REPO").unwrap()));
    let txn = repo.begin(&Ctx::default()).unwrap();
    let commit = write_commit(&txn, &files());
    txn.set_ref(&refspec("main"), Some(commit)).unwrap();
    std::process::abort();
}

#[test]
fn without_fsync_and_with_much() {
    for fsync in [Fsync::Never, Fsync::Object] {
        for mode in RepoMode::ALL {
            let tmp = tempfile::tempdir().unwrap();
            let mut repo = create(tmp.path(), mode);
            repo.set_fsync(fsync);
            let txn = repo.begin(&Ctx::default()).unwrap();
            let commit = write_commit(&txn, &files());
            let mut detached = Dict::new();
            detached.insert("key", "value");
            txn.set_detached(&commit, &detached).unwrap();
            for (_, header, content) in files() {
                assert!(read(txn.open_file(&header.id_with(&content)).unwrap().unwrap()) == content);
            }
            txn.commit(&Ctx::default()).unwrap();
            assert!(repo.contains(&ObjectName::commitmeta(&commit)).unwrap());
            assert_eq!(tmp_entries(tmp.path()), [""; 0]);
            assert!(repo.contains(&commit.into()).unwrap(), "{fsync:?} {mode}");
        }
    }
}

#[test]
fn many_threads_write() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::BareSplitXattrs);
    let txn = repo.begin(&Ctx::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..100_u32 {
                    let header = FileHeader::regular(0, 0, 0o644, Default::default());
                    txn.write_file(&header, 4, &mut &n.to_le_bytes()[..]).unwrap();
                }
                write_commit(&txn, &files());
            });
        }
    });
    let stats = txn.commit(&Ctx::default()).unwrap();
    assert_eq!((stats.content_total, stats.content_written), (416, 104));
}

#[test]
fn old_rubbish_goes_and_caches_stay() {
    let tmp = tempfile::tempdir().unwrap();
    let mut repo = create(tmp.path(), RepoMode::Archive);
    fs::create_dir_all(tmp.path().join("tmp/old/inner")).unwrap();
    fs::write(tmp.path().join("tmp/old/inner/file"), "").unwrap();
    fs::write(tmp.path().join("tmp/cache/kept"), "").unwrap();
    let clean = |repo: &Repo| repo.begin(&Ctx::default()).unwrap().commit(&Ctx::default()).map(drop).unwrap();
    clean(&repo);
    assert_eq!(tmp_entries(tmp.path()), ["old"]);
    repo.update_config(|file| {
        file.set_string("core", "tmp-expiry-secs", "0").unwrap();
        Ok(())
    })
    .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    clean(&repo);
    assert_eq!(tmp_entries(tmp.path()), [""; 0]);
    assert!(tmp.path().join("tmp/cache/kept").exists());
}

#[test]
fn deleting_and_noting() {
    let tmp = tempfile::tempdir().unwrap();
    let mut repo = create(tmp.path(), RepoMode::BareUser);
    repo.update_config(|file| {
        file.set_string("core", "tombstone-commits", "true").unwrap();
        Ok(())
    })
    .unwrap();
    let ctx = Ctx::default();
    let write = |repo: &Repo| {
        let txn = repo.begin(&ctx).unwrap();
        let commit = write_commit(&txn, &files());
        txn.commit(&ctx).unwrap();
        commit
    };
    let commit = write(&repo);
    let mut detached = Dict::new();
    detached.insert("key", "value");
    repo.set_detached(&commit, &detached).unwrap();
    repo.set_partial(&commit, Completeness::PartialByFsck).unwrap();
    repo.set_partial(&commit, Completeness::Partial).unwrap();
    assert_eq!(repo.completeness(&commit).unwrap(), Completeness::PartialByFsck);

    let tombstone = ObjectName::new(*commit.checksum(), ObjectType::TombstoneCommit);
    repo.delete_object(&commit.into()).unwrap();
    assert!(matches!(repo.delete_object(&commit.into()), Err(Error::NotFound(_))));
    assert!(!repo.contains(&ObjectName::commitmeta(&commit)).unwrap());
    // What `g_variant_print` says of C's: {'commit': <b'CHECKSUM'>}, 80 bytes.
    let bytes = repo.read_meta(&tombstone).unwrap().unwrap();
    let dict = Dict::parse(&bytes).unwrap();
    assert_eq!(dict.get_bytes("commit").unwrap(), format!("{commit}\0").as_bytes());
    write(&repo);
    assert!(!repo.contains(&tombstone).unwrap());

    let name = ObjectName::from(commit);
    let path = tmp.path().join("objects").join(name.loose_path(RepoMode::BareUser));
    assert_eq!(repo.object_bytes(&name).unwrap(), path.metadata().unwrap().len());
}

/// Hints become visible with the rest, and what cannot be kept of them stops nobody.
#[test]
fn cached_files() {
    const NAME: &str = "test";
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::BareUser);
    let ctx = Ctx::default();
    let (file, bytes) = (tmp.path().join("tmp/cache").join(NAME), || b"hint".to_vec());
    let txn = repo.begin(&ctx).unwrap();
    assert_eq!(txn.cached(NAME), None);
    txn.set_cached(NAME, bytes());
    assert_eq!(txn.cached(NAME), Some(bytes()));
    drop(txn);
    repo.begin(&ctx).unwrap().commit(&ctx).unwrap();
    assert!(!file.exists());

    let txn = repo.begin(&ctx).unwrap();
    txn.set_cached(NAME, bytes());
    assert!(!file.exists());
    txn.commit(&ctx).unwrap();
    assert_eq!(fs::read(&file).unwrap(), bytes());
    assert_eq!(tmp_entries(tmp.path()), [""; 0]);
    let txn = repo.begin(&ctx).unwrap();
    assert_eq!(txn.cached(NAME), Some(bytes()));
    txn.set_cached(NAME, Vec::new());
    txn.commit(&ctx).unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"");

    let limit = usize::try_from(MAX_CACHED_BYTES).unwrap();
    for (size, read) in [(limit, true), (limit + 1, false)] {
        fs::write(&file, vec![0; size]).unwrap();
        assert_eq!(repo.begin(&ctx).unwrap().cached(NAME).is_some(), read);
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir_all(file.join("x")).unwrap();
    let txn = repo.begin(&ctx).unwrap();
    assert_eq!(txn.cached(NAME), None);
    txn.set_cached(NAME, bytes());
    txn.commit(&ctx).unwrap();
    assert_eq!(tmp_entries(tmp.path()), [""; 0]);
}

/// A pull that was interrupted and never came again keeps its directory for a day, or as long as the repository says.
#[test]
fn a_journal_waits_for_who_reads_it() {
    let tmp = tempfile::tempdir().unwrap();
    let repo = create(tmp.path(), RepoMode::BareUser);
    let ctx = Ctx::default();
    let txn = Begin::resume(&repo, &ctx).unwrap();
    let commit = write_commit(&*txn, &files());
    txn.hints().unwrap().add_to_journal("a line\n");
    txn.suspend();
    // Others leave it alone, whether they succeed or fail.
    repo.begin(&ctx).unwrap().commit(&ctx).unwrap();
    drop(repo.begin(&ctx).unwrap());
    let txn = Begin::resume(&repo, &ctx).unwrap();
    assert!(txn.hints().unwrap().journal() == b"a line\n" && txn.contains(&commit.into()).unwrap());
    // Nor is it lost when what goes on from it fails.
    drop(txn);
    let left = tmp_entries(tmp.path());
    assert_eq!((objects(&repo), left.len()), (0, 1));
    let path = tmp.path().join("tmp").join(&left[0]);
    let status = Command::new("touch").args(["-d", "2 days ago"]).arg(&path).status().unwrap();
    assert!(status.success());
    repo.begin(&ctx).unwrap().commit(&ctx).unwrap();
    assert_eq!(tmp_entries(tmp.path()), [""; 0]);
}
