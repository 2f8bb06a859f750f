//! A directory that somebody changes while it is committed.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::format::{Checksum, FileHeader, FileId, MetaKind, ObjectName};
use ostree_rs::store::{FileObject, MemStore, Modifier, MutableTree, ObjectRead, ObjectWrite, Result};
use ostree_rs::tree::{DirOptions, add_dir};

use crate::oracle::{need, run};

/// A store that does something once the files of the top directory are found: when the attributes of the next directory
/// are written.
struct Acting<'a> {
    store: MemStore,
    dirs: AtomicUsize,
    act: &'a (dyn Fn() + Sync),
}

impl ObjectRead for Acting<'_> {
    fn contains(&self, name: &ObjectName) -> Result<bool> {
        self.store.contains(name)
    }

    fn read_meta(&self, name: &ObjectName) -> Result<Option<Vec<u8>>> {
        self.store.read_meta(name)
    }

    fn open_file(&self, id: &FileId) -> Result<Option<FileObject>> {
        self.store.open_file(id)
    }
}

impl ObjectWrite for Acting<'_> {
    fn write_meta(&self, kind: MetaKind, bytes: &[u8]) -> Result<Checksum> {
        if kind == MetaKind::DirMeta && self.dirs.fetch_add(1, Ordering::Relaxed) == 1 {
            (self.act)();
        }
        self.store.write_meta(kind, bytes)
    }

    fn write_file(&self, header: &FileHeader, len: u64, content: &mut dyn Read) -> Result<FileId> {
        self.store.write_file(header, len, content)
    }
}

/// What becomes of the file `tree/file`, of mode 4755 and with the content `first`, if `act` is done in `tree` meanwhile.
fn committed(top: &Path, act: &(dyn Fn(&Path) + Sync)) -> Result<(u32, String)> {
    let tree = top.join("tree");
    fs::create_dir_all(tree.join("inner")).unwrap();
    fs::write(tree.join("file"), "first").unwrap();
    fs::set_permissions(tree.join("file"), Permissions::from_mode(0o4755)).unwrap();
    let store = Acting { store: MemStore::new(), dirs: AtomicUsize::new(0), act: &|| act(&tree) };
    let (mut root, mut modifier) = (MutableTree::new(), Modifier::default());
    let dir = fs::File::open(&tree).unwrap().into();
    add_dir(&store, &mut root, dir, &mut modifier, &DirOptions::default(), &Ctx::default())?;
    let id = root.files(&store).unwrap()["file"];
    let mut file = store.open_file(&id)?.unwrap();
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    Ok((file.header.permissions, content))
}

/// Nobody gets a program that runs as another user by giving his own file the name of such a one.
#[test]
fn the_mode_of_one_file_is_not_given_to_another() {
    let temp = tempfile::tempdir().unwrap();
    let exchange = |tree: &Path| {
        fs::write(tree.join("inner/other"), "other").unwrap();
        fs::rename(tree.join("inner/other"), tree.join("file")).unwrap();
    };
    let refused = committed(temp.path(), &exchange).unwrap_err();
    let refused = WithCauses(&refused).to_string();
    assert!(refused.contains("/file") && refused.contains("exchanged"), "{refused}");
    // One that is replaced as a whole, as programs do with their files, is either.
    let replace = |tree: &Path| {
        exchange(tree);
        fs::set_permissions(tree.join("file"), Permissions::from_mode(0o4755)).unwrap();
    };
    assert_eq!(committed(temp.path(), &replace).unwrap(), (0o4755, "other".into()));
}

/// A log that is written to is no reason not to commit; C ostree does not mind, either.
#[test]
fn a_file_may_grow_or_shrink() {
    let temp = tempfile::tempdir().unwrap();
    let grow = |tree: &Path| {
        let mut file = fs::File::options().append(true).open(tree.join("file")).unwrap();
        file.write_all(b" and more").unwrap();
        fs::set_permissions(tree.join("file"), Permissions::from_mode(0o4755)).unwrap();
    };
    assert_eq!(committed(temp.path(), &grow).unwrap(), (0o4755, "first and more".into()));
    let shrink = |tree: &Path| {
        fs::write(tree.join("file"), "1").unwrap();
        fs::set_permissions(tree.join("file"), Permissions::from_mode(0o4755)).unwrap();
    };
    assert_eq!(committed(temp.path(), &shrink).unwrap(), (0o4755, "1".into()));
}

/// While a file is appended to all the time, both programs commit it.
#[test]
fn a_growing_log_is_committed() {
    if !need("ostree") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name).display().to_string();
    fs::create_dir(at("tree")).unwrap();
    let mut log = fs::File::create(temp.path().join("tree/log")).unwrap();
    log.write_all(b"begin").unwrap();
    let repo = format!("--repo={}", at("repo"));
    run("ostree", &[&repo, "init", "--mode=archive"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Until it is large enough, lest it fills the disk.
            for _ in 0..1_000_000 {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                log.write_all(b"one line more\n").unwrap();
            }
        });
        for program in ["ostree", crate::cli::OURS] {
            run(program, &[&repo, "commit", "-b", "log", "--canonical-permissions", &at("tree")]);
        }
        done.store(true, Ordering::Relaxed);
    });
    run("ostree", &[&repo, "fsck"]);
}
