//! Makes an index of objects while a layer is written.

use std::collections::HashMap;
use std::io::{self, Write};

use ostree_format::{Checksum, FileId, ObjectName};

use super::{Class, KINDS, VERSION, prefix};
use crate::container::blob::chunked::Frame;
use crate::container::blob::chunked::toc::{SKIPPABLE_HEAD_BYTES, TocEntry, skippable};
use crate::tar::{EntryRole, role_of, xattrs_at};

/// The index while it grows.
#[derive(Default)]
pub(in crate::container::blob::chunked) struct IndexWriter {
    sets: Numbered<Checksum>,
    classes: Numbered<Class>,
    ids: Vec<u8>,
    rows: Vec<u8>,
    count: u64,
    /// The end of the object before.
    end: u64,
    /// The set of the file that comes next.
    next: Option<(FileId, u64)>,
    /// Something was seen that the index cannot tell.
    useless: bool,
}

/// Values that were given numbers, in their order.
struct Numbered<T> {
    numbers: HashMap<T, u64>,
    bytes: Vec<u8>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), bytes: Vec::new() }
    }
}

impl IndexWriter {
    /// Adds an entry whose content has this checksum and lies in `frames`.
    pub(in crate::container::blob::chunked) fn add(
        &mut self,
        entry: &TocEntry,
        content: Checksum,
        frames: &[Frame],
    ) {
        let known = match role_of(&entry.name) {
            None | Some(EntryRole::Ignored) => Some(()),
            Some(EntryRole::Meta(name)) => self.meta(&name, frames),
            Some(EntryRole::Xattrs(checksum)) => self.set(checksum, frames).map(drop),
            Some(EntryRole::XattrsOf(id)) => {
                let set = match entry.kind {
                    "hardlink" => {
                        xattrs_at(&entry.link_name).and_then(|set| self.sets.numbers.get(&set).copied())
                    }
                    _ => self.set(content, frames),
                };
                self.next = set.map(|set| (id, set));
                set.map(drop)
            }
            Some(EntryRole::File(id)) => self.file(id, entry, frames),
        };
        self.useless |= known.is_none();
    }

    /// The number of a set of xattrs, one copy of which lies in `frames`.
    fn set(&mut self, checksum: Checksum, frames: &[Frame]) -> Option<u64> {
        if let Some(number) = self.sets.numbers.get(&checksum) {
            return Some(*number);
        }
        let number = self.sets.numbers.len() as u64;
        self.sets.numbers.insert(checksum, number);
        self.sets.bytes.extend(checksum.as_bytes());
        push_frames(&mut self.sets.bytes, frames, 0)?;
        Some(number)
    }

    fn meta(&mut self, name: &ObjectName, frames: &[Frame]) -> Option<()> {
        let class = KINDS.iter().position(|kind| *kind == name.kind)?;
        self.object(name.checksum.as_bytes(), class as u64, frames)
    }

    fn file(&mut self, id: FileId, entry: &TocEntry, frames: &[Frame]) -> Option<()> {
        let (_, set) = self.next.take().filter(|(owner, _)| *owner == id)?;
        let is_symlink = entry.kind == "symlink";
        let class = Class { is_symlink, uid: entry.uid, gid: entry.gid, mode: entry.mode.into(), set };
        let next = self.classes.numbers.len() as u64;
        let number = *self.classes.numbers.entry(class).or_insert_with(|| {
            for number in [u64::from(is_symlink), class.uid, class.gid, class.mode, set] {
                push(&mut self.classes.bytes, number);
            }
            next
        });
        if is_symlink {
            self.ids.extend(prefix(id.checksum()));
            self.count += 1;
            push(&mut self.rows, number + KINDS.len() as u64);
            push(&mut self.rows, entry.link_name.len() as u64);
            self.rows.extend(entry.link_name.as_bytes());
            return Some(());
        }
        self.object(&prefix(id.checksum()), number + KINDS.len() as u64, frames)
    }

    fn object(&mut self, id: &[u8], class: u64, frames: &[Frame]) -> Option<()> {
        self.ids.extend(id);
        self.count += 1;
        push(&mut self.rows, class);
        push_frames(&mut self.rows, frames, self.end)?;
        self.end = frames.last().map_or(self.end, |frame| frame.place.end);
        Some(())
    }

    /// Writes the index behind `offset` bytes of the blob; says what the annotation is to say, and how many bytes were
    /// written. Nothing, if there is nothing to tell.
    ///
    /// # Errors
    /// What `out` says.
    pub(in crate::container::blob::chunked) fn finish(
        self,
        out: &mut impl Write,
        offset: u64,
        level: i32,
    ) -> io::Result<Option<(String, u64)>> {
        if self.useless || self.count == 0 {
            return Ok(None);
        }
        let mut plain = Vec::new();
        push(&mut plain, VERSION);
        push(&mut plain, self.sets.numbers.len() as u64);
        plain.extend(&self.sets.bytes);
        push(&mut plain, self.classes.numbers.len() as u64);
        plain.extend(&self.classes.bytes);
        push(&mut plain, self.count);
        plain.extend(&self.rows);
        plain.extend(&self.ids);
        let packed = zstd::bulk::compress(&plain, level)?;
        skippable(out, &packed)?;
        let (start, length) = (offset + SKIPPABLE_HEAD_BYTES, packed.len() as u64);
        let digest = Checksum::of(&packed);
        Ok(Some((format!("{start}:{length}:{}:{digest}", plain.len()), SKIPPABLE_HEAD_BYTES + length)))
    }
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// `None` if the frames do not come one after the other.
fn push_frames(out: &mut Vec<u8>, frames: &[Frame], mut end: u64) -> Option<()> {
    push(out, frames.len() as u64);
    for Frame { place, bytes } in frames {
        for number in [place.start.checked_sub(end)?, place.end.checked_sub(place.start)?, *bytes] {
            push(out, number);
        }
        end = place.end;
    }
    Some(())
}
