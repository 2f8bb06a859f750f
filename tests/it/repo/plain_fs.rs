//! Repositories on a file system that knows neither hard links, symbolic links nor xattrs, nor files without a name: exFAT,
//! as on most USB sticks.

use std::process::Command;

use crate::oracle::{need, need_root};

/// Mounts exFAT, and lets the program `$0` and C ostree work with repositories on it.
const SCRIPT: &str = r#"
truncate -s 40M disk
mkfs.exfat disk >/dev/null
mkdir m tree
loop=$(losetup -f --show disk)
trap 'umount m; losetup -d "$loop"' EXIT
mount.exfat-fuse "$loop" m >/dev/null
! ln -s x m/x 2>/dev/null
echo content >tree/file
ln -s file tree/link
! "$0" --repo=m/r init --mode=bare-user 2>refused
"$0" --repo=m/r init --mode=archive
for text in 1 2; do
  echo $text >tree/changed
  "$0" --repo=m/r commit -b x --tree=dir=tree --add-detached-metadata-string=key=$text
done
"$0" --repo=m/r summary -u
"$0" --repo=src init --mode=bare-user --collection-id=org.example.Os
"$0" --repo=src commit -b y --tree=dir=tree
"$0" --repo=src create-usb m org.example.Os y
for repo in m/r m/.ostree/repo; do
  ostree --repo=$repo fsck -q
  [ "$(ls -A $repo/tmp)" = cache ] || [ -z "$(ls -A $repo/tmp)" ]
done
ostree --repo=here init --mode=bare-user
ostree --repo=here pull-local m/r x
ostree --repo=here checkout -U x out
diff -r --no-dereference tree out
"#;

#[test]
fn a_file_system_without_links_keeps_a_repository() {
    if !need_root() || !need("ostree") || !need("mount.exfat-fuse") || !need("mkfs.exfat") {
        return;
    }
    let run = |script: &str| {
        let temp = tempfile::tempdir().unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", script, env!("CARGO_BIN_EXE_ostree-rs")]);
        let out = command.env_remove("OSTREE_REPO").current_dir(temp.path()).output().unwrap();
        (temp, out)
    };
    if !run("[ -e /dev/fuse ]; truncate -s 1M x; losetup -d $(losetup -f --show x)").1.status.success() {
        eprintln!("skipped: no file system in a file can be mounted here");
        return;
    }
    let (temp, out) = run(SCRIPT);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let refused = std::fs::read_to_string(temp.path().join("refused")).unwrap();
    let advice = "; files there have no xattrs; a repository of `init --mode=archive` does without\n";
    assert!(refused.ends_with(advice), "{refused}");
}
