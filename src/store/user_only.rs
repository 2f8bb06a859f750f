//! What a bare-user-only repository can keep of a file: content, the target of a link, and permissions without
//! the set-id bits. Whatever else the header says would be lost, and the object no longer have its checksum.

use ostree_format::{FileHeader, FileId, FileKind};

use super::{Error, Result};

/// Permission bits that regular files may have.
const KEPT_BITS: u32 = 0o775;

/// Whether such a repository can keep a file with this header.
pub(crate) fn is_user_only(header: &FileHeader) -> bool {
    lost_bits(header) == 0 && (header.uid, header.gid) == (0, 0) && header.xattrs.is_empty()
}

/// Checks that such a repository can keep the object `id`.
///
/// # Errors
/// [`Error::Unsupported`], which says what would be lost.
pub(crate) fn check_user_only(id: &FileId, header: &FileHeader) -> Result<()> {
    check_user_only_mode(id, header)?;
    let mut lost = Vec::new();
    if (header.uid, header.gid) != (0, 0) {
        lost.push(format!("owner {}:{}", header.uid, header.gid));
    }
    lost.extend(header.xattrs.iter().map(|(name, _)| {
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        format!("xattr {}", String::from_utf8_lossy(name).escape_debug())
    }));
    match lost.is_empty() {
        true => Ok(()),
        false => Err(unsupported(id, &lost.join(", "))),
    }
}

/// Checks the permissions only.
///
/// # Errors
/// [`Error::Unsupported`], as libostree says it.
pub(crate) fn check_user_only_mode(id: &FileId, header: &FileHeader) -> Result<()> {
    let (mode, bits) = (header.mode(), lost_bits(header));
    match bits {
        0 => Ok(()),
        _ => Err(unsupported(id, &format!("invalid mode 0{mode:04o} with bits 0{bits:04o}"))),
    }
}

fn lost_bits(header: &FileHeader) -> u32 {
    match header.kind {
        FileKind::Regular => header.permissions & !KEPT_BITS,
        // All links look the same.
        FileKind::Symlink(_) => 0,
    }
}

fn unsupported(id: &FileId, what: &str) -> Error {
    Error::Unsupported(format!(
        "Content object {id}: {what}, which mode bare-user-only cannot keep; use a repository of mode bare, \
         bare-user or archive, or commit with --canonical-permissions"
    ))
}
