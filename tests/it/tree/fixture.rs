//! A directory with everything that is hard to keep, and a description of a directory to compare.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::Path;

use ostree_rs::base::{read_xattrs_at, write_xattrs_at};
use ostree_rs::format::{Checksum, Xattrs};

use crate::oracle::{need, need_root};

/// Whether C ostree is there, and we may give files away.
pub(crate) fn ready() -> bool {
    need_root() && need("ostree")
}

fn file(path: &Path, content: &[u8], owner: (u32, u32), mode: u32) {
    fs::write(path, content).unwrap();
    chown(path, Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn dir(path: &Path, owner: (u32, u32), mode: u32) {
    fs::create_dir_all(path).unwrap();
    chown(path, Some(owner.0), Some(owner.1)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn set_xattr(dir: &Path, name: &str, xattr: &str, value: &[u8]) {
    let xattrs = Xattrs::from_pairs([(xattr.as_bytes(), value)]);
    write_xattrs_at(fs::File::open(dir).unwrap(), name, &xattrs).unwrap();
}

/// Makes the directory `top`.
pub(crate) fn hard_tree(top: &Path) {
    dir(top, (0, 0), 0o755);
    for (name, owner, mode) in [
        ("usr", (0, 0), 0o755),
        ("usr/lib", (0, 0), 0o755),
        ("usr/lib/modules", (0, 0), 0o755),
        ("usr/lib/modules/6.1.0-9-amd64", (0, 0), 0o755),
        ("usr/bin", (0, 0), 0o2755),
        ("empty", (5, 6), 0o1777),
        ("private", (1000, 1000), 0o700),
        ("ä ö\n", (0, 0), 0o770),
        ("private/a/b/c/d/e", (0, 0), 0o711),
    ] {
        dir(&top.join(name), owner, mode);
    }
    for (name, content, owner, mode) in [
        ("usr/bin/su", &b"set-uid"[..], (0, 0), 0o4755),
        ("usr/bin/wall", b"set-gid", (0, 5), 0o2755),
        ("usr/bin/sticky", b"sticky", (0, 0), 0o1644),
        ("usr/bin/ping", b"capability", (0, 0), 0o755),
        ("usr/bin/tool", b"writable", (0, 0), 0o775),
        ("usr/lib/modules/6.1.0-9-amd64/vmlinuz", b"kernel", (0, 0), 0o644),
        ("usr/lib/empty", b"", (0, 0), 0o644),
        ("usr/lib/empty-too", b"", (0, 0), 0o644),
        ("usr/lib/empty-other", b"", (3, 4), 0o600),
        ("usr/lib/same-1", b"same", (0, 0), 0o644),
        ("usr/lib/same-2", b"same", (0, 0), 0o644),
        ("usr/lib/same-3", b"same", (0, 0), 0o600),
        ("private/unreadable", b"secret", (1000, 1000), 0o000),
        ("private/write-only", b"secret", (1000, 1000), 0o222),
        ("ä ö\n/é\t'\"\\", b"name", (0, 0), 0o666),
        (".hidden", b"dot", (0, 0), 0o644),
        ("-", b"minus", (65534, 65534), 0o444),
    ] {
        file(&top.join(name), content, owner, mode);
    }
    file(&top.join("x".repeat(255)), b"long", (0, 0), 0o644);
    file(&top.join("usr/lib/big"), &b"0123456789abcdef".repeat(20_000), (0, 0), 0o644);
    for (name, target) in [
        ("usr/lib/absolute", "/etc/passwd"),
        ("usr/lib/dots", "../.././x/./y//z/"),
        ("usr/lib/dangling", "nowhere"),
        ("usr/lib/dot", "."),
        ("usr/lib/ünicode", "zïel"),
        ("usr/lib/long", "t".repeat(4000).as_str()),
        ("lib", "usr/lib"),
    ] {
        symlink(target, top.join(name)).unwrap();
    }
    lchown(top.join("usr/lib/dangling"), Some(7), Some(8)).unwrap();
    let bin = top.join("usr/bin");
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&bin, "ping", "security.capability", &capability);
    set_xattr(&bin, "tool", "user.z", b"last\0\n");
    set_xattr(&bin, "tool", "user.a", b"first");
    set_xattr(&bin, "tool", "user.empty", b"");
    set_xattr(&bin, "tool", "trusted.large", &[b'v'; 3000]);
    set_xattr(top, "usr", "user.dir", b"on a directory");
    set_xattr(top, "lib", "trusted.link", b"on a link");
}

/// What a description says apart from names, types, modes, owners, contents and xattrs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// No more.
    Plain,
    /// Link counts, and whether the time is 0.
    Links,
}

/// A line for everything in `top`, sorted.
pub(crate) fn describe(top: &Path, detail: Detail) -> Vec<String> {
    let mut lines = Vec::new();
    describe_one(top, Path::new("."), detail, &mut lines);
    lines.sort();
    lines
}

fn describe_one(top: &Path, path: &Path, detail: Detail, lines: &mut Vec<String>) {
    let full = top.join(path);
    let meta = fs::symlink_metadata(&full).unwrap();
    let what = match meta.file_type() {
        t if t.is_symlink() => format!("-> {}", fs::read_link(&full).unwrap().display()),
        t if t.is_file() => Checksum::of(&fs::read(&full).unwrap()).to_string(),
        t if t.is_dir() => "dir".into(),
        _ => format!("device {}", meta.rdev()),
    };
    let (parent, name) = match path.file_name() {
        None => (top.to_owned(), ".".to_owned()),
        Some(name) => (full.parent().unwrap().to_owned(), name.to_str().unwrap().to_owned()),
    };
    let xattrs = read_xattrs_at(fs::File::open(parent).unwrap(), &name).unwrap();
    let mut line = format!("{path:?} {:o} {}:{} {what} {xattrs:?}", meta.mode(), meta.uid(), meta.gid());
    if detail == Detail::Links {
        let links = if meta.is_dir() { 0 } else { meta.nlink() };
        line.push_str(&format!(" links {links} old {}", meta.mtime() == 0));
    }
    lines.push(line);
    if meta.is_dir() {
        for entry in fs::read_dir(&full).unwrap() {
            describe_one(top, &path.join(entry.unwrap().file_name()), detail, lines);
        }
    }
}
