//! What a command that is done has written survives a power cut: it is on a file system in a file, of which a copy
//! is mounted that has what had reached the disk by then.

use std::fs;
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

const PROGRAM: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A repository `d` and a tree in a new directory.
fn repository_and_tree(content: &[u8]) -> (tempfile::TempDir, String, String) {
    let temp = tempfile::tempdir().unwrap();
    let path = |name: &str| temp.path().join(name).display().to_string();
    let (repo, tree) = (path("d"), path("tree"));
    fs::create_dir(&tree).unwrap();
    fs::write(temp.path().join("tree/file"), content).unwrap();
    oracle::run(PROGRAM, &["init", "--repo", &repo, "--mode=bare-user"]);
    (temp, repo, tree)
}

/// A staging directory as a transaction of this boot leaves it that is stopped.
fn leave_staging(repo: &str) {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::create_dir_all(format!("{repo}/tmp/staging-{}-abcdef/00", boot_id.trim())).unwrap();
}

fn left_in_tmp(repo: &str) -> Vec<String> {
    let names = fs::read_dir(format!("{repo}/tmp")).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name != "cache").collect()
}

/// The system tells of a lost write once: whoever took the objects over would believe that they are on the disk.
#[test]
fn what_did_not_reach_the_disk_is_not_taken_over() {
    // The second is sent to the disk early, by a thread of its own.
    for bytes in [10, 70 << 20] {
        let (_temp, repo, tree) = repository_and_tree(&vec![b'x'; bytes]);
        leave_staging(&repo);
        let tree = format!("--tree=dir={tree}");
        let commit = ["commit", "--repo", &repo, "-b", "x", &tree];
        let inject = ["-e", "inject=syncfs:error=EIO:when=1"];
        let Some(out) = oracle::injected(&inject, PROGRAM, &commit) else { return };
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{bytes} bytes: {stderr}");
        assert!(stderr.contains("syncfs"), "{bytes} bytes: {stderr}");
        assert_eq!(left_in_tmp(&repo), [""; 0], "{bytes} bytes");
        assert_eq!(oracle::run(PROGRAM, &["refs", "--repo", &repo]), b"");
        oracle::run(PROGRAM, &commit);
        oracle::run("ostree", &["fsck", "--repo", &repo]);
    }
}

/// All of it is there, and the refs name it, but not for certain on the disk: the next run makes up for that, though
/// it finds nothing to do.
#[test]
fn a_pull_that_failed_at_its_very_end_leaves_nothing() {
    let (temp, source, tree) = repository_and_tree(b"content");
    oracle::run(PROGRAM, &["commit", "--repo", &source, "-b", "x", &format!("--tree=dir={tree}")]);
    let layout = temp.path().join("layout").display().to_string();
    let build = ["container", "build", "-q", "--repo", &source, "--ref=x", "--oci-dir", &layout];
    oracle::run(PROGRAM, &build);
    let image = format!("ostree-unverified-image:oci:{layout}");
    for (verb, again) in [
        (&["container", "image", "pull"][..], "No changes"),
        (&["container", "pull", "--ref=y", "--json"], "\"layers_fetched\":0"),
    ] {
        let repo = temp.path().join(verb.len().to_string()).display().to_string();
        oracle::run(PROGRAM, &["init", "--repo", &repo, "--mode=bare-user"]);
        let args = [verb, &["--repo", &repo, &image]].concat();
        let heads = format!("{repo}/refs/heads");
        let inject = ["-P", &heads, "-e", "inject=fsync:error=EIO"];
        let Some(out) = oracle::injected(&inject, PROGRAM, &args) else { return };
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{verb:?}: {stderr}");
        assert!(stderr.contains("fsync refs/heads"), "{verb:?}: {stderr}");
        assert_ne!(oracle::run(PROGRAM, &["refs", "--repo", &repo]), b"", "{verb:?}");
        let stdout = String::from_utf8(oracle::run(PROGRAM, &args)).unwrap();
        assert!(stdout.contains(again), "{verb:?}: {stdout}");
        assert_eq!(left_in_tmp(&repo), [""; 0], "{verb:?}");
        oracle::run("ostree", &["fsck", "--repo", &repo]);
    }
}
