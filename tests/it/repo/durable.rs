//! What a command that is done has written survives a power cut: it is on a file system in a file, of which a copy
//! is mounted that has what had reached the disk by then.

use std::process::Command;

use crate::oracle;

/// Makes and mounts a file system with the options in `$1`, runs `$2` as a command of the program `$0` for the
/// repository on it, if that is not to make it, and prints what `$3` says after the power cut.
const SCRIPT: &str = r#"
truncate -s 48M disk
mkfs.ext4 -q $1 disk
mkdir m
mount -o loop disk m
mkdir tree
echo content >tree/file
[ "${2%% *}" = init ] || { "$0" --repo=m/r init --mode=archive; "$0" --repo=m/r commit -b old --tree=dir=tree; sync -f m; }
"$0" --repo=m/r $2
cp --sparse=always disk cut
umount m
e2fsck -fy cut >report || [ $? = 1 ]
mount -o loop cut m
"$0" --repo=m/r $3
"$0" --repo=m/r fsck -q
umount m
"#;

fn script(script: &str, args: &[&str]) -> std::process::Output {
    let temp = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, env!("CARGO_BIN_EXE_ostree-rs")]).args(args);
    command.env_remove("OSTREE_REPO").current_dir(temp.path()).output().unwrap()
}

#[test]
fn what_was_done_survives_a_power_cut() {
    if !rustix::process::geteuid().is_root() || !oracle::need("unshare") {
        return;
    }
    if !script("truncate -s 48M disk; mkfs.ext4 -q disk; mount -o loop disk /mnt", &[]).status.success() {
        eprintln!("skipped: no file system in a file can be mounted here");
        return;
    }
    for options in ["", "-O ^has_journal"] {
        for (done, seen, expected) in [
            ("init --mode=bare-user", "config get core.mode", "bare-user"),
            ("config set core.key new", "config get core.key", "new"),
            ("refs --create=a/b/c old", "refs a/b", "c"),
            ("commit -b x/y/z --tree=dir=tree", "ls x/y/z", "/file"),
            ("summary -u", "summary -v", "* old"),
        ] {
            let out = script(SCRIPT, &[options, done, seen]);
            let (stdout, stderr) =
                (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            assert!(out.status.success(), "{done} on ext4 {options}: {stderr}");
            assert!(stdout.contains(expected), "{done} on ext4 {options}: {stdout}");
        }
    }
}
