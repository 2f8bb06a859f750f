//! A layer of objects that is looked into without being pulled: its index says where everything lies.

use std::collections::HashSet;

use oci_spec::image::Descriptor;
use ostree_format::{Checksum, CommitId, FileId, MetaKind, ObjectName, ObjectType};

use super::asking::Asking;
use super::by_index::{check, missing_files};
use super::missing::{Entry, Wrong, is_most};
use super::pieces::pieces;
use super::{MIN_LAYER_BYTES, stream_of};
use crate::base::Ctx;
use crate::container::blob::chunked::{Frame, IndexPlace, ObjectIndex};
use crate::container::image::{Error, ImageSource, Result};
use crate::store::{MemStore, ObjectRead, ObjectWrite as _};
use crate::tar::import_objects;

/// The metadata that is fetched at once.
const MAX_METADATA_BYTES: u64 = 64 * 1024 * 1024;
/// The largest content object that is fetched.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// A layer whose index was fetched. What is fetched further goes into a store in memory, by which its checksum is
/// verified.
pub(in crate::container) struct SeenLayer<'a> {
    asking: Asking<'a>,
    index: ObjectIndex,
    /// All frames lie before it.
    end: u64,
    index_bytes: u64,
}

impl<'a> SeenLayer<'a> {
    /// Fetches the index of a layer; `None` if it has none, or no parts of it are to be had.
    ///
    /// # Errors
    /// What the source says; [`Error::Image`] for an index that makes no sense.
    pub(in crate::container) fn open(
        source: &'a dyn ImageSource,
        layer: &'a Descriptor,
        ctx: &'a Ctx,
    ) -> Result<Option<Self>> {
        let Some(place) = IndexPlace::of(layer) else { return Ok(None) };
        let asking = Asking::new(source, layer, ctx);
        let Some(packed) = asking.part(place.bytes.clone())? else { return Ok(None) };
        let index = place.read(&packed).map_err(|why| failed(Wrong::Table(why)))?;
        let index_bytes = place.bytes.end - place.bytes.start;
        Ok(Some(Self { asking, index, end: place.bytes.start, index_bytes }))
    }

    /// Fetches the commit in the layer, if there is one; gives its id.
    ///
    /// # Errors
    /// As [`SeenLayer::open`].
    pub(in crate::container) fn fetch_commit(&self, into: &MemStore) -> Result<Option<CommitId>> {
        let (frames, _) = self.index.commit();
        if frames.is_empty() {
            return Ok(None);
        }
        check(&frames, self.end).map_err(failed)?;
        let bytes = self.asking.read(&[frames]).map_err(failed)?.concat();
        Ok(Some(CommitId::new(into.write_meta(MetaKind::Commit, &bytes)?)))
    }

    /// The dirtrees and dirmetas in the layer.
    pub(in crate::container) fn metadata(&self) -> HashSet<ObjectName> {
        self.index.metadata().collect()
    }

    /// Fetches those of the dirtrees and dirmetas in `names` that are in the layer.
    ///
    /// # Errors
    /// As [`SeenLayer::open`]; [`Error::Image`] for metadata that is not what its id says; [`Error::TooLarge`].
    pub(in crate::container) fn fetch_metadata(
        &self,
        names: impl Iterator<Item = ObjectName>,
        into: &MemStore,
    ) -> Result<()> {
        let mut found: Vec<_> =
            names.filter_map(|name| Some((name, self.index.find(&name)?.frames))).collect();
        found.sort_unstable_by_key(|(_, frames)| frames.first().map_or(0, |frame| frame.place.start));
        let (names, lists): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        lists.iter().try_for_each(|frames| check(frames, self.end)).map_err(failed)?;
        if lists.iter().flatten().map(|frame| frame.bytes).sum::<u64>() > MAX_METADATA_BYTES {
            let what = format!("the metadata of layer {}", self.asking.layer.digest());
            return Err(Error::TooLarge { what, limit: MAX_METADATA_BYTES });
        }
        for (name, bytes) in names.iter().zip(self.asking.read(&lists).map_err(failed)?) {
            let kind = match name.kind {
                ObjectType::DirTree => MetaKind::DirTree,
                _ => MetaKind::DirMeta,
            };
            if Checksum::of(&bytes) != name.checksum {
                return Err(failed(Wrong::Table("metadata is not what its id says")));
            }
            into.write_meta(kind, &bytes)?;
        }
        Ok(())
    }

    /// Fetches a content object, if it is in the layer and not in the store yet.
    ///
    /// # Errors
    /// As [`SeenLayer::fetch_metadata`]; [`Error::Tar`] for an object that is not what its id says.
    pub(in crate::container) fn fetch_file(&self, id: FileId, into: &MemStore) -> Result<()> {
        let wanted = HashSet::from([id]);
        let entries = missing_files(&self.index, self.end, &wanted, into, &self.asking).map_err(failed)?;
        let frames = || entries.iter().flat_map(Entry::frames);
        if frames().map(|frame| frame.bytes).sum::<u64>() > MAX_FILE_BYTES {
            return Err(Error::TooLarge { what: format!("object {id}"), limit: MAX_FILE_BYTES });
        }
        if !entries.is_empty() {
            stream_of(&self.asking, &entries, &pieces(frames()), &mut |stream| {
                Ok(import_objects(stream, into, Some(&wanted), None, self.asking.ctx)?)
            })?;
        }
        Ok(())
    }

    /// The bytes that a pull would fetch of this layer if what is in the `others` were here.
    pub(in crate::container) fn bytes_beside(&self, others: &[Self]) -> u64 {
        let size = self.asking.layer.size();
        if size <= MIN_LAYER_BYTES {
            return size;
        }
        let others: Vec<_> = others.iter().map(|other| &other.index).collect();
        let frames = self.index.frames_beside(&others);
        self.bytes_at(size, &[frames])
    }

    /// The bytes that a pull would fetch of this layer into `store`; `files` are the content objects of the commit.
    ///
    /// # Errors
    /// What the store says; [`Error::Image`] for an index that makes no sense.
    pub(in crate::container) fn bytes_into(
        &self,
        store: &dyn ObjectRead,
        files: &HashSet<FileId>,
    ) -> Result<u64> {
        let size = self.asking.layer.size();
        if size <= MIN_LAYER_BYTES {
            return Ok(size);
        }
        let mut metadata = Vec::new();
        for name in self.index.metadata() {
            if !store.contains(&name)? {
                metadata.extend(self.index.find(&name).into_iter().flat_map(|found| found.frames));
            }
        }
        metadata.sort_unstable_by_key(|frame| frame.place.start);
        let entries = missing_files(&self.index, self.end, files, store, &self.asking).map_err(failed)?;
        let content = entries.iter().flat_map(Entry::frames).cloned().collect();
        Ok(self.bytes_at(size, &[metadata, content]))
    }

    /// The bytes of the index and of these frames, which are fetched list by list; or of the layer, where that is better.
    fn bytes_at(&self, size: u64, lists: &[Vec<Frame>]) -> u64 {
        let ranges = lists.iter().flat_map(|frames| pieces(frames.iter()));
        let bytes = ranges.map(|range| range.end - range.start).sum::<u64>() + self.index_bytes;
        if is_most(bytes, size) { size } else { bytes }
    }
}

/// What the user is told.
fn failed(wrong: Wrong) -> Error {
    match wrong {
        Wrong::Table(why) => Error::Image(format!("the index of objects is wrong: {why}")),
        Wrong::Whole(why) => Error::Image(format!("the layer cannot be looked into: {why}")),
        Wrong::Error(error) => error,
    }
}
