//! A reader of tar-diff streams, written from the description of the format and nothing else.

use std::collections::BTreeMap;
use std::io::Read;

/// The content of files by their paths.
pub(crate) type Tree = BTreeMap<Vec<u8>, Vec<u8>>;

/// The new stream that a delta makes out of old files; what is wrong with it otherwise.
pub(crate) fn read(delta: &[u8], old: &Tree) -> Result<Vec<u8>, String> {
    let (magic, rest) = delta.split_at(8);
    let version = match magic {
        b"tardf1\n\0" => 1,
        b"tardf2\n\0" => 2,
        other => return Err(format!("{other:?}")),
    };
    let records = zstd::decode_all(rest).map_err(|e| e.to_string())?;
    let (mut input, mut out) = (&records[..], Vec::new());
    let mut source: Option<(&[u8], Option<usize>)> = None;
    while let Some((op, rest)) = input.split_first() {
        input = rest;
        let size = uvarint(&mut input)?;
        let (data, rest) = match op {
            2 | 4 => (&[][..], input),
            _ => input.split_at_checked(size).ok_or("data ends too early")?,
        };
        input = rest;
        match (op, &mut source) {
            (0, _) => out.extend_from_slice(data),
            (1, _) => {
                if data.len() > 4096 || data.starts_with(b"/") || data.is_empty() {
                    return Err(format!("path {data:?}"));
                }
                source = Some((old.get(data).ok_or_else(|| format!("no file {data:?}"))?, Some(0)));
            }
            (2, Some((file, Some(at)))) => {
                out.extend_from_slice(file.get(*at..*at + size).ok_or("short copy")?);
                *at += size;
            }
            (3, Some((file, Some(at)))) if size <= 100 << 20 => {
                let old = file.get(*at..*at + size).ok_or("short source")?;
                out.extend(old.iter().zip(data).map(|(old, data)| old.wrapping_add(*data)));
                *at += size;
            }
            (4, Some((_, at))) => *at = Some(size),
            (5, Some((file, at))) if version == 2 => {
                let content = zstd::bulk::Decompressor::with_dictionary(file).map_err(|e| e.to_string())?;
                let made = { content }.decompress(data, 1 << 24).map_err(|e| e.to_string())?;
                out.extend(made);
                // Unspecified: nobody may go on from here without a seek.
                *at = None;
            }
            (op, source) => return Err(format!("op {op} with the source {source:?}")),
        }
    }
    Ok(out)
}

fn uvarint(input: &mut &[u8]) -> Result<usize, String> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = input.split_first().ok_or("a number ends too early")?;
        *input = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return usize::try_from(value).map_err(|e| e.to_string());
        }
    }
    Err("a number is too long".into())
}

/// The files of a layer that is not compressed, by their paths.
pub(crate) fn files(layer: &[u8]) -> Tree {
    let mut tree = Tree::new();
    for entry in tar::Archive::new(layer).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        if let Some(target) = entry.link_name_bytes().filter(|_| entry.header().entry_type().is_hard_link()) {
            let target = tree[&*target].clone();
            tree.insert(path, target);
        } else if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            tree.insert(path, content);
        }
    }
    tree
}
