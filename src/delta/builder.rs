//! A part in the making: its payload goes into a file, its tables and operations stay in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use ostree_format::delta::{DeltaMode, DeltaOp, frame_part};
use ostree_format::{FileHeader, FileId, ObjectName, Xattrs};

use super::copies::Copied;
use super::old::OldContent;
use super::patch::Patch;
use crate::base::io::{COPY_BYTES, Spool, copy_exact};

/// A part to which objects are added.
pub(super) struct Building {
    payload: BufWriter<File>,
    payload_bytes: u64,
    ops: Vec<u8>,
    modes: Vec<DeltaMode>,
    mode_numbers: HashMap<DeltaMode, u64>,
    xattrs: Vec<Xattrs>,
    xattr_numbers: HashMap<Xattrs, u64>,
    tables_bytes: u64,
    objects: Vec<ObjectName>,
    unpacked_bytes: u64,
}

/// A part with all its objects, which nobody has compressed yet.
pub(super) struct Built {
    /// What stands before the payload, the payload, and what stands behind it.
    pub(super) head: Vec<u8>,
    pub(super) payload: File,
    pub(super) tail: Vec<u8>,
    /// The size of the three together.
    pub(super) bytes: u64,
    pub(super) objects: Vec<ObjectName>,
    pub(super) unpacked_bytes: u64,
}

impl Building {
    pub(super) fn new(spool: &Spool<'_>) -> io::Result<Self> {
        Ok(Self {
            payload: BufWriter::with_capacity(COPY_BYTES, spool()?),
            payload_bytes: 0,
            ops: Vec::new(),
            modes: Vec::new(),
            mode_numbers: HashMap::new(),
            xattrs: Vec::new(),
            xattr_numbers: HashMap::new(),
            tables_bytes: 0,
            objects: Vec::new(),
            unpacked_bytes: 0,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The size that the part has now, about.
    pub(super) fn bytes(&self) -> u64 {
        self.payload_bytes + self.ops.len() as u64 + self.tables_bytes
    }

    /// Adds a metadata object.
    pub(super) fn meta(&mut self, name: ObjectName, bytes: &[u8]) -> io::Result<()> {
        let (offset, len) = (self.put(bytes)?, bytes.len() as u64);
        self.op(DeltaOp::SpliceMeta { len, offset });
        self.made(name, len);
        Ok(())
    }

    /// Adds a content object as it is: for a symbolic link, `len` and `content` are those of its target.
    pub(super) fn whole(
        &mut self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let (mode, xattrs) = self.tables(header);
        let offset = self.stream(content, len)?;
        self.op(DeltaOp::SpliceContent { mode, xattrs, len, offset });
        self.made((*id).into(), if header.symlink_target().is_some() { 0 } else { len });
        Ok(())
    }

    /// Adds a content object of `len` bytes as a patch of an old one.
    pub(super) fn patched(
        &mut self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        (old, before, patch): (&FileId, &OldContent, &Patch),
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let (mode, xattrs) = self.tables(header);
        let source = self.put(old.checksum().as_bytes())?;
        patch.write(before, content, &mut self.payload)?;
        let offset = self.grow(patch.bytes());
        self.op(DeltaOp::SetSource { offset: source });
        self.op(DeltaOp::Open { mode, xattrs, len });
        self.op(DeltaOp::Patch { offset, len: patch.bytes() });
        self.op(DeltaOp::Close);
        self.op(DeltaOp::UnsetSource);
        self.made((*id).into(), len);
        Ok(())
    }

    /// Adds a content object of `len` bytes, some of which are copied from an old one.
    pub(super) fn copied(
        &mut self,
        id: &FileId,
        header: &FileHeader,
        len: u64,
        (old, copies): (&FileId, &[Copied]),
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let (mode, xattrs) = self.tables(header);
        let source = self.put(old.checksum().as_bytes())?;
        self.op(DeltaOp::Open { mode, xattrs, len });
        let (mut at, mut reads_old) = (0, false);
        for copied in copies {
            if copied.new > at {
                self.new_bytes(content, copied.new - at, &mut reads_old)?;
            }
            if !reads_old {
                self.op(DeltaOp::SetSource { offset: source });
                reads_old = true;
            }
            self.op(DeltaOp::Write { len: copied.bytes, offset: copied.old });
            io::copy(&mut (&mut *content).take(copied.bytes), &mut io::sink())?;
            at = copied.new + copied.bytes;
        }
        if len > at {
            self.new_bytes(content, len - at, &mut reads_old)?;
        }
        if reads_old {
            self.op(DeltaOp::UnsetSource);
        }
        self.op(DeltaOp::Close);
        self.made((*id).into(), len);
        Ok(())
    }

    fn new_bytes(&mut self, content: &mut dyn Read, len: u64, reads_old: &mut bool) -> io::Result<()> {
        if std::mem::take(reads_old) {
            self.op(DeltaOp::UnsetSource);
        }
        let offset = self.stream(&mut content.take(len), len)?;
        self.op(DeltaOp::Write { len, offset });
        Ok(())
    }

    fn op(&mut self, op: DeltaOp) {
        op.write(&mut self.ops);
    }

    fn made(&mut self, name: ObjectName, bytes: u64) {
        self.objects.push(name);
        self.unpacked_bytes += bytes;
    }

    /// Appends bytes to the payload; gives their place.
    fn put(&mut self, bytes: &[u8]) -> io::Result<u64> {
        self.payload.write_all(bytes)?;
        Ok(self.grow(bytes.len() as u64))
    }

    fn stream(&mut self, content: &mut dyn Read, len: u64) -> io::Result<u64> {
        copy_exact(content, &mut self.payload, len)?;
        Ok(self.grow(len))
    }

    fn grow(&mut self, bytes: u64) -> u64 {
        let offset = self.payload_bytes;
        self.payload_bytes += bytes;
        offset
    }

    /// The numbers of a file's mode and xattrs.
    fn tables(&mut self, header: &FileHeader) -> (u64, u64) {
        let mode = DeltaMode { uid: header.uid, gid: header.gid, mode: header.mode() };
        let next = self.modes.len() as u64;
        let number = *self.mode_numbers.entry(mode).or_insert(next);
        if number == next {
            self.modes.push(mode);
            self.tables_bytes += 12;
        }
        if let Some(xattrs) = self.xattr_numbers.get(&header.xattrs) {
            return (number, *xattrs);
        }
        let xattrs = self.xattrs.len() as u64;
        self.tables_bytes += header.xattrs.to_bytes().len() as u64 + 4;
        self.xattr_numbers.insert(header.xattrs.clone(), xattrs);
        self.xattrs.push(header.xattrs.clone());
        (number, xattrs)
    }

    pub(super) fn finish(self) -> io::Result<Built> {
        let payload_bytes = usize::try_from(self.payload_bytes).map_err(io::Error::other)?;
        let (head, tail) = frame_part(&self.modes, &self.xattrs, payload_bytes, &self.ops);
        let payload = self.payload.into_inner().map_err(io::IntoInnerError::into_error)?;
        let bytes = self.payload_bytes + (head.len() + tail.len()) as u64;
        Ok(Built { head, payload, tail, bytes, objects: self.objects, unpacked_bytes: self.unpacked_bytes })
    }
}
