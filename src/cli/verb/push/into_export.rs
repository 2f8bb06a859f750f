//! Pushes into what `serve --export` wrote.
//!
//! ```text
//! DIR/repo   objects, then refs      as into any archive
//! DIR        summary, then images of refs that changed, then pages
//! ```
//! Whoever breaks off before the end has done no harm: each step names only what is there, and the next push goes on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::{Done, Pushed};
use crate::base::Ctx;
use crate::cli::locate;
use crate::cli::room::{Kept, Writing};
use crate::cli::verb::serve::SiteOptions;
use crate::host::Machine;
use crate::repo::Repo;
use crate::serve::LockedExport;

/// The export that a path leads to, by itself or by its repository.
pub(super) fn find(path: &Path) -> Option<PathBuf> {
    let is_export = |path: &PathBuf| path.join("repo/config").is_file() && path.join("v2/_catalog").is_file();
    [path.to_owned(), path.join("..")].into_iter().find(is_export)
}

/// Pushes commits and refs into an export, and lets the rest of it tell of them.
pub(super) fn push(
    path: &Path,
    site: &SiteOptions,
    source: &Repo,
    pushed: &Pushed,
    ctx: &Ctx,
) -> anyhow::Result<Done> {
    let place = || Writing {
        place: format!("Exporting into {}", path.display()),
        path: Some(path.to_owned()),
        kept: Kept::Nothing,
    };
    let dir = Dir::open_ambient_dir(path, ambient_authority()).with_context(place)?;
    let export = LockedExport::lock(&dir).with_context(place)?;
    // What only those need who write into a repository is not exported.
    dir.create_dir_all("repo/state").with_context(place)?;
    let (machine, dest) = (Machine::from_env(), locate::open(&path.join("repo"))?);
    let options = site.for_server(machine.scratch(&dest)?, None, &machine)?;
    if options.signer.is_none() && dest.signed_summary()?.is_some() {
        bail!("the summary in {} is signed, so the next one has to be: --gpg-sign=KEY-ID", path.display());
    }
    let done = pushed.copy(source, &dest, ctx)?;
    machine.allow_many_files();
    let renewed = export.renew(dest, options, ctx).with_context(place)?;
    tracing::debug!(written = renewed.written, kept = renewed.kept, "export renewed");
    Ok(done)
}
