//! The main job on a real root file system: commit, check, build an image, pull it, check it out, beside the
//! other programs and through them.
//!
//! The root file system is the directory that `OSTREE_RS_TEST_ROOT` names; without it, some of the programs,
//! libraries and configuration of this machine.

mod chroot;
mod commits;
mod images;
mod on_base;
mod refusals;
mod serving;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::oracle::{need, need_root};
use crate::tree::fixture::{Detail, describe, set_xattr};

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");
const THEIRS: &str = "ostree";
const REF: &str = "os/stable";

/// Files and bytes taken of this machine, where no root file system is given.
const MAX_FILES: usize = 1500;
const MAX_BYTES: u64 = 30_000_000;

/// Whether the other programs are there, and owners can be set.
fn ready(programs: &[&str]) -> bool {
    need_root() && programs.iter().all(|name| need(name))
}

/// A directory for one test; `tree` in it is a root file system with a kernel.
struct Work(TempDir);

impl Work {
    fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// On the file system of the build, where that of temporary files may be one in memory.
    fn on_disk() -> Self {
        Self::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    fn below(dir: &Path) -> Self {
        let work = Self(tempfile::Builder::new().prefix("ostree-rs-e2e").tempdir_in(dir).unwrap());
        let tree = work.path("tree");
        match std::env::var_os("OSTREE_RS_TEST_ROOT") {
            Some(root) => copy(Path::new(&root), &tree),
            None => part_of_this_machine(&tree),
        }
        add_kernel(&tree);
        add_xattrs(&tree);
        work
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn start(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.0.path()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.env("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS", "1");
        for name in ["OSTREE_REPO", "GNUPGHOME", "SOURCE_DATE_EPOCH"] {
            command.env_remove(name);
        }
        command.output().unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    /// Standard output of a program that must succeed, without the line's end.
    fn run(&self, program: &str, args: &[&str]) -> String {
        let out = self.start(program, args);
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {}\n{message}", out.status);
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    /// Standard error of a program that must fail.
    fn refused(&self, program: &str, args: &[&str]) -> String {
        let out = self.start(program, args);
        assert_eq!(out.status.code(), Some(1), "{program} {args:?}");
        String::from_utf8(out.stderr).unwrap()
    }

    /// An empty repository.
    fn init(&self, program: &str, repo: &str, mode: &str) {
        self.run(program, &["init", &format!("--repo={repo}"), &format!("--mode={mode}")]);
    }

    /// What a checkout looks like; it is deleted, so that link counts do not depend on the ones before.
    fn checkout(&self, program: &str, repo: &str, options: &[&str]) -> Vec<String> {
        let repo = format!("--repo={repo}");
        let args = [&["checkout", &repo], options, &[REF, "checkout"]].concat();
        self.run(program, &args);
        let lines = describe(&self.path("checkout"), Detail::Links);
        fs::remove_dir_all(self.path("checkout")).unwrap();
        lines
    }

    /// Signing keys of their own; the secret key is also in `secret.asc`, the public one in `NAME.gpg`.
    fn key(&self, name: &str) {
        let home = self.path(name);
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        self.gpg(name, &["--quick-generate-key", name, "ed25519", "sign", "never"]);
        self.gpg(name, &["-o", &format!("{name}.gpg"), "--export"]);
        self.gpg(name, &["-o", &format!("{name}.secret"), "--export-secret-keys"]);
    }

    fn gpg(&self, home: &str, args: &[&str]) -> String {
        let common = [
            "--batch",
            "--quiet",
            "--no-tty",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--homedir",
        ];
        self.run("gpg", &[&common, &[home][..], args].concat())
    }
}

/// Puts a kernel where ostree looks for it, next to its modules; Debian's packages have it in `/boot`.
fn add_kernel(tree: &Path) {
    let modules = tree.join("usr/lib/modules");
    fs::create_dir_all(&modules).unwrap();
    let versions: Vec<_> = fs::read_dir(&modules).unwrap().map(|entry| entry.unwrap().path()).collect();
    if versions.iter().any(|version| version.join("vmlinuz").exists()) {
        return;
    }
    let version = versions.into_iter().next().unwrap_or_else(|| modules.join("6.1.0-ostree-rs"));
    fs::create_dir_all(&version).unwrap();
    fs::write(version.join("vmlinuz"), b"a kernel\n").unwrap();
}

/// Gives the tree files with xattrs; a newline is among the capabilities, and two files are one object.
fn add_xattrs(tree: &Path) {
    let bin = tree.join("usr/bin");
    for name in ["capable", "capable-too", "described"] {
        fs::write(bin.join(name), b"a program\n").unwrap();
    }
    // cap_dac_override and cap_fowner.
    let capability = [1, 0, 0, 2, b'\n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for name in ["capable", "capable-too"] {
        set_xattr(&bin, name, "security.capability", &capability);
    }
    set_xattr(&bin, "described", "user.text", b"two\nlines");
}

/// Copies a directory with everything that belongs to its files, apart from device nodes and mounts.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-a", "--reflink=auto", "-T"]).args([from, to]).status().unwrap();
    assert!(status.success(), "copying {}", from.display());
    let dev = to.join("dev");
    if dev.is_dir() {
        fs::remove_dir_all(&dev).unwrap();
        fs::create_dir(&dev).unwrap();
    }
}

/// Some programs, libraries and all of the small configuration of this machine, with the merged `/usr` links.
fn part_of_this_machine(tree: &Path) {
    fs::create_dir_all(tree.join("var/lib/empty")).unwrap();
    for (name, mode) in [("tmp", 0o1777), ("root", 0o700)] {
        fs::create_dir(tree.join(name)).unwrap();
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for name in ["bin", "lib", "sbin"] {
        symlink(Path::new("usr").join(name), tree.join(name)).unwrap();
    }
    let mut budget = Budget { files: MAX_FILES, bytes: MAX_BYTES };
    let libraries = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    for dir in ["/etc", "/usr/sbin", "/usr/bin", libraries.as_str()] {
        budget.files = budget.files.max(MAX_FILES / 4);
        budget.bytes = budget.bytes.max(MAX_BYTES / 4);
        budget.copy(Path::new(dir), &tree.join(dir.trim_start_matches('/')));
    }
}

struct Budget {
    files: usize,
    bytes: u64,
}

impl Budget {
    /// Copies what lies in a directory, up to files of 8 MB, as long as there is room.
    fn copy(&mut self, from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        let mut names = Vec::new();
        for path in entries {
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                self.copy(&path, &to.join(path.file_name().unwrap()));
                continue;
            }
            let regular = meta.is_file() && meta.len() < 8_000_000;
            if (!regular && !meta.is_symlink()) || self.files == 0 || self.bytes < meta.len() {
                continue;
            }
            self.files -= 1;
            self.bytes -= if regular { meta.len() } else { 0 };
            names.push(path);
        }
        if !names.is_empty() {
            let status = Command::new("cp").arg("-a").args(&names).arg("-t").arg(to).status().unwrap();
            assert!(status.success(), "copying {}", from.display());
        }
        let mode = fs::metadata(from).unwrap().permissions();
        fs::set_permissions(to, mode).unwrap();
    }
}

/// Compares descriptions; of what differs only the first lines are shown.
#[track_caller]
fn same(ours: &[String], theirs: &[String], what: &str) {
    let missing = theirs.iter().filter(|line| ours.binary_search(line).is_err()).take(5);
    let extra = ours.iter().filter(|line| theirs.binary_search(line).is_err()).take(5);
    let (missing, extra): (Vec<_>, Vec<_>) = (missing.collect(), extra.collect());
    assert!(missing.is_empty() && extra.is_empty(), "{what}: missing {missing:#?}, unexpected {extra:#?}");
    assert!(ours.len() > 100, "{what}");
}
