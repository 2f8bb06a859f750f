//! What the fuzz targets once broke on, tried again; and where they start from.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use ostree_rs::delta::{SuperblockFile, read_head};
use ostree_rs::format::FRAMING_BYTES;
use ostree_rs::{container, format, sign, tar};

use crate::corpus::{self, loose_objects};

fn targets() -> BTreeMap<&'static str, fn(&[u8])> {
    let lists: [&[format::fuzz::FuzzTarget]; 4] =
        [&format::fuzz::TARGETS, &tar::fuzz::TARGETS, &container::fuzz::TARGETS, &sign::gpg::fuzz::TARGETS];
    let all: BTreeMap<_, _> = lists.concat().into_iter().collect();
    assert_eq!(all.len(), lists.iter().map(|list| list.len()).sum::<usize>(), "two of one name");
    all
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    paths.sort();
    paths
}

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

#[test]
fn every_body_has_its_target() {
    let targets = targets();
    let names = targets.keys().map(|name| format!("{name}.rs"));
    let files = entries(&fuzz_dir().join("fuzz_targets"));
    let files = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    assert!(names.eq(files));
    let manifest = fs::read_to_string(fuzz_dir().join("Cargo.toml")).unwrap();
    assert!(targets.keys().all(|name| manifest.contains(&format!("\"{name}\""))));
}

#[test]
fn what_broke_once() {
    let targets = targets();
    for dir in entries(&corpus::path("fuzz")) {
        let name = dir.file_name().unwrap().to_str().unwrap();
        for file in entries(&dir) {
            eprintln!("{}", file.display());
            targets[name](&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn what_other_programs_wrote() {
    let targets = targets();
    let seeds = seeds();
    assert!(targets.keys().all(|name| seeds.iter().any(|(seed, _)| seed == name)));
    seeds.iter().for_each(|(name, bytes)| targets[name](bytes));
}

#[test]
fn damaged_copies_of_it() {
    damage(20);
}

/// A minute of what can be found without a fuzzer.
#[test]
#[ignore = "takes minutes"]
fn damaged_copies_of_it_for_long() {
    damage(2000);
}

/// Gives every target changed copies of its seeds. Where one panics, the message tells where its input is.
fn damage(rounds: usize) {
    let targets = targets();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, seed) in seeds() {
        for _ in 0..rounds {
            let data = random.change(&seed);
            if std::panic::catch_unwind(|| targets[name](&data)).is_err() {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broke-{name}"));
                fs::write(&path, &data).unwrap();
                panic!("{name} breaks on {}", path.display());
            }
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    /// A copy with up to four bytes, or runs of bytes, changed, moved, left out or cut off.
    fn change(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut data = seed.to_vec();
        for _ in 0..1 + self.below(4) {
            let at = self.below(data.len());
            let end = at + self.below(16.min(data.len() - at));
            match self.below(6) {
                0 => data.truncate(at),
                1 => drop(data.drain(at..end)),
                2 => {
                    let run = data[at..end].to_vec();
                    let to = self.below(data.len());
                    data.splice(to..to, run);
                }
                3 => data.insert(at, self.below(256) as u8),
                4 if !data.is_empty() => data[at] ^= 1 << self.below(8),
                _ if !data.is_empty() => data[at] = [0, 1, 0x7f, 0x80, 0xff, b'/'][self.below(6)],
                _ => {}
            }
        }
        data
    }
}

#[test]
#[ignore = "fills the directory that the fuzzer starts from"]
fn write_seeds() {
    for (name, bytes) in seeds() {
        let dir = fuzz_dir().join("corpus").join(name);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(&format::Checksum::of(&bytes).to_string()[..16]), bytes).unwrap();
    }
}

/// Targets, and bytes that they should read.
fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = of_repositories();
    seeds.extend(of_images());
    for stream in crate::tar::fuzz::seeds() {
        seeds.extend(
            ["tar_reader", "tar_zip", "tar_import", "tar_tree", "tar_layer"]
                .map(|name| (name, stream.clone())),
        );
        for (kind, layer) in
            [(0, stream.clone()), (1, gzip(&stream)), (2, zstd::encode_all(&*stream, 1).unwrap())]
        {
            seeds.push(("layer", [&[kind], &layer[..]].concat()));
        }
    }
    let delta = fs::read(corpus::path("tar-diff/v1.tardiff")).unwrap();
    seeds.push(("image_delta", [&[0], &zstd::decode_all(&delta[8..]).unwrap()[..]].concat()));
    let patch = zstd::encode_all(&b"x"[..], 1).unwrap();
    let records: [&[u8]; 5] =
        [&[1, 1, 1, b'a', 2, 9, 4, 3, 3, 2, 1, 255, 5], &[patch.len() as u8], &patch, &[0, 1], b"y"];
    seeds.push(("image_delta", records.concat()));
    seeds.push(("tar_layer", crate::image_store::hard_layer()));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("format/tests/data");
    for name in ["summary", "collections.summary"] {
        seeds.push(("summary", fs::read(data.join(name)).unwrap()));
    }
    let delta = fs::read(data.join("inline.superblock")).unwrap();
    let head = read_head(SuperblockFile::held(delta.clone()), None).unwrap();
    let (mut part, mut unpacked) = (Vec::new(), Vec::new());
    head.inline_part(0).unwrap().read_to_end(&mut part).unwrap();
    ostree_rs::base::compressed::xz(Box::new(&part[1..])).unwrap().read_to_end(&mut unpacked).unwrap();
    seeds.push(("superblock", delta));
    seeds.push(("delta_part", unpacked));
    let sizes = format::Commit::parse(&fs::read(data.join("sizes.commit")).unwrap()).unwrap();
    seeds.extend(
        format::parse_sizes(&sizes.metadata).unwrap().unwrap().iter().map(|size| ("sizes", size.to_bytes())),
    );
    for (name, text) in [
        ("variant", &b"a{sv}\0k\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0t\x02\x13"[..]),
        ("variant", b"(ayasmi(yd)v)\0"),
        (
            "variant_text",
            b"{'version': <'1.0'>, 'n': <[just uint64 7, nothing]>, 'b': <(b'x', 1.5, @as [])>}",
        ),
    ] {
        seeds.push((name, text.to_vec()));
    }
    // As avahi sends what tests/it/cli/lan.rs has it tell.
    let entries: [&[u8]; 4] = [
        b"\x03v=\x01",
        b"\x0drb=\x05\x01\x02\x10\0\x81\0\0\x40\x08",
        b"\x0bst=\0\0\0\0\x65\x92\0\x80",
        b"\x05ri=\0\x02",
    ];
    seeds.push(("advert", entries.concat()));
    for name in ["repos/signer.asc", "repos/other.asc"] {
        seeds.push(("gpg_keys", fs::read(corpus::path(name)).unwrap()));
    }
    for text in ["main", "origin:os/x86_64/stable", "main^^", "3f2a", &format!("{}.dirtree", "0".repeat(64))]
    {
        seeds.push(("names", text.as_bytes().to_vec()));
    }
    let checksum = "0".repeat(64);
    for text in [
        // Of Debian 12, Alpine 3.20 and Arch Linux, shortened.
        "Package: libc-bin\nStatus: install ok installed\nSource: glibc (2.36-9)\nVersion: 2.36-9+deb12u10\n\n",
        "/usr/share/man/man1/sh.1.gz\n/usr/share/man/man1/sh.distrib.1.gz\ndash\n/bin/sh\n/bin/sh.distrib\ndash\n",
        "/.\n/bin\n/bin/dash\n/usr\n/usr/share\n/usr/share/doc\n/usr/share/doc/dash\n",
        "C:Q1zE2hU3AqYzY=\nP:musl-utils\no:musl\nF:usr/bin\nR:ldd\na:0:0:755\nZ:Q1\n\nP:scanelf\nF:usr\n\n",
        "%FILES%\nusr/\nusr/bin/\nusr/bin/bash\n\n%BACKUP%\netc/bash.bashrc\td41d8\n\n",
        &format!(
            r#"{{"version": 1, "layers": {{"a": "A"}}, "mapping": {{"{checksum}": "a"}}, "labels": {{}}}}"#
        ),
    ] {
        seeds.push(("packages", text.as_bytes().to_vec()));
    }
    let database = fs::read(corpus::path("rpm/rpmdb.sqlite.zst")).unwrap();
    seeds.push(("packages", zstd::decode_all(&*database).unwrap()));
    for text in
        ["ostree-remote-image:os:docker://q.io/a/b:1", "ostree-unverified-image:oci:d:t", "oci-archive:f"]
    {
        seeds.push(("image_reference", text.as_bytes().to_vec()));
    }
    seeds
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).unwrap();
    out
}

/// Objects, configuration, and what is in signatures.
fn of_repositories() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    let temp = corpus::unpack("repos/archive.tar.zst");
    let repo = entries(temp.path()).into_iter().find(|path| path.join("objects").exists());
    let repo = repo.unwrap_or_else(|| temp.path().to_owned());
    seeds.push(("keyfile", fs::read(repo.join("config")).unwrap()));
    for (_, file, bytes) in loose_objects(&repo) {
        match file.rsplit_once('.').unwrap().1 {
            "commit" => seeds.push(("commit", bytes)),
            "dirtree" => seeds.push(("dirtree", bytes)),
            "dirmeta" => seeds.push(("dirmeta", bytes)),
            "commitmeta" | "tombstone-commit" => {
                let meta = format::variant::Dict::parse(&bytes).unwrap();
                let signatures = meta.get("ostree.gpgsigs").map(|value| value.to_bytes());
                seeds.extend(signatures.map(|bytes| ("gpg_signature", bytes)));
                seeds.push(("dict", bytes));
            }
            "filez" => {
                let (framing, rest) = bytes.split_first_chunk::<FRAMING_BYTES>().unwrap();
                let header = &rest[..format::parse_framing(*framing).unwrap()];
                let parsed = format::ArchiveHeader::parse(header).unwrap();
                seeds.push(("archive_header", header.to_vec()));
                seeds.push(("file_header", parsed.file.to_bytes()));
                seeds.push(("xattrs", parsed.file.xattrs.to_bytes()));
            }
            other => panic!("{other}"),
        }
    }
    seeds
}

/// The documents of ostree-ext's images.
fn of_images() -> Vec<(&'static str, Vec<u8>)> {
    let temp = corpus::unpack("ostree-ext/oci.tar.zst");
    let mut folders = vec![temp.path().to_owned()];
    let mut seeds = Vec::new();
    let (mut manifests, mut configs) = (Vec::new(), Vec::new());
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            match path.file_name().unwrap().to_str().unwrap() {
                "index.json" | "oci-layout" => seeds.push(("image_index", bytes)),
                _ if bytes.starts_with(b"{") && bytes.windows(8).any(|w| w == b"\"rootfs\"") => {
                    configs.push(bytes)
                }
                _ if bytes.starts_with(b"{") => manifests.push(bytes),
                _ if bytes.starts_with(b"\x1f\x8b") => seeds.push(("tar_objects", gunzip(&bytes))),
                _ => {}
            }
        }
    }
    let pairs = manifests.iter().flat_map(|m| configs.iter().map(move |c| [m, &b"\0"[..], c].concat()));
    seeds.extend(pairs.map(|bytes| ("image", bytes)));
    seeds
}
