//! Archives put together by hand: what no program writes, and what only one does.

use ostree_rs::tar::BLOCK_BYTES;

/// A header block of GNU's format: mode 0644, owner 0.
pub(crate) fn header(kind: u8, path: &str, link: &str, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Changes a header and makes its checksum right again.
pub(crate) fn changed(header: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = header;
    change(&mut bytes[..BLOCK_BYTES]);
    let mut header = tar::Header::from_byte_slice(&bytes[..BLOCK_BYTES]).clone();
    header.set_cksum();
    bytes[..BLOCK_BYTES].copy_from_slice(header.as_bytes());
    bytes
}

pub(crate) fn padded(content: &[u8]) -> Vec<u8> {
    let mut out = content.to_vec();
    out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
    out
}

/// An entry with content.
pub(crate) fn entry(kind: u8, path: &str, content: &[u8]) -> Vec<u8> {
    [header(kind, path, "", content.len() as u64), padded(content)].concat()
}

pub(crate) fn link(kind: u8, path: &str, target: &str) -> Vec<u8> {
    header(kind, path, target, 0)
}

/// An extended header, `x` or `g`.
pub(crate) fn pax(kind: u8, records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut data = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        data.extend_from_slice(format!("{len} {key}=").as_bytes());
        data.extend_from_slice(value);
        data.push(b'\n');
    }
    entry(kind, "PaxHeaders/x", &data)
}

/// The entries, and the end.
pub(crate) fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [&entries.concat()[..], &[0; 2 * BLOCK_BYTES]].concat()
}
