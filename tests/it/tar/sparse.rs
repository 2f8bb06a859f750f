//! Sparse files: what GNU tar writes is read with its holes, what nobody should write is refused.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use ostree_rs::tar::{EntryErrorKind, Error, FormatErrorKind};

use super::build::{archive, changed, entry, header, padded, pax};
use super::raw::read_all;
use crate::oracle::run;

const FORMS: [&[&str]; 4] = [
    &["--format=gnu"],
    &["--format=pax", "--sparse-version=0.0"],
    &["--format=pax", "--sparse-version=0.1"],
    &["--format=pax", "--sparse-version=1.0"],
];

/// Holes in front, between, behind, everywhere; more extents than a header holds; a name that needs a record.
fn make_files(dir: &Path) -> Vec<String> {
    let long = "l".repeat(130);
    let many: Vec<_> = (1..150).map(|n| n * 65536).collect();
    let files: [(&str, &[u64], u64); 6] = [
        ("front", &[1 << 20], (1 << 20) + 5),
        ("behind", &[0], 1 << 20),
        ("hole", &[], 300_000),
        ("many", &many, 150 * 65536 + 3),
        ("whole", &[0], 5),
        (&long, &[4096, 1 << 16], 1 << 17),
    ];
    for (name, extents, size) in files {
        let mut file = fs::File::create(dir.join(name)).unwrap();
        file.set_len(size).unwrap();
        for at in extents {
            file.seek(SeekFrom::Start(*at)).unwrap();
            file.write_all(b"data\n").unwrap();
        }
    }
    files.iter().map(|(name, ..)| (*name).to_owned()).collect()
}

#[test]
fn all_forms_that_gnu_tar_writes() {
    let dir = tempfile::tempdir().unwrap();
    let names = make_files(dir.path());
    for form in FORMS {
        let path = dir.path().to_str().unwrap();
        let stream = run("tar", &[&["-c", "-S", "--hole-detection=raw"], form, &["-C", path, "."]].concat());
        assert!(stream.len() < 500_000, "{form:?}: no holes");
        let entries = read_all(&stream).unwrap();
        assert_eq!(entries.len(), 1 + names.len());
        for (entry, content) in entries.iter().filter(|(entry, _)| entry.path != b"./") {
            let name = std::str::from_utf8(&entry.path).unwrap();
            assert!(*content == fs::read(dir.path().join(name)).unwrap(), "{form:?}: {name}");
            assert_eq!(entry.size, content.len() as u64);
        }
        // Those who skip the content find the next entry all the same.
        let mut reader = ostree_rs::tar::Reader::new(&*stream);
        let mut skipped = 0;
        while reader.next_entry().unwrap().is_some() {
            skipped += 1;
        }
        assert_eq!(skipped, entries.len());
    }
}

/// An old GNU header with these extents, the real size, and so many bytes of data.
fn gnu(extents: &[(&str, &str)], real_size: &str, data: u64) -> Vec<u8> {
    let block = changed(header(b'S', "s", "", data), |block| {
        for (n, (offset, bytes)) in extents.iter().enumerate() {
            block[386 + n * 24..][..offset.len()].copy_from_slice(offset.as_bytes());
            block[398 + n * 24..][..bytes.len()].copy_from_slice(bytes.as_bytes());
        }
        block[483..][..real_size.len()].copy_from_slice(real_size.as_bytes());
    });
    archive(&[block, padded(&vec![b'x'; data as usize])])
}

/// A file with these records and this data.
fn posix(records: &[(&str, &str)], data: &[u8]) -> Vec<u8> {
    let records: Vec<_> =
        records.iter().map(|(key, value)| (format!("GNU.sparse.{key}"), value.as_bytes())).collect();
    let records: Vec<_> = records.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    archive(&[pax(b'x', &records), entry(b'0', "s", data)])
}

#[test]
fn maps_that_nobody_should_write() {
    let one = |map: &str| posix(&[("map", map), ("size", "10")], b"1234");
    let in_data = |data: &str| {
        let records = [("major", "1"), ("minor", "0"), ("name", "s"), ("realsize", "10")];
        posix(&records, &[&padded(data.as_bytes()), &b"1234"[..]].concat())
    };
    assert_eq!(read_all(&one("1,2,6,2")).unwrap()[0].1, b"\x0012\0\0\x0034\0\0");
    assert_eq!(read_all(&in_data("2\n0\n2\n8\n2\n")).unwrap()[0].1, b"12\0\0\0\0\0\x0034");
    assert_eq!(read_all(&gnu(&[("1", "3"), ("12", "0")], "12", 3)).unwrap()[0].1, b"\0xxx\0\0\0\0\0\0");
    let largest = u64::MAX.to_string();
    for (what, stream) in [
        ("overlapping", one("0,3,2,1")),
        ("out of order", one("6,2,1,2")),
        ("beyond the end", one("0,2,9,2")),
        ("beyond all ends", one(&format!("0,4,{largest},4"))),
        ("more data", one("0,3")),
        ("less data", one("0,5")),
        ("half a pair", one("0,2,4")),
        ("no numbers", one("0,2,4,x")),
        ("no size", posix(&[("map", "0,4")], b"1234")),
        ("a length alone", posix(&[("size", "10"), ("numbytes", "4")], b"1234")),
        ("two offsets", posix(&[("size", "10"), ("offset", "4"), ("offset", "4")], b"1234")),
        ("unknown", posix(&[("major", "2"), ("minor", "0"), ("realsize", "10")], b"1234")),
        ("no end of the map", in_data("2\n0\n2\n8\n")),
        ("a huge count", in_data("18446744073709551615\n0\n2\n")),
        ("an empty number", in_data("2\n\n")),
        ("letters", in_data("2\nx\n")),
        ("too little data", in_data("1\n0\n3\n")),
        ("GNU, overlapping", gnu(&[("0", "2"), ("1", "1")], "12", 3)),
        ("GNU, beyond the end", gnu(&[("0", "2"), ("12", "1")], "12", 3)),
        ("GNU, no number", gnu(&[("0", "9")], "12", 3)),
    ] {
        match read_all(&stream) {
            Err(Error::Format { kind: FormatErrorKind::Sparse(_) | FormatErrorKind::Pax(_), .. }) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    // A block of the map is missing, and GNU's form and the other at once.
    let extended = changed(gnu(&[("0", "3")], "12", 3), |block| block[482] = 1);
    assert!(matches!(
        read_all(&extended[..512]),
        Err(Error::Format { kind: FormatErrorKind::Truncated, .. })
    ));
    let both =
        [pax(b'x', &[("GNU.sparse.size", b"12"), ("GNU.sparse.map", b"0,3")]), gnu(&[("0", "3")], "12", 3)];
    assert!(matches!(
        read_all(&both.concat()),
        Err(Error::Format { kind: FormatErrorKind::Ambiguous(_), .. })
    ));
}

/// A few bytes must not make hours of work: neither at once nor one after the other.
#[test]
fn too_large_holes_are_refused() {
    let terabyte = (1u64 << 40).to_string();
    let stream = posix(&[("map", "0,4"), ("size", &terabyte)], b"1234");
    let error = read_all(&stream).unwrap_err();
    assert!(matches!(error, Error::Entry { kind: EntryErrorKind::Holes(_), .. }), "{error}");
    let part = posix(&[("map", "0,4"), ("size", &(1u64 << 33).to_string())], b"1234");
    let parts = archive(&vec![part[..part.len() - 1024].to_vec(); 9]);
    let mut reader = ostree_rs::tar::Reader::new(&*parts);
    for _ in 0..8 {
        assert_eq!(reader.next_entry().unwrap().unwrap().size, 1 << 33);
    }
    assert!(matches!(reader.next_entry(), Err(Error::Entry { kind: EntryErrorKind::Holes(_), .. })));
}

/// Small archives of every form.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let in_data = [("major", "1"), ("minor", "0"), ("name", "s"), ("realsize", "10")];
    vec![
        gnu(&[("1", "3"), ("10", "0")], "10", 3),
        posix(&[("size", "10"), ("offset", "1"), ("numbytes", "4")], b"1234"),
        posix(&[("map", "1,2,6,2"), ("size", "10")], b"1234"),
        posix(&in_data, &[&padded(b"2\n0\n2\n8\n2\n"), &b"1234"[..]].concat()),
    ]
}
