//! Files that share their blocks, on btrfs and xfs: in a commit, a checkout, and where two objects have one content.

use std::fs;
use std::process::{Command, Output};

use crate::oracle::{need, need_root, run};

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");

/// A file system of its own in a file. It is mounted for one script at a time, in a mount namespace that ends with it.
struct Volume {
    dir: tempfile::TempDir,
}

impl Volume {
    /// Those on which files can share blocks, with a line that says so where one of them cannot be mounted.
    fn all() -> Vec<Self> {
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

    fn start(&self, script: &str) -> Output {
        let script = format!("mount -o loop image at; cd at; {script}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &script]).current_dir(self.dir.path());
        command.env("OURS", OURS).env_remove("OSTREE_REPO").output().unwrap()
    }

    fn run(&self, script: &str) -> String {
        let out = self.start(script);
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// Bytes of the files of a directory that they share with no other file.
    fn own_bytes(&self, path: &str) -> u64 {
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

/// A large file, a small one, and a copy of the large one that is another object.
const TREE: &str = "
    mkdir tree
    head -c 9000000 /dev/urandom > tree/large
    head -c 60000 /dev/urandom > tree/small
    cp --reflink=never tree/large tree/private
    chmod 600 tree/private
";

#[test]
fn commits_and_checkouts_share_blocks() {
    for volume in Volume::all() {
        blocks_are_shared(&volume);
    }
}

fn blocks_are_shared(volume: &Volume) {
    volume.run(TREE);
    for mode in ["bare", "bare-user", "bare-user-only", "archive"] {
        volume.run(&format!(
            "rm -rf repo co; ostree --repo=repo init --mode={mode}
             $OURS --repo=repo commit -b x tree
             ostree --repo=repo fsck -q
             $OURS --repo=repo checkout -U -C x co
             cmp tree/large co/large; cmp tree/small co/small; cmp tree/private co/private"
        ));
        let (own, checked_out) = (volume.own_bytes("repo/objects"), volume.own_bytes("co"));
        match mode {
            "archive" => assert!(own > 18_000_000),
            _ => assert!(own < 100_000 && checked_out < 100_000, "{mode}: {own} {checked_out}"),
        }
    }
    // A file that changes later leaves the object as it was.
    volume.run(
        "rm -rf repo; ostree --repo=repo init --mode=bare-user; $OURS --repo=repo commit -b x tree
         printf changed | dd of=tree/large conv=notrunc status=none; ostree --repo=repo fsck -q",
    );
}

/// There are payload links as C ostree makes them, each to an object that is there, and objects with one content take its room once.
#[test]
fn payload_links() {
    for volume in Volume::all() {
        links_are_the_same(&volume);
    }
}

fn links_are_the_same(volume: &Volume) {
    volume.run(TREE);
    let links = "find repo/objects -name '*.payload-link' ! -xtype l -printf '%P\\n' | sort";
    for (threshold, expected) in [(0, 2), (100_000, 1), (10_000_000, 0)] {
        let repo = |program: &str| {
            let made = format!(
                "rm -rf repo co; ostree --repo=repo init --mode=bare-user
                 ostree --repo=repo config set core.payload-link-threshold {threshold}
                 rm -rf tree/private; {program} --repo=repo commit -b x tree > /dev/null
                 cp --reflink=never tree/large tree/private; chmod 600 tree/private
                 {program} --repo=repo commit -b x tree > /dev/null; ostree --repo=repo fsck -q > /dev/null; {links}"
            );
            let found = volume.run(&made);
            volume.run(
                "mv tree elsewhere; mkdir tree; cp --reflink=never -p elsewhere/* tree; rm -r elsewhere",
            );
            (found, volume.own_bytes("repo/objects"))
        };
        let ((ours, own), (theirs, _)) = (repo("$OURS"), repo("ostree"));
        assert_eq!(ours, theirs, "{threshold}");
        assert_eq!(ours.lines().count(), expected, "{threshold}");
        // The two large objects share their blocks with each other, or with nothing any more.
        let alone = expected == 0;
        assert_eq!(own > 17_000_000, alone, "{threshold}: {own}");
    }
    // Where the object is damaged, nothing is shared with it; where it is gone, nothing either.
    for damage in ["printf x | dd of=$F conv=notrunc status=none", "rm $F"] {
        volume.run(&format!(
            "rm -rf repo; $OURS --repo=repo init --mode=bare-user
             $OURS --repo=repo config set core.payload-link-threshold 0; mkdir -p one two
             cp --reflink=never tree/large one/f; cp --reflink=never tree/large two/f; chmod 600 two/f
             $OURS --repo=repo commit -b one one; F=$(find repo/objects -name '*.file'); {damage}
             ID=$($OURS --repo=repo commit -b two two); $OURS --repo=repo checkout -U two co; cmp co/f two/f
             rm -r co; $OURS --repo=repo refs --delete one; $OURS --repo=repo prune --refs-only
             ostree --repo=repo fsck -q"
        ));
    }
}
