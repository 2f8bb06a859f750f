//! Objects written by C ostree, read and written again byte for byte.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use ostree_rs::format::{Checksum, DirMeta, DirTree, ObjectName, ObjectType, RepoMode};

use crate::oracle::{need, run};

#[test]
fn metadata_objects_of_a_fresh_repository() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (tree, repo) = (tmp.path().join("tree"), tmp.path().join("repo"));
    fs::create_dir_all(tree.join("usr/ä/b")).unwrap();
    fs::create_dir(tree.join("empty")).unwrap();
    fs::set_permissions(tree.join("empty"), fs::Permissions::from_mode(0o2711)).unwrap();
    for n in 0..200 {
        fs::write(tree.join(format!("usr/ä/file-{n}")), format!("{n}")).unwrap();
    }
    symlink("../x//y/.", tree.join("usr/link")).unwrap();
    let repo_arg = format!("--repo={}", repo.display());
    run("ostree", &[&repo_arg, "init", "--mode=bare-user"]);
    run("ostree", &[&repo_arg, "commit", "-b", "x", &format!("--tree=dir={}", tree.display())]);

    let mut seen = [0; 2];
    for dir in fs::read_dir(repo.join("objects")).unwrap() {
        let dir = dir.unwrap();
        for file in fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            let (d, f) = (dir.file_name().into_string().unwrap(), file.file_name().into_string().unwrap());
            let name = ObjectName::from_loose_path(&d, &f, RepoMode::BareUser).unwrap();
            assert_eq!(name.loose_path(RepoMode::BareUser), format!("{d}/{f}"));
            let bytes = fs::read(file.path()).unwrap();
            let written = match name.kind {
                ObjectType::DirTree => DirTree::parse(&bytes).unwrap().to_bytes(),
                ObjectType::DirMeta => DirMeta::parse(&bytes).unwrap().to_bytes(),
                _ => continue,
            };
            assert_eq!(written, bytes, "{name}");
            assert_eq!(Checksum::of(&bytes), name.checksum);
            seen[usize::from(name.kind == ObjectType::DirTree)] += 1;
        }
    }
    assert_eq!(seen, [2, 4]);
}
