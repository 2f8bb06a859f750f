//! The bodies of the fuzz targets, one for each parser: what is read has to be written as the same bytes.
//!
//! They take any bytes, and panic where that does not hold.

use crate::keyfile::KeyFile;
use crate::variant::{Annotate, Dict, Type, Value};
use crate::{
    Commit, DirMeta, DirTree, ObjectSize, RemoteConfig, RepoConfig, Summary, Xattrs, commitmeta, parse_sizes,
};

/// A commit.
pub fn commit(data: &[u8]) {
    if let Ok(commit) = Commit::parse(data) {
        assert_eq!(commit.to_bytes(), data);
        let _ = parse_sizes(&commit.metadata);
    }
}

/// A dirtree.
pub fn dirtree(data: &[u8]) {
    if let Ok(tree) = DirTree::parse(data) {
        assert_eq!(tree.to_bytes(), data);
    }
}

/// A dirmeta.
pub fn dirmeta(data: &[u8]) {
    if let Ok(meta) = DirMeta::parse(data) {
        assert_eq!(meta.to_bytes(), data);
    }
}

/// A list of xattrs.
pub fn xattrs(data: &[u8]) {
    if let Ok(xattrs) = Xattrs::parse(data) {
        assert_eq!(xattrs.to_bytes(), data);
    }
    let _ = Xattrs::parse_unsorted(data);
}

/// A type string up to the first NUL, and the serialization of a value of that type behind it.
pub fn variant(data: &[u8]) {
    let at = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (ty, value) = data.split_at(at);
    let Some(ty) = str::from_utf8(ty).ok().and_then(|ty| Type::parse(ty).ok()) else { return };
    let bytes = value.get(1..).unwrap_or_default();
    let Ok(value) = Value::from_bytes(&ty, bytes) else { return };
    assert_eq!(value.to_bytes(), bytes);
    // A NaN is one text for many bytes.
    let text = value.print(Annotate::Types);
    if !text.contains("nan") {
        assert_eq!(Value::parse_as(&ty, &text).map(|v| v.to_bytes()).as_deref(), Ok(bytes));
    }
    let _ = value.byteswap();
}

/// A dictionary, such as detached metadata and signatures are.
pub fn dict(data: &[u8]) {
    if let Ok(dict) = Dict::parse(data) {
        assert_eq!(dict.to_bytes(), data);
        let ordered = dict.hash_ordered();
        assert!(ordered.len() <= dict.len());
        let _ = commitmeta::parse_tombstone(data);
    }
}

/// A value as text.
pub fn variant_text(data: &[u8]) {
    let Some(value) = str::from_utf8(data).ok().and_then(|text| Value::parse(text).ok()) else { return };
    let again = Value::parse_as(&value.ty(), &value.print(Annotate::Types));
    assert_eq!(again.map(|v| v.print(Annotate::Types)), Ok(value.print(Annotate::Types)));
    assert_eq!(Value::from_bytes(&value.ty(), &value.to_bytes()).map(|v| v.to_bytes()), Ok(value.to_bytes()));
}

/// A summary.
pub fn summary(data: &[u8]) {
    if let Ok(summary) = Summary::parse(data) {
        assert_eq!(summary.to_bytes(), data);
        let _ = (summary.static_deltas(), summary.collections(), summary.mode(), summary.collection_id());
    }
}

/// An entry of `ostree.sizes`.
pub fn sizes(data: &[u8]) {
    if let Ok(size) = ObjectSize::parse(data) {
        assert_eq!(ObjectSize::parse(&size.to_bytes()), Ok(size));
    }
}

/// A key file, and the config in it: once written, it stays as it is.
pub fn keyfile(data: &[u8]) {
    let Ok(file) = KeyFile::parse(data) else { return };
    let text = file.to_string();
    let again = KeyFile::parse(text.as_bytes());
    // As GLib does, each reading drops one carriage return at the end of a line.
    if !text.contains('\r') {
        assert_eq!(again.as_ref().map(KeyFile::to_string), Ok(text));
    }
    for name in RemoteConfig::names(&file) {
        let _ = RemoteConfig::get(&file, &name);
    }
    let _ = RepoConfig::from_keyfile(file);
}
