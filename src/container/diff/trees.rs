//! The trees of two images, or of one and of a commit that is here, as one store, whose objects are fetched when they are
//! read.
//!
//! ```text
//! layers of a commit     index ► the commit, dirtrees that only one image has ► the others when they are read
//! plain layers           tables of contents ► directories with made-up ids of files: see `tables`
//! ```

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use oci_spec::image::Descriptor;
use ostree_format::{CommitId, FileId, ObjectName, RootDir};

use super::Compared;
use super::tables::{Place, lay_over};
use crate::base::{Ctx, WithCauses};
use crate::container::image::{Digest, Error, ImageSource, LayerKind, Result};
use crate::container::pull::SeenLayer;
use crate::store::{self, FileObject, MemStore, ObjectRead, Reachable, load_commit, walk_commit};

/// The images, as far as they were looked into.
pub(super) struct Trees<'a> {
    /// What was fetched so far.
    pub(super) store: MemStore,
    /// What was here before.
    here: Option<&'a dyn ObjectRead>,
    old: Vec<SeenLayer<'a>>,
    new: Vec<SeenLayer<'a>>,
    /// Layers of commits that both images have.
    shared: Vec<(&'a dyn ImageSource, &'a Descriptor)>,
    /// Where the content of files of plain layers lies.
    places: Mutex<HashMap<FileId, Place<'a>>>,
    /// What kept an object from being read.
    failure: Mutex<Option<Error>>,
    ctx: &'a Ctx,
}

/// The trees, if both can be listed; else a layer that cannot be looked into.
pub(super) enum Opened<'a> {
    Trees(Box<Trees<'a>>),
    Unlisted(Digest),
}

impl<'a> Trees<'a> {
    /// The trees of commits that are in `here` alone.
    pub(super) fn of_store(here: Option<&'a dyn ObjectRead>, ctx: &'a Ctx) -> Self {
        Self {
            store: MemStore::new(),
            here,
            old: Vec::new(),
            new: Vec::new(),
            shared: Vec::new(),
            places: Mutex::default(),
            failure: Mutex::default(),
            ctx,
        }
    }

    /// Fetches the indexes of the layers that differ, and the metadata that only one of the images has, or that is not
    /// `here`.
    pub(super) fn open(
        images: &[&'a Compared<'a>],
        here: Option<&'a dyn ObjectRead>,
        ctx: &'a Ctx,
    ) -> Result<Opened<'a>> {
        let mut trees = Self::of_store(here, ctx);
        for image in images {
            for (number, descriptor) in image.layers_of_commit() {
                // The commit is in the first one.
                if number > 0 && image.is_shared(descriptor) {
                    trees.shared.push((&image.source, descriptor));
                    continue;
                }
                let Some(layer) = SeenLayer::open(&image.source, descriptor, ctx)? else {
                    return Ok(Opened::Unlisted(Digest::of_descriptor(descriptor)?));
                };
                if image.is_new { trees.new.push(layer) } else { trees.old.push(layer) }
            }
        }
        let names = |layers: &[SeenLayer<'_>]| layers.first().map(SeenLayer::metadata).unwrap_or_default();
        let (of_old, of_new) = (names(&trees.old), names(&trees.new));
        for (layer, mine, others) in [(&trees.old, &of_old, &of_new), (&trees.new, &of_new, &of_old)] {
            if let Some(layer) = layer.first() {
                let mut wanted = Vec::new();
                for name in mine.difference(others) {
                    if !trees.contains(name)? {
                        wanted.push(*name);
                    }
                }
                layer.fetch_metadata(wanted.into_iter(), &trees.store)?;
            }
        }
        Ok(Opened::Trees(Box::new(trees)))
    }

    /// The commit of an image, which is fetched; `None` if it has none.
    pub(super) fn commit(&self, image: &Compared<'_>) -> Result<Option<CommitId>> {
        let layers = if image.is_new { &self.new } else { &self.old };
        let Some(layer) = layers.first() else { return Ok(None) };
        let lacks = || Error::Image("there is no commit in the first layer".to_owned());
        let commit = layer.fetch_commit(&self.store)?.ok_or_else(lacks)?;
        match image.plan.commit.filter(|promised| *promised != commit) {
            Some(promised) => {
                let why = format!("the labels promise commit {promised}, the image holds {commit}");
                Err(Error::Image(why))
            }
            None => Ok(Some(commit)),
        }
    }

    /// The root directory of an image; or a plain layer that has no table of contents.
    pub(super) fn root(&self, image: &'a Compared<'a>) -> Result<Result<RootDir, Digest>> {
        let base = match self.commit(image)? {
            Some(commit) => Some(load_commit(&self.store, &commit)?.root),
            None => None,
        };
        let plain: Vec<_> = image.of_kind(LayerKind::Plain).collect();
        match base {
            Some(root) if plain.is_empty() => Ok(Ok(root)),
            base => {
                let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
                let laid = lay_over(base, &plain, &image.source, self, &mut places, self.ctx);
                drop(places);
                self.told(laid)
            }
        }
    }

    /// What a pull of the newer image would fetch of its layers with objects, if the older one were here.
    pub(super) fn bytes_of_objects(&self) -> u64 {
        self.new.iter().map(|layer| layer.bytes_beside(&self.old)).sum()
    }

    /// What a pull of the newer image would fetch of its layers with objects into the store that is here; nothing is known of
    /// images without a commit.
    pub(super) fn bytes_of_missing_objects(&self, image: &Compared<'_>) -> Result<Option<u64>> {
        let (Some(here), Some(commit)) = (self.here, self.commit(image)?) else { return Ok(None) };
        let mut reachable = Reachable::default();
        let walked = walk_commit(self, &commit, &mut reachable, &mut |_| Ok(()));
        self.told(walked.map_err(Error::from))?;
        let each = self.new.iter().map(|layer| layer.bytes_into(here, &reachable.files));
        each.sum::<Result<u64>>().map(Some)
    }

    /// The content of a file.
    pub(super) fn content(&self, id: FileId) -> Result<Vec<u8>> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&id) {
            return place.read(self.ctx);
        }
        drop(places);
        let object = self.told(self.open_file(&id).map_err(Error::from))?;
        let mut object = object.ok_or_else(|| store::Error::NotFound(id.into()))?;
        let mut content = Vec::new();
        object.read_to_end(&mut content).map_err(Error::io("read", id.to_string()))?;
        Ok(content)
    }

    /// `result`, or the reason for which an object could not be read.
    pub(super) fn told<T>(&self, result: Result<T>) -> Result<T> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (result, failure) {
            (Err(_), Some(failure)) => Err(failure),
            (result, _) => result,
        }
    }

    fn keep<T>(&self, result: Result<T>) -> store::Result<T> {
        result.map_err(|error| {
            let source = std::io::Error::other(WithCauses(&error).to_string());
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            store::Error::Read { what: "layer".into(), source }
        })
    }

    fn fetch_file(&self, id: FileId) -> Result<()> {
        for layer in self.old.iter().chain(&self.new) {
            layer.fetch_file(id, &self.store)?;
        }
        for (source, descriptor) in &self.shared {
            if self.store.contains(&id.into())? {
                break;
            }
            if let Some(layer) = SeenLayer::open(*source, descriptor, self.ctx)? {
                layer.fetch_file(id, &self.store)?;
            }
        }
        Ok(())
    }
}

impl ObjectRead for Trees<'_> {
    fn contains(&self, name: &ObjectName) -> store::Result<bool> {
        Ok(self.store.contains(name)? || self.here.map_or(Ok(false), |here| here.contains(name))?)
    }

    fn read_meta(&self, name: &ObjectName) -> store::Result<Option<Vec<u8>>> {
        if let Some(here) = self.here
            && let Some(bytes) = here.read_meta(name)?
        {
            return Ok(Some(bytes));
        }
        for layer in [&self.new, &self.old] {
            if let Some(bytes) = self.store.read_meta(name)? {
                return Ok(Some(bytes));
            }
            if let Some(layer) = layer.first() {
                self.keep(layer.fetch_metadata([*name].into_iter(), &self.store))?;
            }
        }
        self.store.read_meta(name)
    }

    fn open_file(&self, id: &FileId) -> store::Result<Option<FileObject>> {
        if let Some(here) = self.here
            && let Some(object) = here.open_file(id)?
        {
            return Ok(Some(object));
        }
        self.keep(self.fetch_file(*id))?;
        self.store.open_file(id)
    }
}
