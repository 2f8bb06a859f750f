//! An image that was never ostree's becomes a commit that boots; or is only looked at.

use std::collections::{BTreeMap, BTreeSet};

use ostree_format::{CommitId, FileId};

use super::commit::{Pulled, pull};
use super::merge::{Arrange, merge};
use super::options::PullOptions;
use super::take::{Taken, take};
use crate::base::Ctx;
use crate::container::convert::{Examined, Report, report};
use crate::container::image::{Error, Image, ImageLayer, Result};
use crate::container::store::{KeptLayer, LayerRole, Layers, TakenLayer};
use crate::container::trust::Admitted;
use crate::store::{Begin, Txn};

/// Makes a commit of the files of an image, arranged as [`container::convert`](crate::container::convert) says. The
/// same image gives the same commit, whoever makes it, and so does [`pull`].
///
/// # Errors
/// [`Error::Unsupported`] for an image that holds a commit; and as [`pull`].
pub fn convert(
    image: &Admitted<'_>,
    store: &dyn Begin,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<Pulled> {
    without_commit(image.image()?)?;
    pull(image, store, options, ctx)
}

/// Looks what stands in the way of booting a commit of an image's files. The layers are taken into `store`, of which
/// nothing is seen, and from which all of it is gone at the end.
///
/// # Errors
/// As [`convert`].
pub fn examine(
    image: &Admitted<'_>,
    store: &dyn Begin,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<Report> {
    without_commit(image.image()?)?;
    options.vouching.decided(image)?;
    let txn = store.begin(ctx)?;
    examine_in(&*txn, image, options, ctx)
}

fn examine_in(txn: &dyn Txn, image: &Admitted<'_>, options: &PullOptions<'_>, ctx: &Ctx) -> Result<Report> {
    let plan = image.image()?.plan()?;
    let mut taken = take(image, &plan, txn, options, &ReadAll, ctx)?;
    let merged = merge(image, txn, &mut taken, Arrange::Yes, ctx)?;
    let Some(arranged) = &merged.arranged else { return Err(has_commit(image.image()?)) };
    let (left_out, devices) = not_taken(&taken);
    let examined = Examined { before: merged.before, after: merged.root, arranged, devices, left_out };
    report(txn, &examined, ctx)
}

/// What was left out of the layers.
fn not_taken(taken: &Taken) -> (BTreeMap<String, u64>, BTreeMap<String, &'static str>) {
    let (mut left_out, mut devices) = (BTreeMap::new(), BTreeMap::new());
    for layer in &taken.layers {
        for (name, n) in &layer.left_out {
            *left_out.entry(name.clone()).or_default() += n;
        }
        devices.extend(layer.special.iter().map(|(path, kind)| (path.clone(), *kind)));
    }
    (left_out, devices)
}

fn without_commit(image: &Image) -> Result<()> {
    match image.plan()?.commit_layer().is_some() || image.without_server().on_base()?.is_some() {
        true => Err(has_commit(image)),
        false => Ok(()),
    }
}

fn has_commit(image: &Image) -> Error {
    let why = "holds a commit of ostree already, which 'pull' takes out; nothing is to be converted";
    Error::Unsupported(format!("image {} {why}", image.digest))
}

/// Every layer is read, whatever is here: what was left out of it is kept nowhere.
struct ReadAll;

impl Layers for ReadAll {
    fn kind(&self) -> &'static str {
        "examined"
    }

    fn known(&self, _: &ImageLayer, _: LayerRole) -> Result<Option<KeptLayer>> {
        Ok(None)
    }

    fn keep_chunk(&self, _: &ImageLayer, base: CommitId, _: &BTreeSet<FileId>) -> Result<CommitId> {
        Ok(base)
    }

    fn finished(&self, _: &TakenLayer) -> Result<()> {
        Ok(())
    }
}
