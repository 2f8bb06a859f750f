//! `checkout --composefs`: the image that composefs mounts, in place of files.

use std::fs::{File, Permissions};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};

use super::Args;
use crate::base::VerityDigest;
use crate::cli::terminal::Session;
use crate::cli::whole_file;
use crate::composefs::{FileDigests, TreeImage};
use crate::format::{COMPOSEFS_DIGEST_KEY, Commit};
use crate::repo::Repo;

/// The image that was asked for, if one was.
///
/// # Errors
/// If options were given that say something of files.
pub(super) fn asked_for(args: &Args) -> anyhow::Result<Option<FileDigests>> {
    let digests = match (args.composefs, args.composefs_noverity) {
        (false, false) => return Ok(None),
        (_, true) => FileDigests::Omit,
        (true, false) => FileDigests::Record,
    };
    let of_files = [
        args.disable_cache,
        args.whiteouts,
        args.process_passthrough_whiteouts,
        args.require_hardlinks,
        args.union_add,
        args.union_identical,
        args.force_copy,
        args.force_copy_zerosized,
        args.bareuseronly_dirs,
        args.skip_list.is_some(),
        args.selinux_policy.is_some(),
        args.selinux_prefix.is_some(),
        args.subpath.is_some(),
    ];
    if of_files.contains(&true) {
        bail!("Specified options are incompatible with --composefs");
    }
    Ok(Some(digests))
}

/// Writes the image of a commit, with fs-verity as objects have it. One with digests has to be what the commit's metadata
/// says, if it does.
pub(super) fn write(
    repo: &Repo,
    commit: &Commit,
    destination: &Path,
    digests: FileDigests,
    session: &Session,
) -> anyhow::Result<()> {
    session.ctx.phase("Reading objects", None, None);
    let image =
        TreeImage::of_tree(repo, commit.root, digests, &session.ctx).context("Checking out composefs")?;
    let write = |file: &mut File| {
        let digest = image.write(&mut BufWriter::new(&mut *file)).context("Writing composefs")?;
        if digests == FileDigests::Record {
            check(commit, digest)?;
        }
        Ok(file.set_permissions(Permissions::from_mode(0o644))?)
    };
    whole_file::write_and_finish(destination, write, |file| Ok(repo.protect_file(file)?))
}

/// Compares the digest with that in the commit's metadata.
fn check(commit: &Commit, digest: VerityDigest) -> anyhow::Result<()> {
    let Some(expected) = commit.metadata.get_bytes(COMPOSEFS_DIGEST_KEY) else { return Ok(()) };
    let Ok(expected) = <[u8; 32]>::try_from(expected) else {
        bail!("Expected composefs fs-verity in metadata has the wrong size");
    };
    let expected = VerityDigest::new(expected);
    if digest != expected {
        bail!("Generated composefs image digest ({digest}) doesn't match expected digest ({expected})");
    }
    Ok(())
}
