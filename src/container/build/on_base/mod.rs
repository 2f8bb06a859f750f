//! An image of a commit on the layers of another image, its base.
//!
//! ```text
//! layers    0 … n-1   the base's blobs, byte for byte; where they lie as files, compressed again, with the same diffids
//!           n         what the commit has otherwise:
//!             ./  sysroot/ostree/repo/…           the repository, as in every image of a commit
//!             objects/….commit .commitmeta        and its signature
//!             objects/….dirtree .dirmeta          all of them
//!             DIR/                                directories of another owner, mode or xattrs, and those above all
//!                                                 that follows
//!             DIR/.wh.NAME                        what the base has and the commit has not
//!             objects/….file-xattrs(-link)        of content that the base has; without one there are no xattrs
//!             objects/….file · DIR/NAME           content that the base has not at this path, or with another owner,
//!                                                 mode or xattrs; with the xattrs of each, as in every image
//! labels    io.github.ostree-rs.on-base.commit    the commit
//!           io.github.ostree-rs.on-base.diffid    of layer n: what lies on top of it is not the commit's
//!           neither ostree.commit nor ostree.final-diffid: for bootc it is a plain image, ostree-ext 0.15 takes none
//! annotation org.opencontainers.image.base.digest the base's manifest
//! ```
//! `usr/etc` of the commit is `etc`, here and in the base. Whoever unpacks the layers in their order sees the checkout of
//! the commit; times of files are the base's, since commits have none, and labels of SELinux are left to whoever runs it.
//! Below `sysroot` nothing of the base is taken away.
//!
//! A puller reads layer n first. Its dirtrees say which object lies at which path; the base's entry there says owner, mode
//! and content, the link, if there is one, says xattrs, and the object is taken if its checksum is the one that was asked
//! for. The builder does the same ([`BaseSearch`](crate::tar::BaseSearch)), and what it does not find goes into layer n.

mod compare;
mod merged;
mod passing;

use oci_spec::image::{Arch, Config};
use ostree_format::CommitId;

use self::compare::compare;
use self::passing::Passing;
use super::documents::{BasePart, Outline};
use super::plan::{BuildOptions, Built, LayerRecipe, server_recipe};
use super::write::write_layers;
use crate::base::Ctx;
use crate::container::blob::KnownLayers;
use crate::container::image::{Image, ImageDest, ImageSource, LayerKind, Result, platform_of};
use crate::container::place::{copy_base, oci_descriptor};
use crate::store::{ObjectRead, load_commit};
use crate::tar::{ContentOrder, ExportOptions, StreamPart, XattrDialect, export_commit};

/// Builds an image of `commit` on the layers of the image in `base`, and stores it in `dest`. Containers are run as the
/// base's are, where `options` say nothing else; its labels do not count. Layers are copied that `dest` has not, and none
/// is divided: [`BuildOptions::layering`] is not asked.
///
/// # Errors
/// As [`build`](super::build()); [`Error::Unsupported`](crate::container::image::Error::Unsupported) if the commit has a
/// name that takes files away in a layer; what `base` says, and an error of the kind
/// [`Damaged`](crate::base::ErrorKind::Damaged) if a layer of it has files below something that is no directory.
pub fn build_on_base(
    store: &dyn ObjectRead,
    commit: &CommitId,
    base: &dyn ImageSource,
    dest: &dyn ImageDest,
    options: &BuildOptions,
    ctx: &Ctx,
) -> Result<Built> {
    let object = load_commit(store, commit)?;
    let platform = platform_of(store, commit, options.platform.as_ref())?;
    let architecture = Arch::from(&*platform.architecture);
    if let Some(server) = &options.server {
        server.program.check(&platform)?;
    }
    let image = Image::fetch(base, &architecture)?;
    let mut passing = Passing::new(base, dest);
    let what = compare(store, commit, &mut passing, &image, ctx)?;
    let passed = passing.done();
    let config = options.config.clone().or_else(|| container_config(&image));
    let options = BuildOptions { config, ..options.clone() };
    let outline = Outline::new(commit, &object, platform, &[], &options)?;
    let (base_layers, copied) = copy_base(base, dest, &image, &passed.blobs, ctx)?;
    let part = BasePart {
        commit: *commit,
        manifest: image.digest,
        layers: base_layers.iter().map(oci_descriptor).collect(),
        diff_ids: image.config.rootfs().diff_ids().clone(),
        history: image.config.history().clone().unwrap_or_default(),
    };
    let outline = outline.on_base(part);
    ctx.phase("Building image", None, None);
    let order = if options.compression.is_chunked() { ContentOrder::Path } else { ContentOrder::Checksum };
    let export = ExportOptions { part: StreamPart::OnBase(&what), xattrs: XattrDialect::Linked, order };
    let recipe = LayerRecipe {
        kind: LayerKind::Commit,
        components: None,
        size_bytes: None,
        stream: Box::new(|out, ctx| Ok(export_commit(store, commit, out, &export, ctx)?)),
    };
    let (mut recipes, mut outline) = (vec![recipe], outline);
    if let Some(server) = &options.server {
        recipes.push(server_recipe(store, commit, server, &what.in_base)?);
        outline = outline.with_server();
    }
    let compression = dest.compression(options.compression);
    let mut known = KnownLayers::default();
    for image in options.previous.clone().into_iter().chain(dest.current(&architecture)?) {
        known.add(&image, compression);
    }
    let layers = write_layers(dest, compression, &recipes, &known, ctx)?;
    let manifest = outline.put(dest, compression, &layers)?;
    let top = Built::new(manifest, &layers);
    Ok(Built {
        layers: top.layers + base_layers.len(),
        reused: top.reused + copied.reused as usize,
        written_bytes: top.written_bytes + passed.bytes + copied.sent_bytes,
        ..top
    })
}

/// How containers of an image are run.
fn container_config(image: &Image) -> Option<Config> {
    let mut config = image.config.config().clone()?;
    config.set_labels(None);
    Some(config)
}
