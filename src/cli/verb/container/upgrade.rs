//! Upgrades of deployments whose origin names an image; and what one would bring.

use std::io::Write;

use serde::Serialize;

use super::Image;
use super::diff;
use super::update::{Pulling, Update, pull};
use super::vouch::Who;
use crate::cli::images;
use crate::cli::terminal::{self, Session, size};
use crate::container;
use crate::container::diff::{DiffOptions, ImageDiff, PackagesDiff, diff_images};
use crate::container::image::OstreeImageReference;
use crate::container::pull::{Check, PullOptions, check_image, plan_pull};
use crate::container::store::StoredImage;
use crate::host::image_of;
use crate::sysroot::{Deployments, Stateroot, Sysroot};

/// How far an upgrade goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::verb) enum Extent {
    /// The image is pulled and deployed.
    Deploy,
    /// The image is pulled.
    PullOnly,
    /// The image is deployed as it was pulled last.
    DeployOnly,
}

/// Whether an upgrade changed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli::verb) enum Upgraded {
    /// There is a new deployment, or what would be one was pulled.
    Yes,
    /// There was nothing new.
    No,
}

/// Upgrades a stateroot whose deployment came from `image`, or lets it change over to that.
pub(in crate::cli::verb) fn upgrade(
    sysroot: &Sysroot,
    current: Deployments,
    stateroot: &Stateroot,
    image: &OstreeImageReference,
    (extent, pulling): (Extent, Pulling<'_>),
    session: &mut Session,
) -> anyhow::Result<Upgraded> {
    let what = &Image::of(image.clone());
    // Of all deployments of the stateroot the first is the one that is booted next.
    let next = current.list.iter().find(|deployment| deployment.id.stateroot == *stateroot);
    let before = match next {
        Some(next) if image_of(next)?.as_ref() == Some(image) => Some(next.id.commit),
        _ => None,
    };
    let commit = match extent {
        Extent::DeployOnly => container::store::require(sysroot.repo(), &image.image)?.commit,
        Extent::Deploy | Extent::PullOnly => pull(sysroot, what, image, pulling, session)?,
    };
    if before == Some(commit) {
        return Ok(Upgraded::No);
    }
    if extent == Extent::PullOnly {
        return Ok(Upgraded::Yes);
    }
    let update = Update { stateroot, image: what, target: image, kernel_args: None, pulling };
    update.deploy(sysroot, current, commit, session)?;
    Ok(Upgraded::Yes)
}

/// An update that there is, for programs.
#[derive(Serialize)]
struct Json<'a> {
    image: String,
    changed: bool,
    digest: String,
    version: Option<String>,
    from_digest: Option<String>,
    from_version: Option<String>,
    layers_to_fetch: usize,
    layer_bytes: u64,
    object_bytes: Option<u64>,
    packages: Option<&'a PackagesDiff>,
}

/// Tells what an upgrade would bring, and fetches nothing of it but what that takes.
pub(in crate::cli::verb) fn check(
    sysroot: &Sysroot,
    image: &OstreeImageReference,
    pulling: Pulling<'_>,
    as_json: bool,
    session: &mut Session,
) -> anyhow::Result<Upgraded> {
    let (repo, ctx) = (sysroot.repo(), session.ctx.clone());
    let who = Who::of(&Image::of(image.clone()), pulling.keyring, repo)?;
    let opened = images::open(&image.image, pulling.registry, &ctx)?;
    let admitted = opened.admit(who.demand(), &ctx)?;
    let pull = PullOptions { vouching: who.vouching(), ..PullOptions::default() };
    let (stored, upgraded) = match check_image(repo, &admitted, &image.image, &pull)? {
        Check::Current(stored) => (Some(stored), Upgraded::No),
        Check::Changed { stored } => (stored, Upgraded::Yes),
    };
    let new = admitted.image()?;
    let plan = plan_pull(&admitted, repo, &pull, &ctx)?;
    let diff = match &stored {
        Some(stored) if upgraded == Upgraded::Yes => differences(stored, new, &admitted, session),
        _ => None,
    };
    let found = Found { image, new, stored: stored.as_deref(), diff: diff.as_ref() };
    let fetch = (plan.to_fetch().count(), plan.fetch_bytes());
    match as_json {
        true => found.json(upgraded, fetch, session)?,
        false => found.text(upgraded, fetch, session)?,
    }
    Ok(upgraded)
}

/// What differs between the image that is here and the new one. The layers of the former may be gone from where it came:
/// then nothing is known, and that is said.
fn differences(
    stored: &StoredImage,
    new: &container::image::Image,
    source: &container::trust::Admitted<'_>,
    session: &Session,
) -> Option<ImageDiff> {
    let options = DiffOptions { packages: true };
    match diff_images((&stored.image, source), (new, source), options, &session.ctx) {
        Ok(diff) => Some(diff),
        Err(error) => {
            terminal::say(format_args!("The two images cannot be compared: {error}"));
            None
        }
    }
}

/// What was found out about an update.
struct Found<'a> {
    image: &'a OstreeImageReference,
    new: &'a container::image::Image,
    stored: Option<&'a StoredImage>,
    diff: Option<&'a ImageDiff>,
}

impl Found<'_> {
    fn json(
        &self,
        upgraded: Upgraded,
        (layers, bytes): (usize, u64),
        session: &mut Session,
    ) -> anyhow::Result<()> {
        let json = Json {
            image: self.image.to_string(),
            changed: upgraded == Upgraded::Yes,
            digest: self.new.digest.to_string(),
            version: self.new.version(),
            from_digest: self.stored.map(|stored| stored.image.digest.to_string()),
            from_version: self.stored.and_then(|stored| stored.image.version()),
            layers_to_fetch: layers,
            layer_bytes: bytes,
            object_bytes: self.diff.and_then(|diff| diff.object_bytes),
            packages: self.diff.and_then(|diff| diff.packages.as_ref()),
        };
        serde_json::to_writer(&mut session.out, &json)?;
        Ok(writeln!(session.out)?)
    }

    fn text(
        &self,
        upgraded: Upgraded,
        (layers, bytes): (usize, u64),
        session: &mut Session,
    ) -> anyhow::Result<()> {
        if upgraded == Upgraded::No {
            return Ok(writeln!(session.out, "No update available.")?);
        }
        let shown = |image: &container::image::Image| match image.version() {
            Some(version) => format!("{} (version {version})", image.digest),
            None => image.digest.to_string(),
        };
        writeln!(session.out, "Update of {}: {}", self.image, shown(self.new))?;
        if let Some(stored) = self.stored {
            writeln!(session.out, "Here:            {}", shown(&stored.image))?;
        }
        let full = format!("{} as layers ({layers} of them)", size(bytes));
        match self.diff.and_then(|diff| diff.object_bytes) {
            Some(bytes) => {
                writeln!(session.out, "To fetch:        {} object by object, {full}", size(bytes))?
            }
            None => writeln!(session.out, "To fetch:        {full}")?,
        }
        match self.diff {
            Some(found) => diff::packages(found.packages.as_ref(), session),
            None => Ok(()),
        }
    }
}
