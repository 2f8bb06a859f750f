//! Tar streams against GNU tar, bsdtar, C ostree and what ostree-ext wrote.

use std::fs;
use std::io::Read as _;

use ostree_rs::format::variant::Dict;
use ostree_rs::format::{
    Commit, CommitId, DirMeta, FileHeader, FileId, FileKind, FileName, MetaKind, ObjectName, ObjectType,
    RepoMode, Xattrs,
};
use ostree_rs::store::{MemStore, MutableTree, ObjectWrite as _, Txn as _};
use ostree_rs::tar::{EntryKind, Reader};

use crate::corpus;

mod bounds;
pub(crate) mod build;
mod export;
pub(crate) mod fuzz;
mod import;
mod odd;
mod raw;
mod sparse;
mod tree;
mod zip;

/// The commit that `corpus/ostree-ext` holds.
const STABLE: &str = "6c8440ebf4876fa48d1aac58f8cb8cd5e50a0f36c4f310dd01a8528d73e8fa4c";

pub(crate) fn stable() -> CommitId {
    CommitId::new(STABLE.parse().unwrap())
}

/// Decompresses a file of `corpus/`.
fn unzstd(name: &str) -> Vec<u8> {
    zstd::decode_all(&*fs::read(corpus::path(name)).unwrap()).unwrap()
}

/// The bare repository of `corpus/`, read from its archive: needs no privileges.
pub(crate) fn bare_store() -> MemStore {
    let stream = unzstd("repos/bare.tar.zst");
    let mut reader = Reader::new(&*stream);
    let store = MemStore::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let names: Vec<String> = entry.names().unwrap().iter().map(|n| (*n).into()).collect();
        let [.., objects, dir, file] = &names[..] else { continue };
        if objects != "objects" || entry.kind == EntryKind::Dir {
            continue;
        }
        let name = ObjectName::from_loose_path(dir, file, RepoMode::Bare).unwrap();
        let mut bytes = Vec::new();
        reader.content().read_to_end(&mut bytes).unwrap();
        let kind = match name.kind {
            ObjectType::Commit => MetaKind::Commit,
            ObjectType::DirTree => MetaKind::DirTree,
            ObjectType::DirMeta => MetaKind::DirMeta,
            ObjectType::CommitMeta => {
                store.set_detached(&CommitId::new(name.checksum), &Dict::parse(&bytes).unwrap()).unwrap();
                continue;
            }
            ObjectType::File => {
                let kind = match entry.kind {
                    EntryKind::Symlink => FileKind::Symlink(String::from_utf8(entry.link).unwrap().into()),
                    _ => FileKind::Regular,
                };
                let header = FileHeader {
                    uid: entry.uid,
                    gid: entry.gid,
                    permissions: entry.permissions,
                    kind,
                    xattrs: entry.xattrs,
                };
                let id = store.write_file(&header, bytes.len() as u64, &mut &*bytes).unwrap();
                assert_eq!(*id.checksum(), name.checksum);
                continue;
            }
            _ => continue,
        };
        assert_eq!(store.write_meta(kind, &bytes).unwrap(), name.checksum);
    }
    store
}

/// The files of an OCI layout in `corpus/`, by name.
fn oci_blobs() -> std::collections::BTreeMap<String, Vec<u8>> {
    let stream = unzstd("ostree-ext/oci.tar.zst");
    let mut reader = Reader::new(&*stream);
    let mut out = std::collections::BTreeMap::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let name = entry.names().unwrap().last().copied().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        reader.content().read_to_end(&mut bytes).unwrap();
        out.insert(name, bytes);
    }
    out
}

/// The layers of an image in `corpus/`, uncompressed, in order.
fn oci_layers(tag: &str) -> Vec<Vec<u8>> {
    let blobs = oci_blobs();
    let json = |name: &str| -> serde_json::Value { serde_json::from_slice(&blobs[name]).unwrap() };
    let blob = |descriptor: &serde_json::Value| {
        descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned()
    };
    let index = json("index.json");
    let image = index["manifests"].as_array().unwrap().iter();
    let image = image.clone().find(|m| m["annotations"]["org.opencontainers.image.ref.name"] == tag).unwrap();
    let manifest = json(&blob(image));
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| {
            let mut bytes = Vec::new();
            flate2::read::MultiGzDecoder::new(&*blobs[&blob(layer)]).read_to_end(&mut bytes).unwrap();
            bytes
        })
        .collect()
}

fn write_file(store: &MemStore, content: &[u8]) -> FileId {
    let header = FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY);
    store.write_file(&header, content.len() as u64, &mut { content }).unwrap()
}

/// Commits a tree made of `paths`: directories end with a slash, links are `path -> target`.
pub(crate) fn commit_of(store: &MemStore, paths: &[&str]) -> CommitId {
    let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY);
    let meta = store.write_dirmeta(&meta).unwrap();
    let mut root = MutableTree::new();
    root.set_meta(meta);
    for path in paths {
        let (path, target) = path.split_once(" -> ").map_or((*path, None), |(p, t)| (p, Some(t)));
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = &mut root;
        for name in dirs.split('/').filter(|n| !n.is_empty()) {
            dir = dir.ensure_dir(store, FileName::new(name).unwrap()).unwrap();
            dir.set_meta(meta);
        }
        let id = match target {
            _ if name.is_empty() => continue,
            Some(target) => {
                let header = FileHeader::symlink(0, 0, target, Xattrs::EMPTY);
                store.write_file(&header, 0, &mut std::io::empty()).unwrap()
            }
            None => write_file(store, path.as_bytes()),
        };
        dir.set_file(store, FileName::new(name).unwrap(), id).unwrap();
    }
    let root = root.write(store).unwrap();
    let commit = Commit {
        metadata: Dict::default(),
        parent: None,
        related: Vec::new(),
        subject: String::new(),
        body: String::new(),
        timestamp: 0,
        root,
    };
    store.write_commit(&commit).unwrap()
}
