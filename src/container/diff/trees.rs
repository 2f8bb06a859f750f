//! The trees of two images as one store, whose objects are fetched when they are read.
//!
//! ```text
//! layers of a commit     index ► the commit, dirtrees that only one image has ► the others when they are read
//! plain layers           tables of contents ► directories with made-up ids of files: see `tables`
//! ```

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};

use oci_spec::image::Descriptor;
use ostree_format::{FileId, ObjectName, RootDir};

use super::Compared;
use super::tables::{Place, lay_over};
use crate::base::Ctx;
use crate::container::image::{Digest, Error, ImageSource, LayerKind, Result};
use crate::container::pull::SeenLayer;
use crate::store::{self, FileObject, MemStore, ObjectRead, load_commit};

/// Both images, as far as they were looked into.
pub(super) struct Trees<'a> {
    /// What was fetched so far.
    pub(super) store: MemStore,
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
    /// Fetches the indexes of the layers that differ, and the metadata that only one of the images has.
    pub(super) fn open(old: &'a Compared<'a>, new: &'a Compared<'a>, ctx: &'a Ctx) -> Result<Opened<'a>> {
        let mut trees = Self {
            store: MemStore::new(),
            old: Vec::new(),
            new: Vec::new(),
            shared: Vec::new(),
            places: Mutex::default(),
            failure: Mutex::default(),
            ctx,
        };
        for image in [old, new] {
            for (number, descriptor) in image.layers_of_commit() {
                // The commit is in the first one.
                if number > 0 && image.is_shared(descriptor) {
                    trees.shared.push((&image.source, descriptor));
                    continue;
                }
                let Some(layer) = SeenLayer::open(&image.source, descriptor, ctx)? else {
                    return Ok(Opened::Unlisted(Digest::of_descriptor(descriptor)?));
                };
                if std::ptr::eq(image, old) { trees.old.push(layer) } else { trees.new.push(layer) }
            }
        }
        let names = |layers: &[SeenLayer<'_>]| layers.first().map(SeenLayer::metadata).unwrap_or_default();
        let (of_old, of_new) = (names(&trees.old), names(&trees.new));
        for (layer, mine, others) in [(&trees.old, &of_old, &of_new), (&trees.new, &of_new, &of_old)] {
            if let Some(layer) = layer.first() {
                layer.fetch_metadata(mine.difference(others).copied(), &trees.store)?;
            }
        }
        Ok(Opened::Trees(Box::new(trees)))
    }

    /// The root directory of an image; or a plain layer that has no table of contents.
    pub(super) fn root(&self, image: &'a Compared<'a>) -> Result<Result<RootDir, Digest>> {
        let layers = if image.is_new { &self.new } else { &self.old };
        let base = match layers.first().filter(|_| image.layers_of_commit().next().is_some()) {
            None => None,
            Some(layer) => {
                let lacks = || Error::Image("there is no commit in the first layer".to_owned());
                let commit = layer.fetch_commit(&self.store)?.ok_or_else(lacks)?;
                if let Some(promised) = image.plan.commit.filter(|promised| *promised != commit) {
                    let why = format!("the labels promise commit {promised}, the image holds {commit}");
                    return Err(Error::Image(why));
                }
                Some(load_commit(&self.store, &commit)?.root)
            }
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
            let source = std::io::Error::other(error.to_string());
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
        self.store.contains(name)
    }

    fn read_meta(&self, name: &ObjectName) -> store::Result<Option<Vec<u8>>> {
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
        self.keep(self.fetch_file(*id))?;
        self.store.open_file(id)
    }
}
