//! Pulls from archive repositories that C ostree wrote, behind nginx, beside C ostree's own pulls.

mod access;
mod attackers;
mod deltas;
mod faults;
mod listing;
pub(crate) mod nginx;
mod options;
mod places;
mod pulls;
mod trust;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::oracle::run;
use nginx::Nginx;

/// Our program.
const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A directory `srv/repo` with an archive of several commits by C ostree, and room for repositories that pull.
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    /// Three commits on `main`, one on `other/branch`; a summary without signatures.
    fn new() -> Self {
        let fixture = Self { dir: tempfile::tempdir().unwrap() };
        let tree = fixture.path("tree");
        fs::create_dir_all(tree.join("usr/lib/deep/er")).unwrap();
        fs::create_dir_all(tree.join("usr/bin")).unwrap();
        fs::create_dir_all(tree.join("etc/empty")).unwrap();
        for n in 0..200 {
            fs::write(tree.join(format!("usr/lib/file{n}")), format!("file {n}\n").repeat(n)).unwrap();
        }
        fs::write(tree.join("usr/bin/tool"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(tree.join("usr/bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(tree.join("usr/empty"), "").unwrap();
        symlink("../bin/tool", tree.join("usr/lib/link")).unwrap();
        fs::write(tree.join("usr/lib/deep/er/zeros"), vec![0; 3_000_000]).unwrap();
        fs::write(tree.join("usr/lib/deep/er/noise"), noise(3_000_000)).unwrap();
        fs::create_dir_all(fixture.path("srv")).unwrap();
        fixture.c(&["init", "--repo=srv/repo", "--mode=archive"]);
        fixture.commit("main", "2024-01-01");
        fs::write(tree.join("usr/lib/file7"), "seven\n").unwrap();
        fixture.commit("main", "2024-01-02");
        fs::remove_file(tree.join("usr/lib/file8")).unwrap();
        fixture.commit("main", "2024-01-03");
        fixture.commit("other/branch", "2024-01-04");
        fixture.c(&["summary", "--repo=srv/repo", "-u"]);
        fixture
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Serves `srv`.
    fn serve(&self) -> Option<Nginx> {
        Nginx::start(&self.path("srv"))
    }

    fn commit(&self, branch: &str, day: &str) -> String {
        let time = format!("--timestamp={day} 00:00:00 +0000");
        self.c(&[
            "commit",
            "--repo=srv/repo",
            "-b",
            branch,
            "--canonical-permissions",
            "--tree=dir=tree",
            &time,
        ])
    }

    fn c(&self, args: &[&str]) -> String {
        text(&succeed(self.start("ostree", args)).stdout)
    }

    fn ours(&self, args: &[&str]) -> String {
        text(&succeed(self.start(OURS, args)).stdout)
    }

    /// Standard error of our program, which has to fail.
    fn refused(&self, args: &[&str]) -> String {
        let out = self.start(OURS, args);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {}", text(&out.stderr));
        text(&out.stderr)
    }

    fn start(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.dir.path()).env("LC_ALL", "C.UTF-8").env_remove("OSTREE_REPO");
        command.output().unwrap()
    }

    /// A new repository with the remote `origin` at `url`, whose signatures do not matter.
    fn repository(&self, name: &str, mode: &str, url: &str) {
        let _ = fs::remove_dir_all(self.path(name));
        let repo = format!("--repo={name}");
        self.c(&["init", &repo, &format!("--mode={mode}")]);
        self.c(&["remote", &repo, "add", "--no-gpg-verify", "origin", url]);
    }

    /// Every file of a repository that has a meaning for others, with its content but for objects: these have checksums.
    fn content(&self, repo: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for part in ["objects", "refs", "state"] {
            list(&self.path(repo), part, &mut found);
        }
        found
    }

    /// C ostree finds nothing wrong with a repository.
    fn fsck(&self, repo: &str) {
        run("ostree", &["fsck", "--quiet", &format!("--repo={}", self.path(repo).display())]);
    }
}

fn list(repo: &Path, dir: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(repo.join(dir)) else { return };
    for entry in entries {
        let name = format!("{dir}/{}", entry.unwrap().file_name().into_string().unwrap());
        let path = repo.join(&name);
        if path.is_dir() && !path.is_symlink() {
            list(repo, &name, found);
        } else {
            let content = if dir.starts_with("objects") { Vec::new() } else { fs::read(&path).unwrap() };
            found.insert(name, content);
        }
    }
}

/// Bytes that cannot be compressed.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn succeed(out: Output) -> Output {
    assert!(out.status.success(), "{}", text(&out.stderr));
    out
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
