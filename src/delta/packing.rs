//! Puts what changed into parts: as patches and blocks of old files, or as it is.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use ostree_format::delta::DeltaFallback;
use ostree_format::{FileHeader, FileId, ObjectName};

use super::builder::Building;
use super::changes::{Changes, NewFile};
use super::compress::{MEMORY_BYTES, Packed, compress};
use super::copies::copies;
use super::generate::GenerateOptions;
use super::patch::patch;
use crate::base::io::{Cancellable, Spool};
use crate::base::{Ctx, Pool, with_pool};
use crate::store::{Error, FileObject, ObjectRead, Result};

/// Two files that are patched in memory have at most so many bytes together; larger ones are made of blocks.
const MAX_PATCH_BYTES: u64 = 32 << 20;
/// The memory that compressing parts takes at most.
const MAX_PACKING_BYTES: u64 = 2 * MEMORY_BYTES;
/// A file is made of blocks of an old one if they are at least this share of it: one in so many bytes.
const COPIES_WORTH: u64 = 4;

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
    let made = with_pool(ctx, MAX_PACKING_BYTES, |pool| {
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
        self.pool.submit(MEMORY_BYTES, move || {
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

    fn load(&self, id: &FileId) -> Result<(FileHeader, Vec<u8>)> {
        let mut object = self.open(id)?;
        let mut bytes = Vec::with_capacity(usize::try_from(object.len).unwrap_or_default());
        object.read_to_end(&mut bytes).map_err(unreadable(id))?;
        Ok((object.header, bytes))
    }

    /// Adds a file as what changes in an old one; `false` if there is none, or they have too little in common.
    fn of_old(&mut self, file: &NewFile) -> Result<bool> {
        let Some((old, old_bytes)) = file.old else { return Ok(false) };
        let both = old_bytes.saturating_add(file.bytes);
        let is_made = match both <= MAX_PATCH_BYTES.min(self.options.max_patch_bytes) {
            true => self.patch(file, &old)?,
            false => self.copy(file, &old)?,
        };
        if is_made {
            self.ctx.object_done(file.bytes);
        }
        Ok(is_made)
    }

    fn patch(&mut self, file: &NewFile, old: &FileId) -> Result<bool> {
        let (_, before) = self.load(old)?;
        let (header, after) = self.load(&file.id)?;
        let Some(patch) = patch(&before, &after) else { return Ok(false) };
        self.make_room(patch.len() as u64)?;
        self.building.patched(&file.id, &header, file.bytes, old, &patch).map_err(written)?;
        self.made.patched += 1;
        Ok(true)
    }

    fn copy(&mut self, file: &NewFile, old: &FileId) -> Result<bool> {
        let cancel = &self.ctx.cancel;
        let mut before = Cancellable::new(self.open(old)?, cancel);
        let mut after = Cancellable::new(self.open(&file.id)?, cancel);
        let found = copies(&mut before, &mut after).map_err(unreadable(&file.id))?;
        let bytes: u64 = found.iter().map(|copied| copied.bytes).sum();
        if bytes < file.bytes.div_ceil(COPIES_WORTH) {
            return Ok(false);
        }
        self.make_room(file.bytes - bytes)?;
        let mut after = self.open(&file.id)?;
        let header = after.header.clone();
        let copied = self.building.copied(&file.id, &header, file.bytes, (old, &found), &mut after);
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
