//! Puts what changed into parts: as patches and blocks of old files, or as it is.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError, mpsc};

use ostree_format::delta::DeltaFallback;
use ostree_format::{FileId, ObjectName};

use super::builder::Building;
use super::changes::{Changes, NewFile};
use super::compress::{MAX_MEMORY_BYTES, Packed, compress, memory_bytes};
use super::copies::{Copied, copies};
use super::generate::GenerateOptions;
use super::old::OldContent;
use super::patch::{Patch, WINDOW_BYTES};
use crate::base::io::{Cancellable, Spool};
use crate::base::{Ctx, Pool, with_pool};
use crate::store::{Error, FileObject, ObjectRead, Result};

/// A file is made of blocks of an old one if they are at least this share of it: one in so many bytes.
const COPIES_WORTH: u64 = 4;
/// A file is not patched if all but this share of it is in blocks of an old one, since a patch has a byte for each that stays
/// the same: one in so many bytes.
const MOSTLY_COPIES: u64 = 16;

/// The memory that making a patch may take while parts are being compressed.
const SMALL_PATCH_BYTES: u64 = 4 << 20;

/// What became of the files.
#[derive(Default)]
pub(super) struct Made {
    pub(super) fallbacks: Vec<DeltaFallback>,
    pub(super) patched: u64,
    pub(super) copied: u64,
    pub(super) copied_bytes: u64,
}

/// Packs what changed into parts, in their order, and says what became of it.
pub(super) fn pack(
    store: &dyn ObjectRead,
    options: &GenerateOptions,
    changes: &Changes,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<(Vec<Packed>, Made)> {
    let bytes = changes.files.iter().map(|file| file.bytes).sum();
    ctx.phase("Generating static delta", Some(changes.count()), Some(bytes));
    let packed = Mutex::new(Vec::new());
    // One thread takes the memory for compressing once, while this one prepares the next part: that is all the memory that
    // there may be, and what a thread gives back stays its own.
    let alone = Ctx { jobs: NonZero::<usize>::MIN, ..ctx.clone() };
    let made = with_pool(&alone, MAX_MEMORY_BYTES, |pool| {
        let (building, made) = (Building::new(spool).map_err(written)?, Made::default());
        let mut packing =
            Packing { store, options, spool, ctx, pool, packed: &packed, building, parts: 0, made };
        packing.all(changes)?;
        packing.end_part(None)?;
        pool.wait()?;
        Ok(packing.made)
    })?;
    let mut packed = packed.into_inner().unwrap_or_else(PoisonError::into_inner);
    packed.sort_by_key(|(number, _)| *number);
    Ok((packed.into_iter().map(|(_, part)| part).collect(), made))
}

fn written(source: std::io::Error) -> Error {
    Error::io("write", "temporary file", source)
}

/// The delta in the making.
struct Packing<'env, 'p> {
    store: &'env dyn ObjectRead,
    options: &'env GenerateOptions,
    spool: &'env Spool<'env>,
    ctx: &'env Ctx,
    pool: &'p Pool<'env, Error>,
    packed: &'env Mutex<Vec<(usize, Packed)>>,
    building: Building,
    /// Parts that were handed to the pool.
    parts: usize,
    made: Made,
}

impl Packing<'_, '_> {
    fn all(&mut self, changes: &Changes) -> Result<()> {
        for name in &changes.meta {
            let bytes = self.store.read_meta(name)?.ok_or(Error::NotFound(*name))?;
            self.make_room(bytes.len() as u64)?;
            self.building.meta(*name, &bytes).map_err(written)?;
            self.ctx.object_done(0);
        }
        let mut whole = Vec::new();
        for file in &changes.files {
            self.ctx.cancel.check()?;
            if !self.of_old(file)? {
                whole.push(file);
            }
        }
        for file in whole {
            self.ctx.cancel.check()?;
            let limit = self.options.min_fallback_bytes;
            match limit > 0 && file.bytes > limit && file.old.is_none() {
                true => self.fallback(file)?,
                false => self.whole(&file.id)?,
            }
            self.ctx.object_done(file.bytes);
        }
        changes.links.iter().try_for_each(|id| self.whole(id).inspect(|()| self.ctx.object_done(0)))
    }

    /// Ends the part if `bytes` more were too many for it.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        if self.building.is_empty() || self.building.bytes() + bytes <= self.options.max_part_bytes {
            return Ok(());
        }
        let next = Building::new(self.spool).map_err(written)?;
        self.end_part(Some(next))
    }

    fn end_part(&mut self, next: Option<Building>) -> Result<()> {
        let next = next.map_or_else(|| Building::new(self.spool).map_err(written), Ok)?;
        let part = std::mem::replace(&mut self.building, next).finish().map_err(written)?;
        let (number, packed, spool, ctx) = (self.parts, self.packed, self.spool, self.ctx);
        self.parts += 1;
        self.pool.submit(memory_bytes(&part), move || {
            let done = compress(part, spool, &ctx.cancel);
            ctx.cancel.check()?;
            let done = done.map_err(written)?;
            packed.lock().unwrap_or_else(PoisonError::into_inner).push((number, done));
            Ok(())
        })
    }

    fn open(&self, id: &FileId) -> Result<FileObject> {
        self.store.open_file(id)?.ok_or(Error::NotFound((*id).into()))
    }

    /// Adds a file as what changes in an old one; `false` if there is none, or they have too little in common.
    fn of_old(&mut self, file: &NewFile) -> Result<bool> {
        let Some((old, old_bytes)) = file.old else { return Ok(false) };
        let may_patch = old_bytes.saturating_add(file.bytes) <= self.options.max_patch_bytes;
        // A small file is compared as a whole.
        let found = match may_patch && old_bytes <= WINDOW_BYTES {
            true => Vec::new(),
            false => self.blocks(file, &old)?,
        };
        let copied: u64 = found.iter().map(|copied| copied.bytes).sum();
        let is_mostly_copied = copied > file.bytes - file.bytes / MOSTLY_COPIES;
        let is_made = match may_patch && !is_mostly_copied {
            true => self.patch(file, &old, found)?,
            false => copied >= file.bytes.div_ceil(COPIES_WORTH) && self.copy(file, &old, &found)?,
        };
        if is_made {
            self.ctx.object_done(file.bytes);
        }
        Ok(is_made)
    }

    fn blocks(&self, file: &NewFile, old: &FileId) -> Result<Vec<Copied>> {
        let cancel = &self.ctx.cancel;
        let mut before = Cancellable::new(self.open(old)?, cancel);
        let mut after = Cancellable::new(self.open(&file.id)?, cancel);
        copies(&mut before, &mut after).map_err(unreadable(&file.id))
    }

    fn patch(&mut self, file: &NewFile, old: &FileId, found: Vec<Copied>) -> Result<bool> {
        let before = OldContent::open(old, self.store, self.spool, &self.ctx.cancel)?;
        let Some((before, patch)) = self.find_patch(file, before, found)? else { return Ok(false) };
        self.make_room(patch.bytes())?;
        let mut after = self.open(&file.id)?;
        let header = after.header.clone();
        let patched =
            self.building.patched(&file.id, &header, file.bytes, (old, &before, &patch), &mut after);
        patched.map_err(written)?;
        self.made.patched += 1;
        Ok(true)
    }

    /// Finds what a patch is made of; gives back the old file.
    fn find_patch(
        &self,
        file: &NewFile,
        before: OldContent,
        found: Vec<Copied>,
    ) -> Result<Option<(OldContent, Patch)>> {
        let (bytes, cancel, after) = (file.bytes, &self.ctx.cancel, self.open(&file.id)?);
        let mut after = Cancellable::new(after, cancel);
        if Patch::memory_bytes(before.len(), bytes) <= SMALL_PATCH_BYTES {
            let patch = Patch::find(&before, &mut after, bytes, &found).map_err(unreadable(&file.id))?;
            return Ok(patch.map(|patch| (before, patch)));
        }
        // The thread that compresses has the memory for it.
        let (sender, receiver) = mpsc::channel();
        self.pool.submit(0, move || {
            let patch = Patch::find(&before, &mut after, bytes, &found);
            // Nobody waits for it any more if something else failed.
            let _ = sender.send(patch.map(|patch| patch.map(|patch| (before, patch))));
            Ok(())
        })?;
        match receiver.recv() {
            Ok(found) => found.map_err(unreadable(&file.id)),
            Err(_) => self.pool.wait().map(|()| None),
        }
    }

    fn copy(&mut self, file: &NewFile, old: &FileId, found: &[Copied]) -> Result<bool> {
        let bytes: u64 = found.iter().map(|copied| copied.bytes).sum();
        self.make_room(file.bytes - bytes)?;
        let mut after = self.open(&file.id)?;
        let header = after.header.clone();
        let copied = self.building.copied(&file.id, &header, file.bytes, (old, found), &mut after);
        copied.map_err(written)?;
        self.made.copied += 1;
        self.made.copied_bytes += bytes;
        Ok(true)
    }

    /// Adds a regular file or symbolic link as it is.
    fn whole(&mut self, id: &FileId) -> Result<()> {
        let mut object = self.open(id)?;
        let (header, len) = (object.header.clone(), object.len);
        self.make_room(len)?;
        let added = match header.symlink_target() {
            Some(target) => self.building.whole(id, &header, target.len() as u64, &mut target.as_bytes()),
            None => {
                self.building.whole(id, &header, len, &mut Cancellable::new(&mut object, &self.ctx.cancel))
            }
        };
        self.ctx.cancel.check()?;
        added.map_err(unreadable(id))
    }

    fn fallback(&mut self, file: &NewFile) -> Result<()> {
        let archived = self.store.open_archived(&file.id)?.map_or(file.bytes, |archived| archived.len);
        let object = ObjectName::from(file.id);
        self.made.fallbacks.push(DeltaFallback {
            object,
            archived_bytes: archived,
            unpacked_bytes: file.bytes,
        });
        Ok(())
    }
}

fn unreadable(id: &FileId) -> impl FnOnce(std::io::Error) -> Error {
    let what = ObjectName::from(*id).to_string();
    move |source| Error::Read { what, source }
}

impl Changes {
    fn count(&self) -> u64 {
        (self.meta.len() + self.files.len() + self.links.len()) as u64
    }
}
