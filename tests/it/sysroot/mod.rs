//! Sysroots beside C ostree: each reads what the other has made, and both make the same.

mod boot_loaders;
mod booted;
mod composefs;
mod crash;
mod deploy;
mod etc;
mod hostile;
mod images;
mod kernels;
mod killed;
mod prepare_root;
mod read;
mod remotes;
mod running;
mod sealed;
mod soft_reboot;
mod state_overlay;
mod take_over;
mod unlock;
mod upgrade;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::cli::OURS;

/// A directory with a repository `build`, in which the branch `os` has commits of a tree with a kernel.
struct Place {
    tmp: TempDir,
}

impl Place {
    /// A place with a commit of version 1.
    fn new() -> Self {
        let place = Self { tmp: tempfile::tempdir().unwrap() };
        place.c(&["--repo=build", "init", "--mode=archive"]);
        for dir in ["usr/bin", "usr/etc/dir", "usr/lib/modules/6.1", "var", "sysroot"] {
            fs::create_dir_all(place.at("tree").join(dir)).unwrap();
        }
        symlink("sysroot/ostree", place.at("tree/ostree")).unwrap();
        place.write("tree/usr/etc/file", "default\n");
        place.write("tree/usr/etc/dir/other", "default\n");
        place.write("tree/usr/lib/os-release", "ID=os\nPRETTY_NAME=\"Example OS\"\n");
        place.write("tree/usr/lib/modules/6.1/vmlinuz", "kernel\n");
        place.write("tree/usr/lib/modules/6.1/initramfs.img", "initramfs\n");
        place.commit("1");
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.tmp.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    /// Commits the tree as `version`.
    fn commit(&self, version: &str) {
        self.write("tree/usr/bin/tool", version);
        let key = format!("--add-metadata-string=version={version}");
        self.c(&["--repo=build", "commit", "-b", "os", "--tree=dir=tree", "--canonical-permissions", &key]);
    }

    /// A sysroot made by C ostree, with the stateroot `os` and all commits.
    fn sysroot(&self, name: &str) {
        fs::create_dir(self.at(name)).unwrap();
        self.c(&["admin", "init-fs", name]);
        self.c(&["admin", "os-init", "os", &format!("--sysroot={name}")]);
        self.pull(name);
    }

    /// Brings the newest commit into the repository of a sysroot.
    fn pull(&self, sysroot: &str) {
        self.c(&[&format!("--repo={sysroot}/ostree/repo"), "pull-local", "build", "os"]);
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.tmp.path()).env_remove("OSTREE_REPO").env("TZ", "UTC");
        command.env("OSTREE_SYSROOT_DEBUG", "mutable-deployments");
        // As the C program that is asked here names boot entries.
        command.env("OSTREE_SYSROOT_OPTS", "bootloader-naming-1").output().unwrap()
    }

    fn succeeds(&self, program: &str, args: &[&str]) -> String {
        let out = self.run(program, args);
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{program} {args:?}: {error}");
        String::from_utf8(out.stdout).unwrap()
    }

    /// C ostree; gives its output.
    fn c(&self, args: &[&str]) -> String {
        self.succeeds("ostree", args)
    }

    /// Our program, which fails; gives the first line of what it says.
    fn fails(&self, args: &[&str]) -> String {
        let out = self.run(OURS, args);
        assert!(!out.status.success(), "{args:?}");
        let said = String::from_utf8(out.stderr).unwrap();
        said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned()
    }

    /// The directory of the deployment that comes first.
    fn deployment(&self, sysroot: &str) -> PathBuf {
        let args = ["admin", &format!("--sysroot={sysroot}"), "--print-current-dir"];
        self.c(&args).trim().into()
    }

    /// Our program; gives its output.
    fn ours(&self, args: &[&str]) -> String {
        self.succeeds(OURS, args)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = Command::new("chattr").args(["-R", "-i"]).arg(self.tmp.path()).output();
    }
}

/// Every file below a directory with its type, permissions and content.
fn listing(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let (mut lines, mut todo) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let meta = fs::symlink_metadata(&path).unwrap();
            let mode = meta.permissions().mode();
            if meta.is_symlink() {
                lines.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if meta.is_dir() {
                lines.push(format!("{name}/ {mode:o}"));
                todo.push(path);
            } else {
                let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                lines.push(format!("{name} {mode:o} {content:?}"));
            }
        }
    }
    lines.sort();
    lines
}
