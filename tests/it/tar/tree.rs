//! Ordinary archives become the same trees as with C ostree, and trees become archives that it reads.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use ostree_rs::base::Ctx;
use ostree_rs::format::{Checksum, CommitId};
use ostree_rs::store::{MemStore, Modifier, MutableTree, SkipList, StatOverrides, load_commit};
use ostree_rs::tar::{
    ArchiveInput, EntryErrorKind, Error, Parents, PathnameFilter, PlainOptions, PlainXattrs, TreeOptions,
    export_plain, import_tree,
};
use rustix::fs::{XattrFlags, lsetxattr};

use super::build::{archive, changed, entry, header, link, pax};
use super::{bare_store, commit_of, stable};
use crate::oracle::{need, run};

pub(super) fn import(archive: &[u8], options: &TreeOptions, modifier: Modifier) -> Result<Checksum, Error> {
    let (store, mut tree, mut modifier) = (MemStore::new(), MutableTree::new(), modifier);
    import_tree(
        ArchiveInput::Stream(&mut { archive }),
        &store,
        &mut tree,
        &mut modifier,
        options,
        &Ctx::default(),
    )?;
    modifier.check_matched()?;
    Ok(tree.write(&store)?.content_checksum())
}

/// What C ostree makes of it: the content checksum.
pub(super) fn ostree(archive: &[u8], args: &[&str]) -> Checksum {
    let dir = tempfile::tempdir().unwrap();
    let repo = format!("--repo={}", dir.path().join("repo").display());
    run("ostree", &[&repo, "init", "--mode=archive"]);
    let file = dir.path().join("archive");
    fs::write(&file, archive).unwrap();
    let tree = format!("--tree=tar={}", file.display());
    run("ostree", &[&[&*repo, "commit", "-b", "b", "-s", "", &tree], args].concat());
    let show = String::from_utf8(run("ostree", &[&repo, "show", "b"])).unwrap();
    let line = show.lines().find_map(|line| line.strip_prefix("ContentChecksum:")).unwrap();
    line.trim().parse().unwrap()
}

pub(super) fn make_tree(dir: &Path) {
    let deep = dir.join("usr/lib").join("d".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(dir.join("usr/bin")).unwrap();
    fs::write(deep.join("f".repeat(120)), "deep").unwrap();
    fs::write(dir.join("usr/bin/big"), vec![7; 300_000]).unwrap();
    fs::write(dir.join("usr/bin/empty"), "").unwrap();
    fs::write(dir.join("usr/bin/suid"), "suid").unwrap();
    fs::set_permissions(dir.join("usr/bin/suid"), fs::Permissions::from_mode(0o4755)).unwrap();
    for name in ["b", "c"] {
        fs::hard_link(dir.join("usr/bin/suid"), dir.join("usr").join(name)).unwrap();
        fs::hard_link(dir.join("usr/bin/empty"), dir.join("usr/empty").with_extension(name)).unwrap();
    }
    symlink("../b", dir.join("usr/bin/link")).unwrap();
    fs::hard_link(dir.join("usr/bin/link"), dir.join("usr/hardlink")).unwrap();
    symlink("l".repeat(300), dir.join("usr/long")).unwrap();
    fs::write(dir.join("usr/wörld"), "unicode").unwrap();
    lsetxattr(dir.join("usr/wörld"), "user.x", b"a\nb\0\xff", XattrFlags::empty()).unwrap();
    lsetxattr(dir.join("usr/lib"), "user.dir", b"d", XattrFlags::empty()).unwrap();
    fs::set_permissions(dir.join("usr/lib"), fs::Permissions::from_mode(0o2750)).unwrap();
}

/// What compresses standard input in every way that is read.
const COMPRESSORS: [&str; 8] = [
    "gzip -c",
    "zstd -c",
    "zstd -19 -c",
    "xz -c",
    "xz -c -9e --check=sha256",
    "bzip2 -c",
    "lz4 -c",
    "lz4 -c -l",
];

fn archives(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let path = dir.to_str().unwrap();
    let mut out = Vec::new();
    for format in ["gnu", "pax", "oldgnu"] {
        let args = ["-c", "--sort=name", "--format", format, "-C", path];
        let xattrs = ["--xattrs"].into_iter().filter(|_| format == "pax");
        let args: Vec<_> = args.into_iter().chain(xattrs).chain(["."]).collect();
        out.push((format!("tar {format}"), run("tar", &args)));
    }
    out.push(("tar -z".into(), run("tar", &["-c", "-z", "-C", path, "."])));
    let plain = dir.join("usr/bin/plain.tar");
    fs::write(&plain, &out[0].1).unwrap();
    for command in COMPRESSORS {
        if need(command.split(' ').next().unwrap()) {
            let packed = run("sh", &["-c", &format!("{command} <{}", plain.display())]);
            // Two streams, one after the other, are one stream.
            let half = plain.with_extension("half");
            let (first, second) = out[0].1.split_at(out[0].1.len() / 2);
            let twice = [first, second].map(|part| {
                fs::write(&half, part).unwrap();
                run("sh", &["-c", &format!("{command} <{}", half.display())])
            });
            fs::remove_file(&half).unwrap();
            if command.starts_with("gzip") {
                out.push(("gzip, padded".into(), [&*packed, &[0; 1000]].concat()));
            }
            out.push((command.into(), packed));
            // Frames of old lz4 have no end.
            if !command.ends_with("-l") {
                out.push((format!("{command}, in two parts"), twice.concat()));
            }
        }
    }
    fs::remove_file(plain).unwrap();
    if need("bsdtar") {
        for format in ["pax", "gnutar", "newc", "odc"] {
            let args = ["-c", "-f", "-", "--no-xattrs", "--format", format, "-C", path, "."];
            out.push((format!("bsdtar {format}"), run("bsdtar", &args)));
        }
    }
    if need("cpio") {
        let script = |format| format!("cd {path} && find . | LC_ALL=C sort | cpio -o --quiet -H {format}");
        for format in ["newc", "crc", "odc", "bin", "hpbin"] {
            out.push((format!("cpio {format}"), run("sh", &["-c", &script(format)])));
        }
    }
    out
}

#[test]
fn the_same_trees_as_with_ostree() {
    if !need("ostree") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path());
    for (name, archive) in archives(dir.path()) {
        let ours = import(&archive, &TreeOptions::default(), Modifier::default());
        assert_eq!(ours.unwrap_or_else(|error| panic!("{name}: {error}")), ostree(&archive, &[]), "{name}");
    }
    if need("bsdtar") {
        // bsdtar writes each xattr in two ways, and libostree then commits it twice.
        let path = dir.path().to_str().unwrap();
        let gnu = run("tar", &["-c", "--xattrs", "--format=pax", "-C", path, "."]);
        let bsd = run("bsdtar", &["-c", "-f", "-", "--xattrs", "--format=pax", "-C", path, "."]);
        let trees = [gnu, bsd].map(|a| import(&a, &TreeOptions::default(), Modifier::default()).unwrap());
        assert_eq!(trees[0], trees[1]);
    }
}

#[test]
fn the_same_options_as_ostree() {
    if !need("ostree") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path());
    let path = dir.path().to_str().unwrap();
    let whole = run("tar", &["-c", "--sort=name", "-C", path, "."]);
    let parts = run("tar", &["-c", "--sort=name", "-C", path, "usr/lib", "usr/bin/suid", "usr/b"]);
    let create = TreeOptions { parents: Parents::Create, ..Default::default() };

    let ours = import(&parts, &create, Modifier::default()).unwrap();
    assert_eq!(ours, ostree(&parts, &["--tar-autocreate-parents"]));
    let error = import(&parts, &TreeOptions::default(), Modifier::default()).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::NoParent(_), .. }), "{error}");

    for filter in ["^,foo/", "^usr/bin/,usr/sbin/", "/bin/,/sbin/", r"^usr/(b)$,usr/\1ee"] {
        let parsed = Some(PathnameFilter::parse(filter).unwrap());
        let options = TreeOptions { filter: parsed, ..create.clone() };
        let ours = import(&whole, &options, Modifier::default()).unwrap();
        let option = format!("--tar-pathname-filter={filter}");
        assert_eq!(ours, ostree(&whole, &["--tar-autocreate-parents", &option]), "{filter}");
    }

    let (overrides, skip) = ("1024 /usr/bin/suid\n=448 /usr/wörld\n", "/usr/lib\n/usr/bin/big\n");
    let files = [("o", overrides), ("s", skip)].map(|(name, text)| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name).display().to_string()
    });
    let whole = run("tar", &["-c", "--sort=name", "--exclude=usr/lib/*", "-C", path, "."]);
    let modifier = Modifier {
        uid: Some(7),
        gid: Some(8),
        stat_overrides: StatOverrides::parse(overrides).unwrap(),
        skip: SkipList::parse(skip),
        ..Default::default()
    };
    let ours = import(&whole, &TreeOptions::default(), modifier).unwrap();
    let [overrides, skip] = [format!("--statoverride={}", files[0]), format!("--skip-list={}", files[1])];
    assert_eq!(ours, ostree(&whole, &["--owner-uid=7", "--owner-gid=8", &overrides, &skip]));

    let empty = vec![0; 10240];
    let modifier = Modifier { uid: Some(5), gid: Some(6), ..Default::default() };
    let ours = import(&empty, &create, modifier).unwrap();
    assert_eq!(ours, ostree(&empty, &["--tar-autocreate-parents", "--owner-uid=5", "--owner-gid=6"]));
}

/// What GNU tar alone writes, and what is in no standard.
#[test]
fn odd_archives_as_ostree_takes_them() {
    if !need("ostree") {
        return;
    }
    let root = || link(b'5', "./", "");
    let label: &[u8] = b"system_u:object_r:bin_t:s0";
    let acl: &[u8] = b"user::rw-,user:5:rwx,group::r--,mask::rwx,other::r--";
    let mask: &[u8] = b"user::rw-,user:bob:rwx:1001,group::---,group:5:r-x,mask::rwx,other::---";
    let in_two = |magic: &[u8; 8]| {
        changed(header(b'0', "a", "", 0), |block| {
            block[257..265].copy_from_slice(magic);
            block[345..348].copy_from_slice(b"usr");
        })
    };
    for (what, entries) in [
        ("label", vec![root(), pax(b'x', &[("RHT.security.selinux", label)]), entry(b'0', "a", b"1")]),
        ("label of a directory", vec![pax(b'x', &[("RHT.security.selinux", label)]), root()]),
        ("ACL", vec![root(), pax(b'x', &[("SCHILY.acl.access", acl)]), entry(b'0', "a", b"1")]),
        // The group's bits in the header are the mask of an ACL, if there is one.
        ("ACL with a mask", vec![root(), pax(b'x', &[("SCHILY.acl.access", mask)]), entry(b'0', "a", b"1")]),
        (
            "ACL of a directory",
            vec![
                root(),
                pax(b'x', &[("SCHILY.acl.access", b"u::rwx\n g::- ,o:--x,\n")]),
                link(b'5', "d/", ""),
            ],
        ),
        (
            "half an ACL",
            vec![root(), pax(b'x', &[("SCHILY.acl.access", b"other::rwx")]), entry(b'0', "a", b"1")],
        ),
        ("default ACL", vec![pax(b'x', &[("SCHILY.acl.default", mask)]), root()]),
        ("global", vec![pax(b'g', &[("uid", b"7"), ("path", b"x")]), root(), entry(b'0', "a", b"1")]),
        (
            "owners below zero",
            vec![root(), pax(b'x', &[("uid", b"-2"), ("gid", b"-3")]), entry(b'0', "a", b"1")],
        ),
        ("unknown type", vec![root(), entry(b'Z', "a", b"1")]),
        ("old names", vec![root(), entry(b'N', "a", b"1")]),
        ("dumpdir", vec![root(), entry(b'D', "a/", b"Yb\0\0"), entry(b'0', "a/b", b"1")]),
        ("volume label", vec![entry(b'V', "label", b""), root(), entry(b'0', "a", b"1")]),
        ("twice", vec![root(), entry(b'0', "a", b"1"), entry(b'0', "a", b"2")]),
        (
            "link to what changes",
            vec![root(), entry(b'0', "a", b"1"), link(b'1', "b", "a"), entry(b'0', "a", b"2")],
        ),
        ("link to itself", vec![root(), entry(b'0', "a", b"1"), link(b'1', "a", "a")]),
        ("ustar of no version", vec![root(), link(b'5', "usr/", ""), in_two(b"ustar\0\0\0")]),
        ("ustar of another version", vec![root(), link(b'5', "usr/", ""), in_two(b"ustar\x0001")]),
    ] {
        let archive = archive(&entries);
        let ours = import(&archive, &TreeOptions::default(), Modifier::default());
        assert_eq!(ours.unwrap(), ostree(&archive, &[]), "{what}");
    }
    // An ISO 9660 image begins with 32 kB of zeros, ext4 with 1 kB; nothing else may be an archive without entries.
    for zeros in [1024, 32 * 1024] {
        let disk = [vec![0; zeros], b"\x01CD001".to_vec()].concat();
        let refused = import(&disk, &TreeOptions::default(), Modifier::default()).unwrap_err();
        assert!(refused.to_string().contains("the image of a disk"), "{refused}");
    }
    let after = [archive(&[root(), entry(b'0', "a", b"1")]), b"anything".to_vec()].concat();
    let ours = import(&after, &TreeOptions::default(), Modifier::default()).unwrap();
    assert_eq!(ours, ostree(&after, &[]));
}

fn export(store: &MemStore, commit: &CommitId, options: &PlainOptions) -> Vec<u8> {
    let mut out = Vec::new();
    export_plain(store, commit, &mut out, options, &Ctx::default()).unwrap();
    out
}

#[test]
fn what_is_exported_commits_to_the_same_tree() {
    let store = bare_store();
    let expected = load_commit(&store, &stable()).unwrap().root.content_checksum();
    let archive = export(&store, &stable(), &PlainOptions::default());
    assert_eq!(import(&archive, &TreeOptions::default(), Modifier::default()).unwrap(), expected);
    if need("ostree") {
        assert_eq!(ostree(&archive, &[]), expected);
        let plain =
            export(&store, &stable(), &PlainOptions { xattrs: PlainXattrs::LeaveOut, ..Default::default() });
        assert_ne!(ostree(&plain, &[]), expected);
    }
}

#[test]
fn other_programs_unpack_what_is_exported() {
    let store = MemStore::new();
    let long = format!("d/{}/{}", "e".repeat(90), "f".repeat(90));
    let commit = commit_of(&store, &["a/x", &long, "a/l -> x//y", "b/"]);
    let options = PlainOptions { prefix: "the/prefix/".into(), ..Default::default() };
    let archive = export(&store, &commit, &options);
    for program in ["tar", "bsdtar"] {
        if !need(program) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("t.tar"), &archive).unwrap();
        let file = dir.path().join("t.tar").display().to_string();
        run(program, &["-x", "-f", &file, "-C", dir.path().to_str().unwrap()]);
        let root = dir.path().join("the/prefix");
        assert_eq!(fs::read(root.join("a/x")).unwrap(), b"a/x");
        assert_eq!(fs::read(root.join(&long)).unwrap(), long.as_bytes());
        assert_eq!(fs::read_link(root.join("a/l")).unwrap().to_str(), Some("x//y"));
        assert!(root.join("b").is_dir());
    }
    let sub = PlainOptions { subpath: "/a/".into(), ..Default::default() };
    let (part, tree) = (export(&store, &commit, &sub), commit_of(&store, &["x"]));
    assert_ne!(part, export(&store, &tree, &PlainOptions::default()));
    let imported = import(&part, &TreeOptions::default(), Modifier::default());
    assert!(imported.is_ok());
    let missing = PlainOptions { subpath: "nowhere".into(), ..Default::default() };
    assert!(export_plain(&store, &commit, &mut Vec::new(), &missing, &Ctx::default()).is_err());
}
