//! Archives that are odd or damaged, and what is no archive.

use std::fs;

use ostree_rs::base::WithCauses;
use ostree_rs::store::Modifier;
use ostree_rs::tar::{EntryErrorKind, Error, FormatErrorKind, Parents, Reader, SpecialFiles, TreeOptions};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::build::{archive, entry, link, pax};
use super::tree::{import, ostree};
use crate::oracle::{need, run};

/// The blocks of zeros at the end may be missing, and nothing else.
#[test]
fn archives_without_an_end() {
    if !need("ostree") {
        return;
    }
    let whole = archive(&[link(b'5', "./", ""), entry(b'0', "a", b"1"), entry(b'0', "b", b"2")]);
    let entries = whole.len() - 1024;
    let import = |archive: &[u8]| import(archive, &TreeOptions::default(), Modifier::default());
    for len in [entries, entries + 512, entries + 700] {
        assert_eq!(import(&whole[..len]).unwrap(), ostree(&whole[..len], &[]), "{len} of {}", whole.len());
    }
    for len in [entries - 1, entries - 511, entries - 512, entries - 600] {
        let error = import(&whole[..len]).unwrap_err();
        assert!(matches!(error, Error::Format { kind: FormatErrorKind::Truncated, .. }), "{len}: {error}");
    }
    // C ostree takes a lone block for the end, and leaves out what follows.
    let lone = [&whole[..entries], &[0; 512], &whole].concat();
    assert!(matches!(import(&lone), Err(Error::Format { kind: FormatErrorKind::AfterEnd, .. })));
}

/// Chains of links, in both directions, are followed once: C ostree refuses them.
#[test]
fn chains_of_links() {
    let n = 20_000;
    let name = |n: usize| format!("l{n:05}");
    let file = || entry(b'0', &name(n), b"1");
    let links = || (0..n).map(|i| link(b'1', &name(i), &name(i + 1)));
    let root = || link(b'5', "./", "");
    let forward: Vec<_> = [root()].into_iter().chain(links()).chain([file()]).collect();
    let backward: Vec<_> =
        [root(), file()].into_iter().chain(links().collect::<Vec<_>>().into_iter().rev()).collect();
    let flat = (0..n).map(|i| link(b'1', &name(i), &name(n)));
    let flat: Vec<_> = [root(), file()].into_iter().chain(flat).collect();
    let [forward, backward, flat] = [forward, backward, flat]
        .map(|entries| import(&archive(&entries), &TreeOptions::default(), Modifier::default()).unwrap());
    assert_eq!((forward, backward), (flat, flat));
    // In a circle there is nothing to follow.
    let circle = archive(&[root(), link(b'1', "a", "b"), link(b'1', "b", "a")]);
    let error = import(&circle, &TreeOptions::default(), Modifier::default()).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::LinkTarget(_), .. }), "{error}");
}

#[test]
fn devices_and_unsafe_paths() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "x").unwrap();
    mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::from(0o600), 0).unwrap();
    let path = dir.path().to_str().unwrap();
    let archive = run("tar", &["-c", "-C", path, "."]);
    let error = import(&archive, &TreeOptions::default(), Modifier::default()).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::Type("a named pipe"), .. }), "{error}");
    let ignore = TreeOptions { special: SpecialFiles::Ignore, ..Default::default() };
    import(&archive, &ignore, Modifier::default()).unwrap();

    // Absolute names are taken from the root on, as by libostree; `..` is refused.
    let absolute = run("tar", &["-c", "-P", "--transform=s,^./,/,", "-C", path, "./f"]);
    let relative = run("tar", &["-c", "-C", path, "f"]);
    let create = TreeOptions { parents: Parents::Create, ..Default::default() };
    let trees = [absolute, relative].map(|a| import(&a, &create, Modifier::default()).unwrap());
    assert_eq!(trees[0], trees[1]);
    let upwards = run("tar", &["-c", "-P", "--transform=s,^./,a/../../,", "-C", path, "./f"]);
    let error = import(&upwards, &create, Modifier::default()).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::DotDot, .. }), "{error}");
    let nowhere = super::build::archive(&[link(b'2', "l", "")]);
    let error = import(&nowhere, &create, Modifier::default()).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::NoTarget, .. }), "{error}");
}

/// Frames to be skipped, as pzstd writes them, and bytes behind the last member of gzip or bzip2 are no part of an
/// archive.
#[test]
fn what_stands_around_a_compressed_archive() {
    let create = TreeOptions { parents: Parents::Create, ..Default::default() };
    let import = |bytes: &[u8]| import(bytes, &create, Modifier::default()).unwrap();
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name).display().to_string();
    std::fs::write(at("file"), [7u8; 5000]).unwrap();
    let plain = run("tar", &["-c", "-C", &at("."), "file"]);
    let expected = import(&plain);
    let skipped = b"\x50\x2a\x4d\x18\x04\0\0\0abcd".as_slice();
    for (program, before, behind) in [
        ("zstd", skipped, &[][..]),
        ("zstd", b"\x5f\x2a\x4d\x18\0\0\0\0", skipped),
        ("gzip", &[], b"garbage"),
        ("gzip", &[], &[0; 512]),
        ("bzip2", &[], b"garbage"),
        ("bzip2", &[], &[0; 512]),
    ] {
        if !need(program) {
            continue;
        }
        let pack = |bytes: &[u8]| {
            std::fs::write(at("part"), bytes).unwrap();
            run(program, &["-q", "-c", &at("part")])
        };
        let (first, second) = (pack(&plain[..3000]), pack(&plain[3000..]));
        assert_eq!(import(&[before, &first, &second, behind].concat()), expected, "{program} {behind:?}");
        if program == "zstd" {
            assert_eq!(import(&[&first, skipped, &second].concat()), expected);
        }
    }
}

#[test]
fn what_is_no_archive_is_named() {
    let create = TreeOptions { parents: Parents::Create, ..Default::default() };
    let import = |bytes: &[u8]| import(bytes, &create, Modifier::default());
    for (bytes, name) in [
        (&b"PK\x03\x04 and more"[..], "zip"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"!<arch>\ndebian-binary", ".deb"),
        (b"LZIP\x01", "lzip"),
    ] {
        let error = import(bytes).unwrap_err();
        assert!(
            matches!(error, Error::Format { offset: 0, kind: FormatErrorKind::Foreign(what) } if what.contains(name))
        );
    }
    // A name is no magic number.
    for name in ["PK\u{3}\u{4}", "BZh91AY", "q\u{1c1}", "070701"] {
        let mut header = tar::Header::new_gnu();
        header.set_path(name).unwrap();
        header.set_size(0);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        import(&[header.as_bytes(), &[0; 1024][..]].concat())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    if !need("xz") {
        return;
    }
    // Nobody is asked for more memory than there is, and a damaged stream is read once only.
    let huge = run("sh", &["-c", "printf x | xz -c --lzma2=dict=512MiB"]);
    assert!(WithCauses(&import(&huge).unwrap_err()).to_string().contains("xz: it takes more than 100 MiB"));
    let dir = tempfile::tempdir().unwrap();
    let noise = "cd \"$0\" && head -c 100000 /dev/urandom >noise && tar -c noise | xz -c";
    let packed = run("sh", &["-c", noise, dir.path().to_str().unwrap()]);
    import(&packed).unwrap();
    for at in (0..packed.len()).step_by(4999) {
        let mut flipped = packed.clone();
        flipped[at] ^= 1;
        import(&flipped).unwrap_err();
    }
}

/// Of several headers of a kind before an entry the last one alone counts; where those of two kinds differ, every program
/// takes another one.
#[test]
fn headers_that_stand_twice() {
    let names = |archive: &[u8]| -> Result<Vec<String>, Error> {
        let (mut reader, mut names) = (Reader::new(archive), Vec::new());
        while let Some(entry) = reader.next_entry()? {
            let link = if entry.link.is_empty() { "" } else { " -> " };
            let [path, target] = [&entry.path, &entry.link].map(|name| String::from_utf8_lossy(name));
            names.push(format!("{path}{link}{target}"));
        }
        Ok(names)
    };
    let long = |kind, name: &str| entry(kind, "././@LongLink", format!("{name}\0").as_bytes());
    let named = |name: &str| pax(b'x', &[("path", name.as_bytes())]);
    for entries in [
        vec![long(b'L', "one"), long(b'L', "two"), entry(b'0', "none", b"1")],
        vec![long(b'K', "one"), long(b'K', "two"), link(b'2', "a", "none")],
        vec![named("one"), named("two"), entry(b'0', "none", b"1")],
        vec![named("one"), pax(b'x', &[("uid", b"7")]), entry(b'0', "a", b"1")],
        vec![long(b'L', "both"), named("both"), entry(b'0', "none", b"1")],
    ] {
        let archive = archive(&entries);
        if need("tar") {
            let dir = tempfile::tempdir().unwrap();
            let file = dir.path().join("t.tar");
            fs::write(&file, &archive).unwrap();
            let listed = run("tar", &["--utc", "-tvf", file.to_str().unwrap()]);
            let listed = String::from_utf8(listed).unwrap();
            let theirs: Vec<_> = listed.lines().map(|line| line.split_once(" 00:00 ").unwrap().1).collect();
            assert_eq!(names(&archive).unwrap(), theirs);
        }
    }
    for entries in [
        [long(b'L', "one"), named("two"), entry(b'0', "none", b"1")],
        [named("two"), long(b'L', "one"), entry(b'0', "none", b"1")],
    ] {
        let error = names(&archive(&entries)).unwrap_err();
        assert!(matches!(error, Error::Format { kind: FormatErrorKind::Ambiguous(_), .. }), "{error}");
    }
}

/// libarchive writes xattrs in two ways; what GNU tar and podman read of them counts where both are there.
#[test]
fn an_xattr_in_two_records() {
    let schily = ("SCHILY.xattr.user.a", b"1".as_slice());
    let (same, other) =
        (("LIBARCHIVE.xattr.user.a", b"MQ".as_slice()), ("LIBARCHIVE.xattr.user.a", b"Mg".as_slice()));
    let import = |records: &[(&str, &[u8])]| {
        let archive = archive(&[link(b'5', "./", ""), pax(b'x', records), entry(b'0', "a", b"1")]);
        (import(&archive, &TreeOptions::default(), Modifier::default()).unwrap(), archive)
    };
    let (one, _) = import(&[schily]);
    for records in [[schily, same], [same, schily], [schily, other], [other, schily]] {
        let (tree, archive) = import(&records);
        assert_eq!(tree, one, "{records:?}");
        if need("tar") {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name).display().to_string();
            fs::write(at("t.tar"), &archive).unwrap();
            run("tar", &["--xattrs", "-x", "-f", &at("t.tar"), "-C", &at("")]);
            let mut value = [0; 4];
            let len = rustix::fs::lgetxattr(at("a"), "user.a", &mut value[..]).unwrap();
            assert_eq!(&value[..len], b"1", "{records:?}");
        }
    }
    assert_ne!(import(&[schily, ("LIBARCHIVE.xattr.user.b", b"Mg")]).0, one);
}

/// As deep as C ostree goes, whose paths are no longer than those of Linux.
#[test]
fn deep_directories() {
    if !need("ostree") {
        return;
    }
    let mut entries = vec![link(b'5', "./", "")];
    for depth in (1..=1900).filter(|depth| *depth < 60 || depth % 50 == 0) {
        let path = "d/".repeat(depth);
        entries.push(
            [entry(b'L', "././@LongLink", format!("{path}\0").as_bytes()), link(b'5', "d", "")].concat(),
        );
    }
    let args = ["--tar-autocreate-parents"];
    let create = TreeOptions { parents: Parents::Create, ..Default::default() };
    let archive = archive(&entries);
    assert_eq!(import(&archive, &create, Modifier::default()).unwrap(), ostree(&archive, &args));
    // One that breaks off is given up.
    import(&archive[..archive.len() - 1700], &create, Modifier::default()).unwrap_err();
}

/// Targets of hard links are read as podman and the kernel read them, where they stay in the archive.
#[test]
fn hard_links_with_dots() {
    let dirs =
        || [link(b'5', "./", ""), link(b'5', "a/", ""), link(b'5', "a/b/", ""), entry(b'0', "a/f", b"1")];
    let import = |target: &str, at: &str| {
        let archive = archive(&[&dirs()[..], &[link(b'1', at, target)]].concat());
        import(&archive, &TreeOptions::default(), Modifier::default())
    };
    let plain = import("a/f", "a/b/l").unwrap();
    for target in ["a/b/../f", "./a/b/.././f", "a/b/../../a/f"] {
        assert_eq!(import(target, "a/b/l").unwrap(), plain, "{target}");
        if need("bsdtar") {
            let dir = tempfile::tempdir().unwrap();
            let at = |name: &str| dir.path().join(name).display().to_string();
            fs::write(at("t.tar"), archive(&[&dirs()[..], &[link(b'1', "a/b/l", target)]].concat())).unwrap();
            run("bsdtar", &["-x", "-P", "-f", &at("t.tar"), "-C", &at("")]);
            assert_eq!(fs::read(at("a/b/l")).unwrap(), b"1", "{target}");
        }
    }
    let error = import("a/../../f", "l").unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::DotDot, .. }), "{error}");
}
