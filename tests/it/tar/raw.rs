//! The entries of tar streams: what GNU tar and bsdtar write is read, what we write they read.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use ostree_rs::tar::{EndMarker, EntryKind, Error, FormatErrorKind, Reader, TarEntry, Writer};
use rustix::fs::{XattrFlags, lsetxattr};

use super::build::{archive, entry, header, link, pax};
use crate::oracle::{need, run};

const NEWLINES: &[u8] = b"a\nb\0c\xff\n";

pub(super) fn read_all(stream: &[u8]) -> Result<Vec<(TarEntry, Vec<u8>)>, Error> {
    read_with(stream, EndMarker::Required)
}

fn read_with(stream: &[u8], end: EndMarker) -> Result<Vec<(TarEntry, Vec<u8>)>, Error> {
    let mut reader = Reader::with_end(stream, end);
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        let read = reader.content().read_to_end(&mut content);
        if let Some(failure) = reader.take_failure() {
            return Err(failure);
        }
        read.unwrap();
        out.push((entry, content));
    }
    Ok(out)
}

/// A directory with what is hard for tar; says whether its file system keeps user xattrs.
fn make_tree(dir: &Path) -> bool {
    let deep = dir.join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("f".repeat(120)), "deep").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::write(dir.join("block"), vec![7; 512]).unwrap();
    fs::set_permissions(dir.join("block"), fs::Permissions::from_mode(0o4751)).unwrap();
    fs::hard_link(dir.join("block"), dir.join("hard")).unwrap();
    symlink("t".repeat(130), dir.join("longlink")).unwrap();
    symlink("a//b/./c/", dir.join("slashes")).unwrap();
    fs::write(dir.join("wörld"), "unicode").unwrap();
    lsetxattr(dir.join("empty"), "user.newlines", NEWLINES, XattrFlags::empty()).is_ok()
}

fn check_tree(stream: &[u8], xattrs: bool) {
    let entries = read_all(stream).unwrap();
    let by_path: BTreeMap<String, &(TarEntry, Vec<u8>)> =
        entries.iter().map(|e| (e.0.names().unwrap().join("/"), e)).collect();
    let deep = format!("{}/{}/{}", "d".repeat(90), "e".repeat(90), "f".repeat(120));
    assert_eq!(by_path[&deep].1, b"deep");
    assert_eq!(by_path["wörld"].1, b"unicode");
    let (first, second) = (by_path["block"], by_path["hard"]);
    let (file, link) = if first.0.kind == EntryKind::Regular { (first, second) } else { (second, first) };
    assert_eq!((file.1.len(), file.0.permissions), (512, 0o4751));
    assert_eq!((link.0.kind, link.1.len()), (EntryKind::Link, 0));
    assert!(link.0.link.ends_with(file.0.names().unwrap()[0].as_bytes()));
    assert_eq!(by_path["longlink"].0.link, "t".repeat(130).as_bytes());
    assert_eq!(by_path["slashes"].0.link, b"a//b/./c/");
    assert_eq!(by_path[""].0.kind, EntryKind::Dir);
    if xattrs {
        assert_eq!(by_path["empty"].0.xattrs.get(b"user.newlines"), Some(NEWLINES));
    }
}

#[test]
fn reads_what_gnu_tar_writes() {
    let dir = tempfile::tempdir().unwrap();
    let xattrs = make_tree(dir.path());
    for format in ["gnu", "oldgnu", "pax"] {
        let pax = format == "pax";
        let mut args = vec!["-c", "--format", format, "-C", dir.path().to_str().unwrap()];
        if pax {
            args.push("--xattrs");
        }
        args.push(".");
        check_tree(&run("tar", &args), xattrs && pax);
    }
}

#[test]
fn reads_what_bsdtar_writes() {
    if !need("bsdtar") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let xattrs = make_tree(dir.path());
    for format in ["pax", "gnutar"] {
        let args = ["-c", "-f", "-", "--xattrs", "--format", format, "-C", dir.path().to_str().unwrap(), "."];
        check_tree(&run("bsdtar", &args), xattrs && format == "pax");
    }
}

#[test]
fn large_numbers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("f"), "x").unwrap();
    for format in ["gnu", "pax"] {
        let path = dir.path().to_str().unwrap();
        let args = ["-c", "--format", format, "--owner=:3000000000", "--group=:2097152", "--mtime=@-5", "-C"];
        let stream = run("tar", &[&args[..], &[path, "f"]].concat());
        let (entry, _) = &read_all(&stream).unwrap()[0];
        assert_eq!((entry.uid, entry.gid, entry.mtime), (3_000_000_000, 2_097_152, -5), "{format}");
    }
}

fn stream() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    let header = |kind| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(3_000_000);
        header.set_gid(1);
        header.set_size(0);
        header
    };
    writer.append(&mut header(tar::EntryType::Directory), "./").unwrap();
    let xattrs = [(b"SCHILY.xattr.user.a".to_vec(), NEWLINES)];
    writer.append_pax(xattrs).unwrap();
    let mut file = header(tar::EntryType::Regular);
    file.set_size(5);
    let long = "é".repeat(70);
    writer.append_bytes(&mut file, &long, b"hello").unwrap();
    let mut link = header(tar::EntryType::Symlink);
    writer.append_link(&mut link, "link", &format!("{}//x/.", "y".repeat(110))).unwrap();
    writer.append_link(&mut header(tar::EntryType::Symlink), "short", "a//b/.").unwrap();
    writer.append_link(&mut header(tar::EntryType::Link), "hard", &long).unwrap();
    writer.finish().unwrap()
}

#[test]
fn what_we_write_is_read() {
    let stream = stream();
    let entries = read_all(&stream).unwrap();
    let paths: Vec<_> = entries.iter().map(|(e, _)| String::from_utf8(e.path.clone()).unwrap()).collect();
    assert_eq!(paths, ["./", &"é".repeat(70), "link", "short", "hard"]);
    assert_eq!(entries[1].0.xattrs.get(b"user.a"), Some(NEWLINES));
    assert_eq!((entries[1].1.as_slice(), entries[1].0.uid), (&b"hello"[..], 3_000_000));
    assert_eq!(entries[2].0.link, format!("{}//x/.", "y".repeat(110)).as_bytes());
    assert_eq!(entries[3].0.link, b"a//b/.");
    assert_eq!(entries[4].0.link, "é".repeat(70).as_bytes());
    for program in ["tar", "bsdtar"] {
        if !need(program) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.tar");
        fs::write(&file, &stream).unwrap();
        let args =
            ["-x", "-f", file.to_str().unwrap(), "-C", dir.path().to_str().unwrap(), "--no-same-owner"];
        run(program, &args);
        assert_eq!(fs::read(dir.path().join("é".repeat(70))).unwrap(), b"hello");
        assert_eq!(fs::read(dir.path().join("hard")).unwrap(), b"hello");
        assert_eq!(fs::read_link(dir.path().join("short")).unwrap().to_str(), Some("a//b/."));
    }
}

#[test]
fn every_truncation_is_an_error() {
    let stream = stream();
    // All but one of the bytes at the end are needed: two zero blocks.
    for len in 0..stream.len() {
        let error = read_all(&stream[..len]).unwrap_err();
        assert!(matches!(error, Error::Format { kind: FormatErrorKind::Truncated, .. }), "{len}: {error}");
    }
    let padded = [&stream[..], &[0; 7000]].concat();
    assert_eq!(read_all(&padded).unwrap().len(), 5);
    // What follows the end is no part of the archive; a lone zero block is no end.
    assert_eq!(read_all(&[&padded[..], b"x"].concat()).unwrap().len(), 5);
    let end = stream.len() - 1024;
    let lone = [&stream[..end + 512], &stream].concat();
    assert!(matches!(read_all(&lone), Err(Error::Format { kind: FormatErrorKind::AfterEnd, .. })));
}

/// Where the end may be missing, so may the padding before it: nothing else.
#[test]
fn streams_without_an_end() {
    let stream = stream();
    let all = read_all(&stream).unwrap();
    for len in 0..stream.len() {
        match read_with(&stream[..len], EndMarker::Optional) {
            Ok(entries) => {
                assert!(all.starts_with(&entries), "{len}");
                // The next one begins where its first header block does.
                let next = all.get(entries.len()).map_or(stream.len() as u64, |(entry, _)| entry.offset);
                assert!(len as u64 <= next, "{len}");
            }
            Err(error) => assert!(
                matches!(error, Error::Format { kind: FormatErrorKind::Truncated, .. }),
                "{len}: {error}"
            ),
        }
    }
    // The content of the file lies in the last block before the link.
    let end = usize::try_from(all[2].0.offset).unwrap() - 512 + all[1].1.len();
    assert_eq!(read_with(&stream[..end], EndMarker::Optional).unwrap(), all[..2]);
    assert_eq!(read_with(&stream[..end + 1], EndMarker::Optional).unwrap(), all[..2]);
    assert!(read_with(&stream[..end - 1], EndMarker::Optional).is_err());
}

#[test]
fn flipped_bytes_are_refused_or_mean_nothing() {
    let stream = stream();
    let good = read_all(&stream).unwrap();
    for at in 0..stream.len() {
        let mut bad = stream.clone();
        bad[at] ^= 0x11;
        // Content and names in L, K and x data have no checksum of their own.
        if let Ok(entries) = read_all(&bad) {
            let headers = |all: &[(TarEntry, Vec<u8>)]| {
                all.iter().map(|(e, _)| (e.permissions, e.size, e.kind)).collect::<Vec<_>>()
            };
            assert_eq!(headers(&entries), headers(&good), "byte {at}");
        }
    }
}

/// As container tools and libarchive have them: they mean nothing to other entries.
#[test]
fn global_headers_are_skipped() {
    let records: [(&str, &[u8]); 8] = [
        ("path", b"evil"),
        ("linkpath", b"/etc/shadow"),
        ("size", b"0"),
        ("uid", b"1234"),
        ("mtime", b"1"),
        ("SCHILY.xattr.user.a", b"1"),
        ("GNU.sparse.size", b"9"),
        ("comment", b"5a4fd1"),
    ];
    let plain = [entry(b'0', "f", b"content"), link(b'2', "l", "target")];
    let with = [&[pax(b'g', &records)], &plain[..1], &[pax(b'g', &records)], &plain[1..]].concat();
    let contents = |stream: &[u8]| {
        let entries = read_all(stream).unwrap().into_iter();
        entries.map(|(entry, content)| (TarEntry { offset: 0, ..entry }, content)).collect::<Vec<_>>()
    };
    assert_eq!(contents(&archive(&with)), contents(&archive(&plain)));
    // Not even their form is looked at, and nothing has to follow, as in `git archive` of an empty tree.
    assert!(read_all(&archive(&[entry(b'g', "pax_global_header", b"x")])).unwrap().is_empty());
    let dangling = read_all(&archive(&[pax(b'x', &[("path", b"p")])])).unwrap_err();
    assert!(matches!(dangling, Error::Format { kind: FormatErrorKind::Dangling, .. }), "{dangling}");
}

#[test]
fn types_beside_those_of_posix() {
    let kinds = |kind: u8, content: &[u8]| {
        let entries = read_all(&archive(&[entry(kind, "a", content), entry(b'0', "b", b"b")]))?;
        assert_eq!((entries.len(), &*entries[1].1), (2, &b"b"[..]), "{kind}");
        Ok::<_, Error>((entries[0].0.kind, entries[0].1.clone()))
    };
    for unknown in *b"7ZNEIAz9" {
        assert_eq!(kinds(unknown, b"abc").unwrap(), (EntryKind::Regular, b"abc".to_vec()));
    }
    // As every program has it, a size of what is no file means nothing.
    for kind in *b"12345" {
        let (entry, _) =
            &read_all(&archive(&[header(kind, "a", "b", 3), entry(b'0', "b", b"b")])).unwrap()[0];
        assert_eq!(entry.size, 0);
    }
    // GNU tar's: a directory with the names in it, a name of the archive, the rest of a file.
    assert_eq!(kinds(b'D', b"Yx\0\0").unwrap(), (EntryKind::Dir, Vec::new()));
    assert_eq!(kinds(b'V', b"").unwrap(), (EntryKind::VolumeLabel, Vec::new()));
    assert!(matches!(kinds(b'M', b"abc"), Err(Error::Format { kind: FormatErrorKind::Unsupported(_), .. })));
}

/// Old programs summed a header's bytes as signed ones, and others read that, too; another sum is damage to all.
#[test]
fn the_sum_of_signed_bytes_is_read_as_by_the_peers() {
    let path = "usr/w\u{f6}rld";
    let summed = |less: u32| {
        let mut header = header(b'0', path, "", 0);
        let field = std::str::from_utf8(&header[148..156]).unwrap();
        let sum = u32::from_str_radix(field.trim_matches(['\0', ' ']), 8).unwrap() - less;
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive(&[header])
    };
    let by_peer = |peer: &str, stream: &[u8]| {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("t.tar"), stream).unwrap();
        let mut command = std::process::Command::new(peer);
        let out = command.args(["-xf", "t.tar"]).current_dir(dir.path()).output().unwrap();
        out.status.success() && dir.path().join(path).exists()
    };
    // Two bytes of the path are negative where bytes are signed.
    for (less, good) in [(0, true), (512, true), (256, false)] {
        let stream = summed(less);
        let read = read_all(&stream);
        assert_eq!(read.is_ok_and(|entries| entries[0].0.path == path.as_bytes()), good, "{less} less");
        for peer in ["tar", "bsdtar"] {
            assert!(!need(peer) || by_peer(peer, &stream) == good, "{peer}, {less} less");
        }
    }
}
