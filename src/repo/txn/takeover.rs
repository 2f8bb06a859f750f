//! Objects that an earlier transaction of this boot staged, taken over.
//!
//! ```text
//! object ► is it what its name says? ─┬─ yes ► staged
//!                                     └─ no  ► removed, the journal first
//! ```
//! Nothing had made them reach the disk. Where the file system was mounted anew since then, after it had failed or been
//! pulled out, some are empty or hold something else.

use ostree_format::{FileId, ObjectName, ObjectType};

use super::super::dir::ObjectDir;
use super::super::read::read_meta_in;
use super::super::staging::Staging;
use super::super::{Repo, sys};
use super::names::Names;
use crate::base::{Ctx, ErrorKind, Kind as _, with_pool};
use crate::store::{Error, Result, verify_file, verify_meta};

/// The objects in `staging`, each of them verified.
pub(super) fn take_staged(repo: &Repo, staging: &Staging<'_>, ctx: &Ctx) -> Result<Names> {
    let written = Names::new();
    let dirs = staging.objects.dirs()?;
    with_pool(ctx, u64::MAX, |pool| {
        let written = &written;
        dirs.iter().try_for_each(|dir| pool.submit(0, move || take_dir(repo, staging, dir, written, ctx)))
    })?;
    Ok(written)
}

fn take_dir(repo: &Repo, staging: &Staging<'_>, dir: &str, written: &Names, ctx: &Ctx) -> Result<()> {
    let objects = &staging.objects;
    for name in objects.names_in(dir, repo.mode())?.into_iter().flatten() {
        match verify(repo, objects, &name, ctx) {
            Ok(()) => written.insert(name),
            Err(e) if matches!(e.kind(), ErrorKind::Cancelled | ErrorKind::Exhausted) => return Err(e),
            Err(_) => {
                staging.remove_journal()?;
                let path = name.loose_path(repo.mode());
                sys::unlink(objects, &path).map_err(|e| objects.failed("unlink", &path, e))?;
            }
        }
    }
    Ok(())
}

fn verify(repo: &Repo, objects: &ObjectDir, name: &ObjectName, ctx: &Ctx) -> Result<()> {
    ctx.cancel.check()?;
    if name.kind == ObjectType::File {
        let id = FileId::new(name.checksum);
        let file = repo.format.open(objects, &id)?.ok_or(Error::NotFound(*name))?;
        return verify_file(&id, file, &ctx.cancel).map(drop);
    }
    if name.kind == ObjectType::PayloadLink {
        // One that leads nowhere harms nobody.
        return Ok(());
    }
    let bytes = read_meta_in(objects, name, repo.mode())?.ok_or(Error::NotFound(*name))?;
    // Detached metadata have no checksum of their own; what is lost reads as nothing or as zeros.
    match name.kind == ObjectType::CommitMeta && bytes.iter().all(|byte| *byte == 0) {
        true => Err(Error::NotFound(*name)),
        false => verify_meta(name, &bytes),
    }
}
