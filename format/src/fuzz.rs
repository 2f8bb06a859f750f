//! The bodies of the fuzz targets, one for each parser: what is read has to be written as the same bytes.
//!
//! They take any bytes, and panic where that does not hold. [`TARGETS`] lists them.

use std::ops::Range;

use crate::delta::{
    DeltaMode, DeltaOps, InlinePart, PartLayout, SignedSuperblock, Superblock, frame_part, part_xattrs,
    split_part,
};
use crate::keyfile::KeyFile;
use crate::variant::{Annotate, Dict, Type, Value};
use crate::{
    ArchiveHeader, Checksum, Commit, DirMeta, DirTree, FRAMING_BYTES, FileHeader, FileKind, ObjectName,
    ObjectSize, ObjectType, ParseError, RefSpec, RemoteConfig, RepoAdvert, RepoConfig, Rev, Summary, Xattrs,
    commitmeta, parse_framing, parse_sizes,
};

/// A body and its name.
pub type FuzzTarget = (&'static str, fn(&[u8]));

/// The fuzz targets of this crate, by name.
pub const TARGETS: [FuzzTarget; 16] = [
    ("advert", advert),
    ("commit", commit),
    ("dirtree", dirtree),
    ("dirmeta", dirmeta),
    ("file_header", file_header),
    ("archive_header", archive_header),
    ("xattrs", xattrs),
    ("variant", variant),
    ("dict", dict),
    ("variant_text", variant_text),
    ("summary", summary),
    ("superblock", superblock),
    ("delta_part", delta_part),
    ("sizes", sizes),
    ("keyfile", keyfile),
    ("names", names),
];

/// The TXT record of an advert: entries, each with its length in front.
pub fn advert(data: &[u8]) {
    let (mut entries, mut rest) = (Vec::new(), data);
    while let Some((len, behind)) = rest.split_first() {
        let (entry, next) = behind.split_at(behind.len().min(usize::from(*len)));
        rest = next;
        let at = entry.iter().position(|byte| *byte == b'=');
        let (name, value) = at.map_or((entry, None), |at| (&entry[..at], Some(&entry[at + 1..])));
        entries.extend(str::from_utf8(name).ok().map(|name| (name, value)));
    }
    if let Ok(advert) = RepoAdvert::from_txt(entries) {
        let back = advert.to_txt();
        let back = back.iter().map(|(name, value)| (*name, Some(&value[..])));
        assert_eq!(RepoAdvert::from_txt(back), Ok(advert.clone()));
        if let (Ok(id), Ok(name)) = ("org.example.Os".parse(), "main".parse()) {
            let mut refs = advert.refs;
            refs.insert(&id, &name);
            assert!(refs.may_have(&id, &name));
        }
    }
}

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

/// The header of a content object, and the same as a bare-user repository keeps it.
pub fn file_header(data: &[u8]) {
    if let Ok(header) = FileHeader::parse(data) {
        assert_eq!(header.to_bytes(), data);
        unframe(&header.to_framed(), data);
        let meta =
            FileHeader::from_ostreemeta(&header.to_ostreemeta(), || header.symlink_target().map(Into::into));
        assert_eq!(meta.as_ref(), Ok(&header));
    }
    if let Ok(header) = FileHeader::from_ostreemeta(data, || Some("target".into())) {
        assert_eq!(header.to_ostreemeta().len(), data.len());
        assert_eq!(FileHeader::parse(&header.to_bytes()), Ok(header));
    }
}

/// The header of a content object in an archive. Its xattrs may be in any order.
pub fn archive_header(data: &[u8]) {
    if let Ok(header) = ArchiveHeader::parse(data) {
        let framed = header.to_framed();
        assert_eq!(framed.len(), FRAMING_BYTES + data.len());
        assert_eq!(ArchiveHeader::parse(&framed[FRAMING_BYTES..]).as_ref(), Ok(&header));
        assert!(header.size == 0 || header.file.kind == FileKind::Regular);
    }
    if let Some((framing, _)) = data.split_first_chunk() {
        let _ = parse_framing(*framing);
    }
}

fn unframe(framed: &[u8], expected: &[u8]) {
    let (framing, header) = framed.split_first_chunk().unwrap_or((&[0; FRAMING_BYTES], &[]));
    assert_eq!(parse_framing(*framing), Ok(header.len()));
    assert_eq!(header, expected);
}

/// A static delta's superblock, with signatures or without.
pub fn superblock(data: &[u8]) {
    let piece = |range: &Range<u64>| data.get(range.start as usize..range.end as usize);
    let read = |range| piece(&range).map(<[u8]>::to_vec).ok_or(ParseError::invalid("piece", 0, "not there"));
    let len = data.len() as u64;
    if let Ok(Some(signed)) = SignedSuperblock::read(len, read) {
        let inner = piece(&signed.bytes).unwrap_or_default();
        assert_eq!(SignedSuperblock::wrap(inner, &signed.signatures), data);
        superblock(inner);
    }
    if let Ok(block) = Superblock::read(len, read) {
        let part = |part: &InlinePart| piece(&part.bytes).unwrap_or_default().to_vec();
        assert_eq!(block.to_bytes(part).as_deref(), Ok(data));
    }
}

/// A static delta's part, decompressed, that makes a dirtree and a file.
pub fn delta_part(data: &[u8]) {
    let _ = split_part(data);
    let tail = &data[data.len().saturating_sub(PartLayout::TAIL_BYTES)..];
    let Ok(layout) = PartLayout::read(data.len() as u64, tail) else { return };
    let member = |range: &std::ops::Range<u64>| &data[range.start as usize..range.end as usize];
    let object = |kind| ObjectName::new(Checksum::new([0; 32]), kind);
    let objects = [object(ObjectType::DirTree), object(ObjectType::File)];
    let ops = member(&layout.ops);
    assert!(DeltaOps::new(ops, &objects).count() <= ops.len());
    let (modes, xattrs) = (DeltaMode::list(member(&layout.modes)), part_xattrs(member(&layout.xattrs)));
    if let (Ok(modes), Ok(xattrs)) = (modes, xattrs) {
        let payload = member(&layout.payload);
        let (head, tail) = frame_part(&modes, &xattrs, payload.len(), ops);
        // Xattrs may have come in any order.
        assert_eq!([&head, payload, &tail].concat().len(), data.len());
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

/// The name of a ref, a revision or an object: as text, it is what was read.
pub fn names(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(name) = text.parse::<RefSpec>() {
        assert_eq!(name.to_string(), text);
        assert!(text.parse::<Rev>().is_ok());
    }
    if let Ok(rev) = text.parse::<Rev>() {
        assert_eq!(rev.to_string(), text);
    }
    if let Ok(name) = text.parse::<ObjectName>() {
        assert_eq!(name.to_string(), text);
    }
}
