//! Upgrades of deployments whose origin names an image; and what one would bring.

use std::io::Write;

use anyhow::bail;
use serde::Serialize;

use super::Image;
use super::diff;
use super::update::{PullingOptions, Update, pull};
use super::vouch::Who;
use crate::base::{Ctx, WithCauses};
use crate::cli::images;
use crate::cli::terminal::{self, Session, size};
use crate::container;
use crate::container::diff::{Components, Installed, PackagesDiff, UpdateDiff, diff_update};
use crate::container::image::{ImageSource, OstreeImageReference};
use crate::container::pull::{Check, NameImage, PullOptions, check_image, plan_pull};
use crate::container::store::{StoredImage, query_commit};
use crate::format::CommitId;
use crate::host::{Finish, image_of};
use crate::sysroot::{Deployments, Stateroot, Sysroot};
use crate::tar::Var;

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

/// Upgrades a stateroot whose deployment came from `image`, or lets it change over to that; [`ImageDeployment`] says what
/// no [`Finish`] means.
pub(in crate::cli::verb) fn upgrade(
    sysroot: &Sysroot,
    current: Deployments,
    stateroot: &Stateroot,
    image: &OstreeImageReference,
    (extent, finish, pulling): (Extent, Option<Finish>, &PullingOptions),
    session: &mut Session,
) -> anyhow::Result<Upgraded> {
    let what = &Image::of(image.clone());
    let before = deployed(&current, stateroot, image)?;
    let commit = match extent {
        Extent::DeployOnly => pulled_before(sysroot, image)?,
        Extent::Deploy | Extent::PullOnly => pull(sysroot, what, image, (pulling, NameImage::Yes), session)?,
    };
    if before == Some(commit) {
        return Ok(Upgraded::No);
    }
    if extent == Extent::PullOnly {
        return Ok(Upgraded::Yes);
    }
    let name = NameImage::Yes;
    let update = Update { stateroot, image: what, target: image, kernel_args: None, finish, pulling, name };
    update.deploy(sysroot, current, commit, session)?;
    Ok(Upgraded::Yes)
}

/// The commit of an image as it was pulled last, if that is what a deployment needs.
fn pulled_before(sysroot: &Sysroot, image: &OstreeImageReference) -> anyhow::Result<CommitId> {
    let stored = container::store::require(sysroot.repo(), &image.image)?;
    match stored.is_as_pulled_with(sysroot.repo(), Var::Keep)? {
        true => Ok(stored.commit),
        false => bail!(
            "{image} was pulled for something else than a deployment: upgrade without --deploy-only, which pulls it again"
        ),
    }
}

/// The commit that a stateroot boots next, if it came from this image.
fn deployed(
    current: &Deployments,
    stateroot: &Stateroot,
    image: &OstreeImageReference,
) -> anyhow::Result<Option<CommitId>> {
    // Of all deployments of the stateroot the first is the one that is booted next.
    let next = current.list.iter().find(|deployment| deployment.id.stateroot == *stateroot);
    Ok(match next {
        Some(next) if image_of(next)?.as_ref() == Some(image) => Some(next.id.commit),
        _ => None,
    })
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
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<&'a Components>,
}

/// Tells what an upgrade would bring, and fetches nothing of it but what that takes; what is here is read here.
pub(in crate::cli::verb) fn check(
    sysroot: &Sysroot,
    stateroot: &Stateroot,
    image: &OstreeImageReference,
    (pulling, as_json): (&PullingOptions, bool),
    session: &mut Session,
) -> anyhow::Result<Upgraded> {
    let (repo, ctx) = (sysroot.repo(), session.ctx.clone());
    let who = Who::of(&Image::of(image.clone()), &pulling.keyring, repo)?;
    let opened = images::open(&image.image, &pulling.registry, &ctx)?;
    let admitted = opened.admit(who.demand(), &ctx)?;
    let pull = PullOptions { vouching: who.vouching(), name: None, var: Var::Keep };
    let (stored, is_pulled) = match check_image(repo, &admitted, &image.image, &pull)? {
        Check::Current(stored) => (Some(*stored), true),
        Check::Changed { stored } => (stored.map(|stored| *stored), false),
    };
    let deployed = deployed(&sysroot.load()?, stateroot, image)?;
    let is_deployed = is_pulled && deployed.is_none_or(|it| stored.as_ref().is_some_and(|s| s.commit == it));
    let upgraded = if is_deployed { Upgraded::No } else { Upgraded::Yes };
    // What is deployed counts, not what was pulled since.
    let here = match deployed {
        Some(commit) => query_commit(repo, &commit).ok().or(stored.filter(|_| !is_pulled)),
        None => stored,
    };
    let new = admitted.image()?;
    let plan = plan_pull(&admitted, repo, &pull, &ctx)?;
    let commit = deployed.or(here.as_ref().map(|here| here.commit)).filter(|_| upgraded == Upgraded::Yes);
    let diff = commit.and_then(|commit| {
        let image = here.as_ref().map(|here| &here.image);
        differences(Installed { store: repo, commit, image }, (new, &admitted), &ctx)
    });
    let found = Found { image, new, here: here.as_ref(), diff: diff.as_ref() };
    let fetch = (plan.to_fetch().count(), plan.fetch_bytes());
    match as_json {
        true => found.json(upgraded, fetch, session)?,
        false => found.text(upgraded, fetch, session)?,
    }
    Ok(upgraded)
}

/// What differs between what is here and the new image. Where that cannot be told, the reason is.
fn differences(
    installed: Installed<'_>,
    new: (&container::image::Image, &dyn ImageSource),
    ctx: &Ctx,
) -> Option<UpdateDiff> {
    match diff_update(installed, new, ctx) {
        Ok(diff) => Some(diff),
        Err(error) => {
            terminal::say(format_args!("What differs cannot be told: {}", WithCauses(&error)));
            None
        }
    }
}

/// What was found out about an update.
struct Found<'a> {
    image: &'a OstreeImageReference,
    new: &'a container::image::Image,
    here: Option<&'a StoredImage>,
    diff: Option<&'a UpdateDiff>,
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
            from_digest: self.here.map(|here| here.image.digest.to_string()),
            from_version: self.here.and_then(|here| here.image.version()),
            layers_to_fetch: layers,
            layer_bytes: bytes,
            object_bytes: self.diff.and_then(|diff| diff.object_bytes),
            packages: self.diff.and_then(|diff| diff.packages.as_ref()),
            components: self.diff.map(|diff| &diff.components).filter(|components| !components.is_empty()),
        };
        session.out.json(&json)
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
        if let Some(here) = self.here {
            writeln!(session.out, "Here:            {}", shown(&here.image))?;
        }
        let full = format!("{} as layers ({layers} of them)", size(bytes));
        match self.diff.and_then(|diff| diff.object_bytes) {
            Some(bytes) => {
                writeln!(session.out, "To fetch:        {} object by object, {full}", size(bytes))?
            }
            None => writeln!(session.out, "To fetch:        {full}")?,
        }
        match self.diff {
            Some(found) => {
                diff::components(&found.components, session)?;
                diff::packages(found.packages.as_ref(), session)
            }
            None => Ok(()),
        }
    }
}
