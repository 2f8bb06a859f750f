//! Puts an entry together out of the rows that a table of contents has for it: one, or one for each piece of a large file.

use ostree_format::FileId;

use super::missing::{Content, Entry, MAX_FRAME_BYTES, Wrong};
use crate::container::blob::chunked::{Frame, Row};
use crate::tar::{EntryRole, PartEntry, PartKind, role_of, xattrs_at};

/// An entry whose pieces are still to come.
pub(super) struct Building {
    header: PartEntry,
    size: u64,
    end: u64,
    /// Where each piece begins in the blob, and its size, 0 for all that there is.
    pieces: Vec<(u64, u64)>,
    /// Bytes of the pieces but the last.
    before: u64,
}

impl Building {
    /// The entry that a row begins, if it has to do with objects.
    pub(super) fn begin(row: Row) -> Result<Option<Self>, Wrong> {
        role_of(&row.name).map_or(Ok(None), |role| Self::as_role(row, role))
    }

    /// The entry of a file or symbolic link, wherever it is, as the content object `id`; of anything else nothing.
    pub(super) fn of_file(row: Row, id: FileId) -> Result<Option<Self>, Wrong> {
        match &*row.kind {
            "reg" | "symlink" => Self::as_role(row, EntryRole::File(id)),
            _ => Ok(None),
        }
    }

    fn as_role(row: Row, role: EntryRole) -> Result<Option<Self>, Wrong> {
        let kind = match (&*row.kind, role) {
            // Directories of that name bring nothing.
            ("dir", _) => return Ok(None),
            ("reg", _) => PartKind::Regular(row.size),
            ("symlink", EntryRole::File(_)) => PartKind::Symlink(row.link_name.into()),
            ("hardlink", EntryRole::XattrsOf(_)) => {
                let set =
                    xattrs_at(&row.link_name).ok_or(Wrong::Table("xattrs are a link to something else"))?;
                PartKind::LinkToXattrs(set)
            }
            _ => return Err(Wrong::Table("an object is of a type that none has")),
        };
        let size = if row.kind == "reg" { row.size } else { 0 };
        let pieces = if size > 0 { vec![(row.offset, row.chunk_size)] } else { Vec::new() };
        let Row { uid, gid, .. } = row;
        let header = PartEntry { role, kind, permissions: row.mode & 0o7777, uid, gid };
        Ok(Some(Self { header, size, end: row.end_offset, pieces, before: 0 }))
    }

    /// A further piece. One of zeros has a frame, too, for those who read the layer as a whole.
    pub(super) fn piece(&mut self, row: &Row) -> Result<(), Wrong> {
        let wrong = || Wrong::Table("the pieces of a file do not fit");
        let (_, last) = self.pieces.last().ok_or_else(wrong)?;
        self.before = self.before.checked_add(*last).ok_or_else(wrong)?;
        if row.chunk_offset != self.before || *last == 0 || !matches!(&*row.chunk_type, "" | "zeros") {
            return Err(wrong());
        }
        self.pieces.push((row.offset, row.chunk_size));
        Ok(())
    }

    /// The entry; all of it has to lie before `limit`.
    pub(super) fn finish(self, limit: u64) -> Result<Entry, Wrong> {
        let wrong = || Wrong::Table("the pieces of a file do not fit");
        let ends = self.pieces.iter().skip(1).map(|(start, _)| *start).chain([self.end]);
        let last = self.size.checked_sub(self.before).ok_or_else(wrong)?;
        let mut frames = Vec::with_capacity(self.pieces.len());
        for (n, ((start, bytes), end)) in self.pieces.iter().zip(ends).enumerate() {
            // The last piece, which may be the only one, is what is left.
            let is_last = n + 1 == self.pieces.len();
            if is_last && *bytes != 0 && *bytes != last {
                return Err(wrong());
            }
            let bytes = if is_last { last } else { *bytes };
            let length = end.checked_sub(*start).filter(|_| end <= limit).ok_or_else(wrong)?;
            if length == 0 || length > MAX_FRAME_BYTES || bytes > MAX_FRAME_BYTES {
                return Err(Wrong::Table("a piece of a file is too large"));
            }
            frames.push(Frame { place: *start..end, bytes });
        }
        Ok(Entry { header: self.header, content: Content::Frames(frames) })
    }

    /// The number of pieces so far.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }
}
