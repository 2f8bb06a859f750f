//! `admin upgrade` and `admin switch` where upgrades come from a container image.

use std::io::Write;

use super::upstream::Common;
use crate::cli::terminal::{Nothing, Session};
use crate::cli::verb::container::update::PullingOptions;
use crate::cli::verb::container::upgrade::{Extent, Upgraded, check, upgrade};
use crate::container::image::OstreeImageReference;
use crate::sysroot::{Deployments, Stateroot, Sysroot};

/// The image that a text names, if it begins as the name of one does: `ostree-image-signed:…` and the like.
///
/// # Errors
/// What is wrong with the name.
pub(super) fn parse(text: &str) -> anyhow::Result<Option<OstreeImageReference>> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    match scheme.is_some_and(|scheme| OstreeImageReference::SCHEMES.contains(&scheme)) {
        true => Ok(Some(text.parse()?)),
        false => Ok(None),
    }
}

/// Lets a stateroot boot what the image is now; says whether that is something new.
pub(super) fn deploy(
    sysroot: &Sysroot,
    current: Deployments,
    (stateroot, image): (&Stateroot, &OstreeImageReference),
    (extent, common): (Extent, &Common),
    session: &mut Session,
) -> anyhow::Result<Upgraded> {
    let how = (extent, common.finish(), &common.pulling);
    let upgraded = upgrade(sysroot, current, stateroot, image, how, session)?;
    if upgraded == Upgraded::No {
        writeln!(session.out, "No update available.")?;
    }
    Ok(upgraded)
}

/// Tells what an upgrade would bring; there is an exit code for nothing.
pub(super) fn look(
    sysroot: &Sysroot,
    (stateroot, image): (&Stateroot, &OstreeImageReference),
    how: (&PullingOptions, bool),
    session: &mut Session,
) -> anyhow::Result<()> {
    match check(sysroot, stateroot, image, how, session)? {
        Upgraded::Yes => Ok(()),
        Upgraded::No => Err(Nothing.into()),
    }
}
