//! Lists the images of a store, and reads what is known of each.

use ostree_format::CommitId;

use super::ImageStore;
use super::commit::{READ_LAYERS, parse_merge, var_of_layers};
use super::layers::{Holds, LayerIndex};
use super::names::{image_of_ref, image_ref};
use super::record::{IMPORTER, OURS};
use super::update::read_update;
use crate::container::image::{Error, Image, ImageReference, Result};
use crate::store::{Refs, load_commit};
use crate::tar::Var;

/// An image that was pulled.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// The commit of all layers together.
    pub commit: CommitId,
    /// The image. Its documents are kept as canonical JSON, and may have another digest than they had.
    pub image: Image,
    /// An update that was seen, but not pulled yet.
    pub update: Option<Image>,
}

impl StoredImage {
    /// The commit of the operating system: of an image on a base the one that lies on it, of every other that of its first
    /// layer, if it has one.
    ///
    /// # Errors
    /// [`Error::Image`] if the layer's ref is not there; [`Error::Store`].
    pub fn base_commit(&self, store: &(impl ImageStore + ?Sized)) -> Result<CommitId> {
        if let Some(commit) = self.commit_on_base(store)? {
            return Ok(commit);
        }
        let digest = self.image.digest;
        let first = self.image.manifest.layers().first();
        let first = first.ok_or_else(|| Error::Image(format!("image {digest} has no layers")))?;
        let diff_id = self.image.layers()?.first().map(|layer| layer.diff_id);
        // A commit's layer is kept by its own blob alone.
        let diff_id = diff_id.as_ref().map(|id| (id, Holds::Files));
        Ok(LayerIndex::read(store)?.require(first, diff_id)?.1)
    }

    /// The commit that lies on a base in the image, if that is what the image's commit was made of: programs that do not
    /// know such images take their layers for plain ones.
    ///
    /// # Errors
    /// [`Error::Store`] if the image's commit cannot be read; [`Error::Reference`] if the labels are wrong.
    pub(in crate::container) fn commit_on_base(
        &self,
        store: &(impl ImageStore + ?Sized),
    ) -> Result<Option<CommitId>> {
        let Some(on_base) = self.image.without_server().on_base()? else { return Ok(None) };
        let parent = load_commit(store, &self.commit)?.parent;
        Ok(parent.filter(|parent| *parent == on_base.commit))
    }

    /// What became of `var` in the image's plain layers.
    ///
    /// # Errors
    /// [`Error::Store`] if the image's commit cannot be read.
    pub fn var(&self, store: &(impl ImageStore + ?Sized)) -> Result<Var> {
        Ok(var_of_layers(&load_commit(store, &self.commit)?.metadata))
    }

    /// Whether the image is what a pull with this treatment of `var` makes of it. Early versions of this program believed
    /// what other images said of their layers; other programs read them, and say nothing of `var`.
    ///
    /// # Errors
    /// [`Error::Store`] if the image's commit cannot be read; [`Error::Image`] if the image is not what it should be.
    pub fn is_as_pulled_with(&self, store: &(impl ImageStore + ?Sized), var: Var) -> Result<bool> {
        let metadata = load_commit(store, &self.commit)?.metadata;
        if !metadata.get_str(IMPORTER).unwrap_or_default().starts_with(OURS) {
            return Ok(true);
        }
        let is_of_var = var_of_layers(&metadata) == var
            || self.image.plan()?.plain_layers() == 0
            || self.image.without_server().on_base()?.is_some();
        Ok(is_of_var && metadata.contains_key(READ_LAYERS))
    }
}

/// Every image, by name.
///
/// # Errors
/// [`Error::Store`] if refs cannot be read; [`Error::Reference`] if one of them names no image.
pub fn list(store: &(impl Refs + ?Sized)) -> Result<Vec<ImageReference>> {
    let mut images = Vec::new();
    for refspec in store.list()?.keys() {
        images.extend(image_of_ref(refspec)?);
    }
    images.sort();
    Ok(images)
}

/// Reads what is known of an image; `None` if it was not pulled.
///
/// # Errors
/// [`Error::Image`], [`Error::Json`], [`Error::Reference`] if its commit does not say what it has to;
/// [`Error::Store`].
pub fn query(store: &(impl ImageStore + ?Sized), image: &ImageReference) -> Result<Option<StoredImage>> {
    commit_of(store, image)?.map(|commit| query_commit(store, &commit)).transpose()
}

/// Reads what is known of an image, as [`query`] does; an image that was not pulled is an error.
///
/// # Errors
/// As [`query`]; [`Error::NotStored`].
pub fn require(store: &(impl ImageStore + ?Sized), image: &ImageReference) -> Result<StoredImage> {
    query(store, image)?.ok_or_else(|| Error::NotStored(image.clone()))
}

/// Reads what a commit says of the image that it stands for.
///
/// # Errors
/// As [`query`]; [`Error::Image`] if it stands for none.
pub fn query_commit(store: &(impl ImageStore + ?Sized), commit: &CommitId) -> Result<StoredImage> {
    let metadata = load_commit(store, commit)?.metadata;
    let not_an_image = || Error::Image(format!("commit {commit} is not that of an image"));
    let image = parse_merge(commit, &metadata)?.ok_or_else(not_an_image)?;
    Ok(StoredImage { commit: *commit, image, update: read_update(store, commit)? })
}

/// The commit that an image's ref names.
pub(super) fn commit_of(store: &(impl Refs + ?Sized), image: &ImageReference) -> Result<Option<CommitId>> {
    Ok(store.resolve_exact(&image_ref(image)?)?)
}
