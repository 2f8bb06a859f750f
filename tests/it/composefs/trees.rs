//! Trees that are hard to make an image of.

use ostree_rs::format::{DirMeta, FileHeader, FileName, RootDir, Xattrs};
use ostree_rs::store::{MutableTree, Txn};

/// Puts files into a tree.
struct Planter<'a>(&'a dyn Txn);

type Pairs<'a> = &'a [(&'a str, &'a [u8])];

fn xattrs(pairs: Pairs<'_>) -> Xattrs {
    Xattrs::from_pairs(pairs.iter().map(|(name, value)| (name.as_bytes(), *value)))
}

impl Planter<'_> {
    fn dir<'t>(
        &self,
        at: &'t mut MutableTree,
        name: &str,
        uid: u32,
        pairs: Pairs<'_>,
    ) -> &'t mut MutableTree {
        let dir = at.ensure_dir(self.0, FileName::new(name).unwrap()).unwrap();
        dir.set_meta(self.0.write_dirmeta(&DirMeta::new(uid, 0, 0o755, xattrs(pairs))).unwrap());
        dir
    }

    fn file(&self, at: &mut MutableTree, name: &str, header: &FileHeader, content: &[u8]) {
        let id = self.0.write_file(header, content.len() as u64, &mut &*content).unwrap();
        at.set_file(self.0, FileName::new(name).unwrap(), id).unwrap();
    }

    fn plain(&self, at: &mut MutableTree, name: &str, content: &[u8]) {
        self.file(at, name, &FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY), content);
    }

    fn link(&self, at: &mut MutableTree, name: &str, target: &str) {
        self.file(at, name, &FileHeader::symlink(0, 0, target, Xattrs::EMPTY), b"");
    }
}

/// Directories of every length, links, xattrs that are shared and that are not, large numbers of users, names that sort
/// before `.`, and names that the image wants for itself.
pub(super) fn hard(txn: &dyn Txn) -> RootDir {
    let plant = Planter(txn);
    let mut root = MutableTree::new();
    let label: Pairs<'_> =
        &[("security.selinux", b"system_u:object_r:root_t:s0\0"), ("trusted.overlay.opaque", b"y")];
    root.set_meta(txn.write_dirmeta(&DirMeta::new(5, 70_000, 0o1755, xattrs(label))).unwrap());
    for name in ["!a", "-b", "+c", ".hidden", "...", "0", "00", "ff", "a f", "äö", "var"] {
        plant.plain(&mut root, name, name.as_bytes());
    }
    for many in [0, 1, 3, 40, 100, 150, 170, 200, 400, 1500] {
        let dir = plant.dir(&mut root, &format!("d{many}"), 0, &[]);
        for n in 0..many {
            let name = "n".repeat(1 + n * 37 % 230) + &n.to_string();
            match n % 7 {
                0 => drop(plant.dir(dir, &name, 0, &[])),
                1 | 2 => plant.link(dir, &name, &"t".repeat(1 + n * 53 % 300)),
                3 => plant.plain(dir, &name, b""),
                _ => plant.plain(dir, &name, &n.to_le_bytes().repeat(1 + n % 5 * 300)),
            }
        }
    }
    links(&plant, plant.dir(&mut root, "links", 65_535, &[]));
    attributes(&plant, plant.dir(&mut root, "xattrs", 65_536, &[("user.dir", b"once")]));
    root.write(txn).unwrap()
}

/// Targets that fit behind their inodes in ever other ways.
fn links(plant: &Planter<'_>, dir: &mut MutableTree) {
    for len in (1..3900).step_by(61) {
        plant.link(dir, &format!("{len}"), &"l".repeat(len));
    }
    plant.plain(plant.dir(dir, "!x", 0, &[]), "-y", b"q");
}

fn attributes(plant: &Planter<'_>, dir: &mut MutableTree) {
    const NAMES: [&str; 11] = [
        "user.a",
        "user.b-with-a-name-that-is-not-short",
        "trusted.x",
        "trusted.overlay.opaque",
        "trusted.overlay.overlay.x",
        "trusted.overlay.metacopy",
        "security.selinux",
        "security.capability",
        "user.overlay.whiteout",
        "system.posix_acl_access",
        "unknown.kind",
    ];
    for n in 0..300_usize {
        let own = n.to_string();
        let values: [&[u8]; 4] = [b"", b"same", b"the same, but longer", own.as_bytes()];
        let pairs: Vec<(&str, &[u8])> = NAMES
            .iter()
            .enumerate()
            .filter(|(at, _)| ((n * 7919 % 2048) >> at) & 1 == 1)
            .map(|(at, name)| (*name, values[(n + at) % values.len()]))
            .collect();
        let name = n.to_string();
        match n % 5 {
            0 => drop(plant.dir(dir, &name, 0, &pairs)),
            1 => plant.file(dir, &name, &FileHeader::symlink(0, 9, "target", xattrs(&pairs)), b""),
            _ => {
                let uid = [0, 1000, 65_535, 65_536][n % 4];
                let mode = [0o644, 0o4755, 0o2755, 0o000][n % 4];
                let content = [&b""[..], b"same", own.as_bytes()][n % 3];
                plant.file(dir, &name, &FileHeader::regular(uid, 0, mode, xattrs(&pairs)), content);
            }
        }
    }
}

/// Targets so long that they do not fit into the block of their inode.
pub(super) fn long_links(txn: &dyn Txn) -> RootDir {
    let plant = Planter(txn);
    let mut root = MutableTree::new();
    root.set_meta(txn.write_dirmeta(&DirMeta::new(0, 0, 0o755, Xattrs::EMPTY)).unwrap());
    for len in [4000, 4031, 4032, 4033, 4063, 4064, 4065, 4094, 4095] {
        plant.link(&mut root, &format!("l{len}"), &"l".repeat(len));
    }
    root.write(txn).unwrap()
}

/// The tree of libostree's own test of composefs, as `tests/libtest.sh` makes it.
pub(super) fn of_libostree(txn: &dyn Txn) -> RootDir {
    let plant = Planter(txn);
    let mut root = MutableTree::new();
    root.set_meta(txn.write_dirmeta(&DirMeta::new(0, 0, 0o755, Xattrs::EMPTY)).unwrap());
    plant.link(&mut root, "somelink", "nosuchfile");
    plant.plain(&mut root, "firstfile", b"first\n");
    let inside = plant.dir(&mut root, "baz", 0, &[]);
    for (name, content, mode) in
        [("cow", "moo\n", 0o644), ("cowro", "mooro\n", 0o600), ("saucer", "alien\n", 0o644)]
    {
        plant.file(inside, name, &FileHeader::regular(0, 0, mode, Xattrs::EMPTY), content.as_bytes());
    }
    plant.link(inside, "alink", "nonexistent");
    let deeper = plant.dir(inside, "deeper", 0, &[]);
    plant.plain(deeper, "ohyeah", b"hi\n");
    plant.file(deeper, "ohyeahx", &FileHeader::regular(0, 0, 0o755, Xattrs::EMPTY), b"hix\n");
    plant.plain(plant.dir(inside, "another", 0, &[]), "y", b"x\n");
    for (dir, name) in [("sub1", "duplicate_a"), ("sub1", "duplicate_b"), ("sub2", "duplicate_c")] {
        plant.plain(plant.dir(inside, dir, 0, &[]), name, b"SAME_CONTENT\n");
    }
    root.write(txn).unwrap()
}
