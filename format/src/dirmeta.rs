//! Dirmeta objects: `(uuua(ayay))` of uid, gid, mode (big endian), xattrs.
//!
//! The same bytes stand in the xattr `user.ostreemeta` of the files of a bare-user repository.
//! Source: libostree ostree-core.h:114, 130.

use crate::checksum::{Checksum, DirMetaId};
use crate::error::{ParseError, Result};
use crate::file::{S_IFDIR, S_IFMT};
use crate::wire::{Frame, Slice, Tuple};
use crate::xattrs::Xattrs;

/// Owner, mode and xattrs of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DirMeta {
    /// The owner, a user id.
    pub uid: u32,
    /// The group, a group id.
    pub gid: u32,
    /// `st_mode`: `S_IFDIR` and permission bits.
    pub mode: u32,
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl DirMeta {
    /// A directory with these permission bits (`mode & 07777`).
    pub fn new(uid: u32, gid: u32, permissions: u32, xattrs: Xattrs) -> Self {
        Self { uid, gid, mode: S_IFDIR | (permissions & 0o7777), xattrs }
    }

    /// Reads a dirmeta object.
    ///
    /// # Errors
    /// If it is not in normal form, or `mode` is not a directory's.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let OwnerModeXattrs { uid, gid, mode, xattrs } =
            OwnerModeXattrs::read(Slice::new("dirmeta", bytes), Xattrs::read)?;
        if mode & S_IFMT != S_IFDIR || mode & !(S_IFMT | 0o7777) != 0 {
            return Err(ParseError::invalid(
                "dirmeta mode",
                8,
                format!("{mode:o} is not a directory's mode"),
            ));
        }
        Ok(Self { uid, gid, mode, xattrs })
    }

    /// The bytes of the object.
    pub fn to_bytes(&self) -> Vec<u8> {
        write_owner_mode_xattrs(self.uid, self.gid, self.mode, &self.xattrs)
    }

    /// The id of the dirmeta object: the checksum of its bytes.
    pub fn id(&self) -> DirMetaId {
        DirMetaId::new(Checksum::of(&self.to_bytes()))
    }
}

/// What dirmeta objects and `user.ostreemeta` have in common.
pub(crate) struct OwnerModeXattrs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) xattrs: Xattrs,
}

impl OwnerModeXattrs {
    pub(crate) fn read(data: Slice<'_>, xattrs: impl FnOnce(Slice<'_>) -> Result<Xattrs>) -> Result<Self> {
        let mut tuple = Tuple::new(data, 0)?;
        let (uid, gid, mode) = (tuple.u32_be()?, tuple.u32_be()?, tuple.u32_be()?);
        Ok(Self { uid, gid, mode, xattrs: xattrs(tuple.last(1)?)? })
    }
}

pub(crate) fn write_owner_mode_xattrs(uid: u32, gid: u32, mode: u32, xattrs: &Xattrs) -> Vec<u8> {
    let mut out = Vec::with_capacity(12);
    let tuple = Frame::begin(&mut out, 4);
    for n in [uid, gid, mode] {
        out.extend_from_slice(&n.to_be_bytes());
    }
    xattrs.write(&mut out);
    tuple.finish_tuple(&mut out);
    out
}
