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
    if !oracle::need_root() || !oracle::need("unshare") {
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
            ("refs --create=a/b/c old", "refs --list a/b", "a/b/c"),
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
        assert!(stderr.contains(&format!("fsync {heads}: ")), "{verb:?}: {stderr}");
        assert_ne!(oracle::run(PROGRAM, &["refs", "--repo", &repo]), b"", "{verb:?}");
        let stdout = String::from_utf8(oracle::run(PROGRAM, &args)).unwrap();
        assert!(stdout.contains(again), "{verb:?}: {stdout}");
        assert_eq!(left_in_tmp(&repo), [""; 0], "{verb:?}");
        oracle::run("ostree", &["fsck", "--repo", &repo]);
    }
}

/// A repair whose transaction was stopped when all objects were in place: the next one finds nothing to do.
#[test]
fn a_repair_that_failed_at_its_very_end_leaves_nothing() {
    let (_temp, repo, _) = repository_and_tree(b"content");
    leave_staging(&repo);
    oracle::run(PROGRAM, &["fsck", "-q", "--repo", &repo, "--repair", &repo]);
    assert_eq!(left_in_tmp(&repo), [""; 0]);
}

/// Empties each regular file below `dir` whose path `which` picks.
fn lose(dir: &std::path::Path, which: &dyn Fn(&str) -> bool) -> usize {
    let mut lost = 0;
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            lost += lose(&path, which);
        } else if kind.is_file() && which(path.to_str().unwrap()) {
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
            lost += 1;
        }
    }
    lost
}

/// As when the disk was pulled out, or its file system failed, and it was mounted again without a restart.
#[test]
fn staged_objects_that_were_lost_are_written_again() {
    for kind in [".file", ".dirtree", ".dirmeta", ".commit"] {
        let (temp, repo, tree) = repository_and_tree(b"content");
        let tree = format!("--tree=dir={tree}");
        let commit = ["commit", "--repo", &repo, "-b", "x", "--timestamp=@1", &tree];
        let mut failing = Command::new(PROGRAM);
        failing.args(commit).env("OSTREE_REPO_TEST_ERROR", "pre-commit");
        assert!(!failing.output().unwrap().status.success());
        assert_eq!(lose(&temp.path().join("d/tmp"), &|path| path.ends_with(kind)), 1, "{kind}");
        oracle::run(PROGRAM, &commit);
        oracle::run("ostree", &["fsck", "--repo", &repo]);
        assert_eq!(left_in_tmp(&repo), [""; 0]);
    }
}

/// A layer that the journal calls finished is fetched again if something of it was lost.
#[test]
fn layers_that_were_lost_are_fetched_again() {
    let (temp, source, _) = repository_and_tree(b"");
    let path = |name: &str| temp.path().join(name);
    for n in 0..3 {
        fs::create_dir_all(path(&format!("tree/{n}"))).unwrap();
        fs::write(path(&format!("tree/{n}/large")), vec![n; 5 << 20]).unwrap();
    }
    let tree = format!("--tree=dir={}", path("tree").display());
    oracle::run(PROGRAM, &["commit", "--repo", &source, "-b", "x", &tree]);
    let layout = path("layout").display().to_string();
    let build = ["container", "build", "-q", "--repo", &source, "--ref=x", "--oci-dir", &layout];
    oracle::run(PROGRAM, &[&build[..], &["--max-layers=4", "--compression=none"]].concat());
    let blobs = fs::read_dir(path("layout/blobs/sha256")).unwrap().map(|entry| entry.unwrap().path());
    let last = blobs.filter(|blob| blob.metadata().unwrap().len() > 5 << 20).max().unwrap();
    let image = format!("ostree-unverified-image:oci:{layout}");
    for verb in [&["container", "image", "pull"][..], &["container", "pull", "--ref=y"]] {
        let repo = path(verb[1]).display().to_string();
        oracle::run(PROGRAM, &["init", "--repo", &repo, "--mode=bare-user"]);
        let args = [verb, &["--repo", &repo, &image]].concat();
        fs::rename(&last, path("hidden")).unwrap();
        assert!(!Command::new(PROGRAM).args(&args).output().unwrap().status.success());
        fs::rename(path("hidden"), &last).unwrap();
        assert!(lose(&path(verb[1]).join("tmp"), &|path| path.ends_with(".file")) > 0);
        oracle::run(PROGRAM, &args);
        oracle::run("ostree", &["fsck", "--repo", &repo]);
        assert_eq!(left_in_tmp(&repo), [""; 0]);
    }
}
