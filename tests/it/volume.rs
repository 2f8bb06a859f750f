//! File systems on which files can share their blocks.

use std::fs;
use std::process::{Command, Output};

use crate::oracle::{need, need_root, run};

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A file system of its own in a file. It is mounted for one script at a time, in a mount namespace that ends with it.
pub(crate) struct Volume {
    dir: tempfile::TempDir,
}

impl Volume {
    /// Those on which files can share blocks, with a line that says so where one of them cannot be mounted.
    pub(crate) fn all() -> Vec<Self> {
        ["btrfs", "xfs"].into_iter().filter_map(Self::new).collect()
    }

    fn new(kind: &str) -> Option<Self> {
        let make = format!("mkfs.{kind}");
        if !need_root() || ![&make, "ostree", "filefrag"].into_iter().all(need) {
            return None;
        }
        let this = Self { dir: tempfile::tempdir().unwrap() };
        let image = this.dir.path().join("image");
        fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        run(&make, &["-q", image.to_str().unwrap()]);
        fs::create_dir(this.dir.path().join("at")).unwrap();
        let out = this.start("true");
        if !out.status.success() {
            eprintln!("skipped: {kind} cannot be mounted: {}", String::from_utf8_lossy(&out.stderr));
            return None;
        }
        Some(this)
    }

    /// Runs a script in the volume's root, with `$OURS`.
    pub(crate) fn start(&self, script: &str) -> Output {
        let script = format!("mount -o loop image at; cd at; {script}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &script]).current_dir(self.dir.path());
        command.env("OURS", OURS).env_remove("OSTREE_REPO").output().unwrap()
    }

    /// Runs a script that has to succeed; returns what it prints.
    pub(crate) fn run(&self, script: &str) -> String {
        let out = self.start(script);
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Bytes of the files of a directory that they share with no other file.
    pub(crate) fn own_bytes(&self, path: &str) -> u64 {
        let extents = self.run(&format!("sync; find {path} -type f -exec filefrag -b1 -v {{}} +"));
        let own = |line: &str| {
            let parts: Vec<&str> = line.split(':').collect();
            let is_extent = parts.first().is_some_and(|number| number.trim().parse::<u32>().is_ok());
            let is_shared = parts.last().is_some_and(|flags| flags.contains("shared"));
            (is_extent && !is_shared).then(|| parts[3].trim().parse::<u64>().unwrap())
        };
        extents.lines().filter_map(own).sum()
    }
}
