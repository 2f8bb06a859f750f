//! zstd:chunked: the table leads to every file, and whoever does not know of it reads zstd.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::container::blob::{WrittenLayer, read_layer, write_layer};
use ostree_rs::container::image::{Compression, Digest, Error};
use ostree_rs::container::place::OciLayout;
use serde_json::Value;
use tar::EntryType;

use super::{blob_bytes, new_layout, noise, put_layer};
use crate::oracle;

const PREFIX: &str = "io.github.containers.zstd-chunked";
const LONG: &str = "usr/share/a-name-that-is-longer-than-the-hundred-bytes-that-there-is-room-for-in-the-header-of-an-entry/x";

fn jobs(n: usize) -> Ctx {
    Ctx { jobs: NonZeroUsize::new(n).unwrap(), ..Ctx::default() }
}

/// Bytes in which no two megabytes are alike.
fn big() -> Vec<u8> {
    noise(3_500_000, 11)
}

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("usr/empty", Vec::new()),
        ("usr/hello", b"hello\n".to_vec()),
        (LONG, noise(1000, 3)),
        ("usr/zeros", vec![0; 2_000_000]),
        ("usr/big", big()),
        ("usr/blocks", noise(1024 * 1024, 5)),
    ]
}

fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, size| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_mtime(7);
        header.set_uid(3);
        header.set_gid(0);
        header.set_size(size);
        header
    };
    tar.append_data(&mut header(EntryType::Directory, 0), "usr/", &b""[..]).unwrap();
    for (name, content) in files {
        let xattrs = [("SCHILY.xattr.user.a", &b"\0\n\xff"[..])];
        tar.append_pax_extensions(xattrs).unwrap();
        tar.append_data(&mut header(EntryType::Regular, content.len() as u64), name, &content[..]).unwrap();
    }
    tar.append_link(&mut header(EntryType::Symlink, 0), "usr/link", "hello").unwrap();
    tar.append_link(&mut header(EntryType::Link, 0), "usr/hard", LONG).unwrap();
    tar.into_inner().unwrap()
}

fn decompress(frames: &[u8]) -> Vec<u8> {
    zstd::decode_all(frames).unwrap()
}

/// A layer, its blob, and the table in it.
fn put(layout: &OciLayout, data: &[u8], ctx: &Ctx) -> (WrittenLayer, Vec<u8>, Value) {
    let layer = put_layer(layout, Compression::ZSTD_CHUNKED, data, ctx);
    let blob = blob_bytes(layout, &layer, Compression::ZSTD_CHUNKED.media_type());
    let position = &layer.annotations[&format!("{PREFIX}.manifest-position")];
    let numbers: Vec<usize> = position.split(':').map(|n| n.parse().unwrap()).collect();
    let [start, length, plain, 1] = numbers[..] else { panic!("{position}") };
    let table = &blob[start..start + length];
    assert_eq!(layer.annotations[&format!("{PREFIX}.manifest-checksum")], Digest::of(table).to_string());
    // The footer says the same.
    let footer = &blob[blob.len() - 64..];
    let numbers: Vec<_> = footer.chunks(8).map(|n| u64::from_le_bytes(n.try_into().unwrap())).collect();
    let (start, length) = (start as u64, length as u64);
    assert_eq!(numbers[..7], [start, length, plain as u64, 1, 0, 0, 0]);
    assert_eq!(&footer[56..], b"GNUlInUx");
    let json = decompress(table);
    assert_eq!(json.len(), plain);
    (layer, blob, serde_json::from_slice(&json).unwrap())
}

/// The content of every file, each piece of it fetched alone; and the digests of the pieces.
fn fetch(blob: &[u8], table: &Value) -> BTreeMap<String, (Vec<u8>, Vec<String>)> {
    let mut out: BTreeMap<String, (Vec<u8>, Vec<String>)> = BTreeMap::new();
    let entries = table["entries"].as_array().unwrap();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap_or(0)).unwrap();
    for (at, entry) in entries.iter().enumerate() {
        let (kind, name) = (entry["type"].as_str().unwrap(), entry["name"].as_str().unwrap());
        if !matches!(kind, "reg" | "chunk") {
            continue;
        }
        if kind == "reg" && entry.get("size").is_none() {
            out.insert(name.to_owned(), Default::default());
            continue;
        }
        // A piece ends where the next one of the file begins, the last where the file does.
        let next = entries.get(at + 1).filter(|next| next["type"] == "chunk");
        let first = entries[..=at].iter().rfind(|e| e["type"] == "reg").unwrap();
        let end = next.map_or_else(|| number(&first["endOffset"]), |next| number(&next["offset"]));
        let (content, pieces) = out.entry(name.to_owned()).or_default();
        assert_eq!(content.len(), number(&entry["chunkOffset"]));
        let piece = decompress(&blob[number(&entry["offset"])..end]);
        if let Some(digest) = entry["chunkDigest"].as_str() {
            assert_eq!(Digest::of(&piece).to_string(), digest);
            assert_eq!(number(&entry["chunkSize"]), piece.len());
            pieces.push(digest.to_owned());
        }
        content.extend(piece);
    }
    for entry in entries.iter().filter(|entry| entry["type"] == "reg" && number(&entry["size"]) > 0) {
        let (content, _) = &out[entry["name"].as_str().unwrap()];
        assert_eq!(number(&entry["size"]), content.len());
        assert_eq!(entry["digest"], Digest::of(content).to_string());
    }
    out
}

#[test]
fn every_file_can_be_fetched_alone() {
    let temp = tempfile::tempdir().unwrap();
    let (layout, data) = (new_layout(temp.path(), None), archive(&files()));
    let (layer, blob, table) = put(&layout, &data, &jobs(2));
    for n in [1, 5] {
        assert!(put(&layout, &data, &jobs(n)) == (layer.clone(), blob.clone(), table.clone()), "{n} threads");
    }
    assert!(decompress(&blob) == data);
    let fetched = fetch(&blob, &table);
    for (name, content) in files() {
        assert!(fetched[name].0 == content, "{name}");
    }
    assert!(fetched["usr/big"].1.len() > 3);
    let entry = |name: &str| table["entries"].as_array().unwrap().iter().find(|e| e["name"] == name).unwrap();
    assert_eq!((&entry("usr/")["type"], &entry("usr/")["uid"]), (&"dir".into(), &3.into()));
    assert_eq!(
        (&entry("usr/link")["type"], &entry("usr/link")["linkName"]),
        (&"symlink".into(), &"hello".into())
    );
    assert_eq!(
        (&entry("usr/hard")["type"], &entry("usr/hard")["linkName"]),
        (&"hardlink".into(), &LONG.into())
    );
    assert_eq!(
        (&entry(LONG)["mode"], &entry(LONG)["modtime"]),
        (&0o755.into(), &"1970-01-01T00:00:07Z".into())
    );
    assert_eq!(entry(LONG)["xattrs"]["user.a"], STANDARD.encode(b"\0\n\xff"));
    assert_eq!(entry("usr/empty").get("digest"), None);

    // It is a layer like any other, for us and for others.
    let descriptor = layer.descriptor(Compression::ZSTD_CHUNKED).unwrap();
    assert_eq!(descriptor.annotations().as_ref().unwrap().len(), 2);
    let mut out = Vec::new();
    read_layer(&layout, &descriptor, &layer.diff_id, &jobs(2), |stream| {
        stream.read_to_end(&mut out).map_err(|e| Error::Usage(e.to_string()))?;
        Ok(())
    })
    .unwrap();
    assert!(out == data);
    if oracle::need("zstd") {
        let mut zstd =
            Command::new("zstd").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut out) = (zstd.stdin.take().unwrap(), Vec::new());
        let writer = std::thread::spawn(move || stdin.write_all(&blob).unwrap());
        zstd.stdout.take().unwrap().read_to_end(&mut out).unwrap();
        writer.join().unwrap();
        assert!(zstd.wait().unwrap().success() && out == data);
    }
}

#[test]
fn a_small_change_changes_few_pieces() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let mut changed = big();
    changed.splice(1_700_000..1_700_000, *b"inserted");
    let [before, after] = [big(), changed].map(|content| {
        let (_, blob, table) = put(&layout, &archive(&[("usr/big", content)]), &jobs(2));
        fetch(&blob, &table).remove("usr/big").unwrap().1
    });
    let new = after.iter().filter(|piece| !before.contains(piece)).count();
    assert!((1..=2).contains(&new), "{new} of {} pieces are new", after.len());
}

#[test]
fn what_cannot_stand_in_the_table_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path(), None);
    let write = |data: &[u8]| {
        write_layer(&layout, Compression::ZSTD_CHUNKED, &jobs(2), |out| {
            out.write_all(data).map_err(|e| Error::Usage(e.to_string()))
        })
    };
    assert!(matches!(write(&noise(100_000, 1)), Err(Error::Io { .. })));
    let good = archive(&files());
    assert!(matches!(write(&good[..good.len() / 2]), Err(Error::Io { .. })));
    let mut latin = archive(&[]);
    let header = &mut latin[..512];
    header[0] = 0xe4;
    let sum: u32 = header
        .iter()
        .enumerate()
        .map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) })
        .sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let error = write(&latin).unwrap_err();
    assert!(WithCauses(&error).to_string().contains("UTF-8"), "{error}");
    // Why the tar stream broke off is told, not that it did.
    let result = write_layer(&layout, Compression::ZSTD_CHUNKED, &jobs(2), |out| -> Result<(), Error> {
        out.write_all(&good[..1_000_000]).map_err(|e| Error::Usage(e.to_string()))?;
        Err(Error::Image("the store is damaged".into()))
    });
    assert!(matches!(result, Err(Error::Image(_))), "{result:?}");
}
