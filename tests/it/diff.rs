//! Differences, compared with what `ostree diff` says.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::diff::{self, FilesOptions, Side};
use ostree_rs::format::{MetaKind, ObjectName, ObjectType, RepoMode, Rev};
use ostree_rs::store::{MemStore, ObjectWrite, Txn, XattrPolicy, load_commit};

use crate::oracle::{need, run};

/// The metadata objects and local refs of a repository in a store in memory.
fn load_meta(repo: &Path) -> MemStore {
    let store = MemStore::new();
    for dir in fs::read_dir(repo.join("objects")).unwrap().map(Result::unwrap) {
        for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
            let (d, f) = (dir.file_name().into_string().unwrap(), file.file_name().into_string().unwrap());
            let Some(name) = ObjectName::from_loose_path(&d, &f, RepoMode::BareUser) else { continue };
            let kind = match name.kind {
                ObjectType::Commit => MetaKind::Commit,
                ObjectType::DirTree => MetaKind::DirTree,
                ObjectType::DirMeta => MetaKind::DirMeta,
                _ => continue,
            };
            store.write_meta(kind, &fs::read(file.path()).unwrap()).unwrap();
        }
    }
    for head in fs::read_dir(repo.join("refs/heads")).unwrap().map(Result::unwrap) {
        let id = fs::read_to_string(head.path()).unwrap().trim().parse().unwrap();
        store.set_ref(&head.file_name().to_str().unwrap().parse().unwrap(), Some(id)).unwrap();
    }
    store
}

/// Two trees that differ in every way.
fn write_trees(old: &Path, new: &Path) {
    for tree in [old, new] {
        fs::create_dir_all(tree.join("usr/same/deep")).unwrap();
        fs::create_dir_all(tree.join("usr/lib/x")).unwrap();
        fs::create_dir_all(tree.join("Zdir")).unwrap();
        for name in ["usr/same/deep/a", "usr/lib/kept", "usr/lib/moded", "a-file", "b.file"] {
            fs::write(tree.join(name), name).unwrap();
            fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        symlink("kept", tree.join("usr/lib/link")).unwrap();
    }
    fs::write(old.join("usr/lib/content"), "old").unwrap();
    fs::write(new.join("usr/lib/content"), "new").unwrap();
    fs::set_permissions(new.join("usr/lib/moded"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(new.join("usr/lib"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(new.join("usr/lib/link")).unwrap();
    symlink("other", new.join("usr/lib/link")).unwrap();
    fs::create_dir_all(old.join("gone/in/depth")).unwrap();
    fs::write(old.join("gone/in/file"), "").unwrap();
    fs::write(old.join("usr/lib/gone"), "").unwrap();
    for dir in ["added/z/y", "added/a/b", "Zdir/new"] {
        fs::create_dir_all(new.join(dir)).unwrap();
        fs::write(new.join(dir).join("file"), dir).unwrap();
        fs::write(new.join(dir).join("zile"), dir).unwrap();
    }
    fs::write(new.join("added/middle"), "").unwrap();
    fs::write(old.join("swap1"), "").unwrap();
    fs::create_dir_all(new.join("swap1/below")).unwrap();
    fs::create_dir_all(old.join("swap2/below")).unwrap();
    fs::write(new.join("swap2"), "").unwrap();
}

struct Fixture {
    _tmp: tempfile::TempDir,
    trees: [std::path::PathBuf; 2],
    repo: String,
    store: MemStore,
}

fn fixture() -> Fixture {
    let tmp = tempfile::tempdir().unwrap();
    let trees = [tmp.path().join("old"), tmp.path().join("new")];
    write_trees(&trees[0], &trees[1]);
    let path = tmp.path().join("repo");
    let repo = format!("--repo={}", path.display());
    run("ostree", &[&repo, "init", "--mode=bare-user"]);
    for tree in &trees {
        run("ostree", &[&repo, "commit", "-b", "x", &format!("--tree=dir={}", tree.display())]);
    }
    let store = load_meta(&path);
    Fixture { _tmp: tmp, trees, repo, store }
}

impl Fixture {
    fn side(&self, rev: &str) -> Side<'_> {
        let id = ostree_rs::store::resolve_rev(&self.store, &rev.parse().unwrap()).unwrap();
        Side::Tree { store: &self.store, root: load_commit(&self.store, &id).unwrap().root }
    }
}

#[test]
fn two_commits() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    for (from, to) in [("x^", "x"), ("x", "x^"), ("x", "x")] {
        let theirs = String::from_utf8(run("ostree", &[&fixture.repo, "diff", from, to])).unwrap();
        let ours = diff::changes(fixture.side(from), fixture.side(to), &Ctx::default()).unwrap();
        assert_eq!(ours.to_string(), theirs);
    }
}

#[test]
fn sets_of_paths() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let rev = |text: &str| text.parse::<Rev>().unwrap();
    let got = diff::diff(&fixture.store, &rev("x^"), &rev("x"), None).unwrap();
    let set = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect::<diff::FileSet>();
    assert_eq!(got.added_dirs, set(&["/Zdir/new", "/added", "/swap1"]));
    assert_eq!(got.removed_dirs, set(&["/gone", "/swap2"]));
    assert_eq!(got.changed_dirs, set(&["/usr/lib"]));
    assert_eq!(got.added_files, set(&["/swap2"]));
    assert_eq!(got.removed_files, set(&["/swap1", "/usr/lib/gone"]));
    assert_eq!(got.changed_files, set(&["/usr/lib/content", "/usr/lib/link", "/usr/lib/moded"]));
    assert_eq!(got.to_string(), "files(added:1 removed:2 changed:3) dirs(added:3 removed:2 changed:1)");

    let sub = diff::diff(&fixture.store, &rev("x^"), &rev("x"), Some("/usr")).unwrap();
    assert_eq!(sub.changed_files, set(&["/lib/content", "/lib/link", "/lib/moded"]));
    assert_eq!(sub.subdir.as_deref(), Some("/usr"));
    assert!(diff::diff(&fixture.store, &rev("x^"), &rev("x"), Some("/added")).is_err());
    assert_eq!(serde_json::to_value(&sub).unwrap()["changed_dirs"][0], "/lib");
}

#[test]
fn directories_on_disk() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let [old, new] = fixture.trees.each_ref().map(|tree| tree.to_str().unwrap());
    let files = |tree: &str| Side::Files {
        dir: Dir::open_ambient_dir(tree, ambient_authority()).unwrap(),
        options: FilesOptions::default(),
    };
    // The order on disk is the file system's.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    for (from, to) in [("x", new), ("x", old), (old, "x"), (old, new), (new, new)] {
        let theirs = String::from_utf8(run("ostree", &[&fixture.repo, "diff", from, to])).unwrap();
        let side = |arg: &str| if arg == "x" { fixture.side("x") } else { files(arg) };
        let ours = diff::changes(side(from), side(to), &Ctx::default()).unwrap();
        assert_eq!(sorted(&ours.to_string()), sorted(&theirs), "{from} {to}");
    }

    let args = [&fixture.repo, "diff", "--no-xattrs", "--owner-uid=7", "--owner-gid=8", "x", new];
    let theirs = String::from_utf8(run("ostree", &args)).unwrap();
    let options = FilesOptions { xattrs: XattrPolicy::Drop, owner_uid: Some(7), owner_gid: Some(8) };
    let dir = Dir::open_ambient_dir(new, ambient_authority()).unwrap();
    let ours = diff::changes(fixture.side("x"), Side::Files { dir, options }, &Ctx::default()).unwrap();
    assert_eq!(sorted(&ours.to_string()), sorted(&theirs));
    assert!(ours.modified.contains(&"/usr/same/deep/a".to_owned()));
}

#[test]
fn statistics() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let theirs = String::from_utf8(run("ostree", &[&fixture.repo, "diff", "--stats", "x^", "x"])).unwrap();
    let rev = |text: &str| text.parse::<Rev>().unwrap();
    let ours = diff::stats(&fixture.store, &rev("x^"), &rev("x"), &mut |_| Ok(0), &Ctx::default()).unwrap();
    let expected = format!(
        "[A] Object Count: {}\n[B] Object Count: {}\nCommon Object Count: {}\n",
        ours.from_objects, ours.to_objects, ours.common_objects
    );
    assert!(theirs.starts_with(&expected), "{theirs}\n{expected}");
}
