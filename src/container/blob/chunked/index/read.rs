//! Finds objects by an index of them.

use std::ops::Range;

use oci_spec::image::Descriptor;
use ostree_format::{Checksum, FileId, ObjectName, ObjectType};

use super::{Class, KINDS, OBJECTS, PREFIX_BYTES, Prefix, VERSION, prefix};
use crate::container::blob::chunked::Frame;
use crate::container::image::Digest;
use crate::tar::{EntryRole, PartEntry, PartKind};

/// The largest index, uncompressed, that is read: of some 400,000 objects.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// The bytes of a whole id.
const ID_BYTES: usize = 32;
/// The number of pieces of one object.
const MAX_FRAMES: u64 = 64 * 1024;
/// Where the index of a layer lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::container) struct IndexPlace {
    /// The index's bytes in the blob. Everything that it tells of lies before it.
    pub(in crate::container) bytes: Range<u64>,
    plain_bytes: usize,
    digest: Digest,
}

impl IndexPlace {
    /// What the annotation of a layer says; `None` if it has no index, or says nonsense.
    pub(in crate::container) fn of(layer: &Descriptor) -> Option<Self> {
        let mut words = layer.annotations().as_ref()?.get(OBJECTS)?.split(':');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (start, length, plain_bytes) = (number()?, number()?, number()?);
        let digest = Digest::new(words.next()?.parse().ok()?);
        let bytes = start..start.checked_add(length)?;
        let fits = length > 0 && length <= MAX_BYTES && plain_bytes <= MAX_BYTES && bytes.end <= layer.size();
        fits.then_some(Self { bytes, plain_bytes: usize::try_from(plain_bytes).ok()?, digest })
    }

    /// Reads the index, whose bytes are `packed`.
    ///
    /// # Errors
    /// A few words, if it is not the index that was announced, or makes no sense.
    pub(in crate::container) fn read(&self, packed: &[u8]) -> Result<ObjectIndex, &'static str> {
        if Digest::of(packed) != self.digest {
            return Err("the index of objects is not the one that was announced");
        }
        let plain = zstd::bulk::decompress(packed, self.plain_bytes).unwrap_or_default();
        ObjectIndex::parse(plain).ok_or("the index of objects makes no sense")
    }
}

/// Where objects lie in a layer.
#[derive(Debug)]
pub(in crate::container) struct ObjectIndex {
    plain: Vec<u8>,
    sets: Vec<(Checksum, Vec<Frame>)>,
    classes: Vec<Class>,
    /// Sorted by what they are called.
    objects: Vec<Indexed>,
}

/// One object of an index.
#[derive(Debug, Clone, Copy)]
struct Indexed {
    class: u32,
    /// Where the row goes on behind the class.
    at: u32,
    /// Where the id lies, or what there is of it.
    id_at: u32,
    /// The end of the object before.
    end: u64,
}

/// An object that an index tells of.
#[derive(Debug)]
pub(in crate::container) struct FoundObject {
    pub(in crate::container) header: PartEntry,
    pub(in crate::container) frames: Vec<Frame>,
    /// The number of its set of xattrs, if it is a file.
    pub(in crate::container) set: Option<usize>,
}

impl ObjectIndex {
    fn parse(plain: Vec<u8>) -> Option<Self> {
        let mut cursor = Cursor { bytes: &plain, at: 0 };
        if cursor.number()? != VERSION {
            return None;
        }
        let mut sets = Vec::new();
        for _ in 0..cursor.number()? {
            let checksum = Checksum::new(cursor.take(32)?.try_into().ok()?);
            sets.push((checksum, cursor.frames(0)?));
        }
        let mut classes = Vec::new();
        for _ in 0..cursor.number()? {
            let is_symlink = cursor.number()? == 1;
            let [uid, gid, mode, set] =
                [cursor.number()?, cursor.number()?, cursor.number()?, cursor.number()?];
            classes.push(Class { is_symlink, uid, gid, mode, set });
        }
        let count = usize::try_from(cursor.number()?).ok()?;
        // Each has some bytes.
        let mut objects = Vec::with_capacity(count.min(plain.len() / PREFIX_BYTES));
        let mut end = 0;
        for _ in 0..count {
            let class = u32::try_from(cursor.number()?).ok()?;
            objects.push(Indexed { class, at: u32::try_from(cursor.at).ok()?, id_at: 0, end });
            if is_symlink(&classes, class)? {
                let length = usize::try_from(cursor.number()?).ok()?;
                cursor.take(length)?;
            } else {
                end = cursor.frames(end)?.last().map_or(end, |frame| frame.place.end);
            }
        }
        for object in &mut objects {
            object.id_at = u32::try_from(cursor.at).ok()?;
            cursor.take(if kind_of(object.class) < KINDS.len() { ID_BYTES } else { PREFIX_BYTES })?;
        }
        objects.sort_unstable_by_key(|object| key_in(&plain, object));
        (cursor.at == plain.len()).then_some(())?;
        Some(Self { sets, classes, objects, plain })
    }

    /// The object called `name`, or one whose id begins in the same way. `None` if there is none, or several.
    pub(in crate::container) fn find(&self, name: &ObjectName) -> Option<FoundObject> {
        let kind = KINDS.iter().position(|kind| *kind == name.kind).unwrap_or(KINDS.len());
        let key = (kind, prefix(&name.checksum));
        let at = self.objects.partition_point(|object| key_in(&self.plain, object) < key);
        let same = |object: &&Indexed| key_in(&self.plain, object) == key;
        let object = self.objects.get(at).filter(same)?;
        self.objects.get(at + 1).filter(same).is_none().then(|| self.found(object, name))?
    }

    /// The dirtrees and dirmetas that are in the layer.
    pub(in crate::container) fn metadata(&self) -> impl Iterator<Item = ObjectName> {
        self.objects.iter().filter_map(|object| {
            let kind = KINDS.get(object.class as usize)?;
            let id = self.plain.get(object.id_at as usize..)?.first_chunk::<ID_BYTES>()?;
            let named = matches!(kind, ObjectType::DirTree | ObjectType::DirMeta);
            named.then(|| ObjectName::new(Checksum::new(*id), *kind))
        })
    }

    /// The frames of every object that none of the `others` has, in their order.
    pub(in crate::container) fn frames_beside(&self, others: &[&Self]) -> Vec<Frame> {
        let has = |other: &&Self, key| {
            other.objects.binary_search_by_key(&key, |object| key_in(&other.plain, object)).is_ok()
        };
        let new = self.objects.iter().filter(|object| {
            let key = key_in(&self.plain, object);
            !others.iter().any(|other| has(other, key))
        });
        let mut frames: Vec<_> = new.filter_map(|object| self.frames_of(object)).flatten().collect();
        frames.sort_unstable_by_key(|frame| frame.place.start);
        frames
    }

    fn frames_of(&self, object: &Indexed) -> Option<Vec<Frame>> {
        match is_symlink(&self.classes, object.class)? {
            true => None,
            false => self.cursor(object).frames(object.end),
        }
    }

    /// The frames of the commit, and of its detached metadata, if it has some.
    pub(in crate::container) fn commit(&self) -> (Vec<Frame>, Option<Vec<Frame>>) {
        let frames = |class: u32| {
            let object = self.objects.iter().find(|object| object.class == class)?;
            self.cursor(object).frames(object.end)
        };
        (frames(0).unwrap_or_default(), frames(1))
    }

    /// The checksum and the frames of a set of xattrs.
    pub(in crate::container) fn set(&self, number: usize) -> Option<&(Checksum, Vec<Frame>)> {
        self.sets.get(number)
    }

    fn cursor(&self, object: &Indexed) -> Cursor<'_> {
        Cursor { bytes: &self.plain, at: object.at as usize }
    }

    fn found(&self, object: &Indexed, name: &ObjectName) -> Option<FoundObject> {
        let mut cursor = self.cursor(object);
        let Some(class) = (object.class as usize).checked_sub(KINDS.len()) else {
            let frames = cursor.frames(object.end)?;
            let header = PartEntry::plain(EntryRole::Meta(*name), PartKind::Regular(bytes_in(&frames)));
            return Some(FoundObject { header, frames, set: None });
        };
        let Class { is_symlink, uid, gid, mode, set } = *self.classes.get(class)?;
        let (kind, frames) = match is_symlink {
            true => {
                let length = usize::try_from(cursor.number()?).ok()?;
                (PartKind::Symlink(std::str::from_utf8(cursor.take(length)?).ok()?.into()), Vec::new())
            }
            false => {
                let frames = cursor.frames(object.end)?;
                (PartKind::Regular(bytes_in(&frames)), frames)
            }
        };
        let header = PartEntry {
            role: EntryRole::File(FileId::new(name.checksum)),
            kind,
            permissions: u32::try_from(mode).ok()? & 0o7777,
            uid: u32::try_from(uid).ok()?,
            gid: u32::try_from(gid).ok()?,
        };
        Some(FoundObject { header, frames, set: Some(usize::try_from(set).ok()?) })
    }
}

fn bytes_in(frames: &[Frame]) -> u64 {
    frames.iter().fold(0, |sum, frame| sum.saturating_add(frame.bytes))
}

/// What an object is found by; content objects come behind all others.
fn key_in(plain: &[u8], object: &Indexed) -> (usize, Prefix) {
    let id = plain.get(object.id_at as usize..).and_then(<[u8]>::first_chunk);
    (kind_of(object.class), id.copied().unwrap_or_default())
}

fn kind_of(class: u32) -> usize {
    (class as usize).min(KINDS.len())
}

/// Whether objects of a class are symbolic links; `None` if there is no such class.
fn is_symlink(classes: &[Class], class: u32) -> Option<bool> {
    match (class as usize).checked_sub(KINDS.len()) {
        None => Some(false),
        Some(number) => classes.get(number).map(|class| class.is_symlink),
    }
}

/// Reads numbers and bytes; `None` where there are no more.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn frames(&mut self, mut end: u64) -> Option<Vec<Frame>> {
        let mut frames = Vec::new();
        for _ in 0..self.number().filter(|count| *count <= MAX_FRAMES)? {
            let start = end.checked_add(self.number()?)?;
            end = start.checked_add(self.number()?)?;
            frames.push(Frame { place: start..end, bytes: self.number()? });
        }
        Some(frames)
    }
}
