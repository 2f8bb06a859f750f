//! A deployment's composefs image, verified as far as is asked for, and mounted.
//!
//! ```text
//! commit ── signed by a key of the initramfs
//!   └ ostree.composefs.digest.v0 ── the fs-verity digest of the image, measured by the kernel
//!       └ deployment/.ostree.cfs ── EROFS: names and modes; digests of files, which overlayfs has verified
//!           └ ostree/repo/objects
//! ```

use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;

use cap_std::fs::{Dir, File};
use composefs_ioctls::loop_device::loopify;
use ostree_format::variant::Dict;
use ostree_format::{COMPOSEFS_DIGEST_KEY, CommitId, CommitRef, MAX_METADATA_BYTES};
use rustix::io::Errno;

use super::config::{Integrity, RootChanges, RootConfig};
use super::mounts::{self, Access, as_option};
use super::{Error, Mounted, Result, Stage, io_error};
use crate::base::{VerityDigest, measure_verity};
use crate::sign::PublicKeys;

/// The name of the image in a deployment.
pub const IMAGE: &str = ".ostree.cfs";
/// The signatures of a commit, in its detached metadata.
pub(in crate::sysroot) const SIGNATURES: &str = "ostree.sign.ed25519";
/// Commits that bootc made of an image have this; their parent is the image's own commit, which may be signed.
pub(in crate::sysroot) const OF_IMAGE: &str = "ostree.container.image-config";

/// Mounts the image of a deployment at `stage.scratch`; `None` if it has no image, and says that.
pub(super) fn mount(
    stage: &Stage<'_>,
    physical: &Dir,
    deployment: &Dir,
    config: &RootConfig,
    keys: Option<&PublicKeys>,
) -> Result<Option<Mounted>> {
    let image = match deployment.open(IMAGE) {
        Ok(image) => image,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("opening", IMAGE)(source)),
    };
    let is_verity_required = config.integrity != Integrity::None;
    if let Some(keys) = keys {
        let expected = sealed_digest(physical, commit_of(stage.deployment)?, keys)?;
        let actual = measure(&image)?;
        if actual != expected {
            return Err(Error::WrongImage { expected, actual });
        }
    }
    let lower = stage.run.join("ostree/.private/cfsroot-lower");
    stage.make_run_dir("ostree/.private/cfsroot-lower", 0o700)?;
    mount_erofs(&image, &lower)?;
    let overlaid = mount_overlay(stage, &lower, config, is_verity_required);
    // The overlay keeps it.
    let detached = mounts::detach(&lower);
    overlaid.and(detached)?;
    let signed_by = keys.map(|_| format!("/{}", config.keys));
    Ok(Some(Mounted { is_verity_required, signed_by }))
}

/// The commit in the name of a deployment, `COMMIT.SERIAL`.
fn commit_of(deployment: &Path) -> Result<CommitId> {
    let name = deployment.file_stem().and_then(|name| name.to_str());
    let commit = name.and_then(|name| name.parse().ok());
    commit.ok_or_else(|| Error::Unnamed(deployment.to_owned()))
}

fn mount_erofs(image: &File, at: &Path) -> Result<()> {
    let try_mount = |fd| mounts::filesystem(&descriptor(fd), at, "erofs", Access::ReadOnly, "");
    let mounted = match try_mount(image.as_raw_fd()) {
        // Kernels before 6.12 want a block device.
        Err(Errno::NOTBLK) => {
            let device = loopify(image).map_err(io_error("making a loop device of", IMAGE))?;
            try_mount(device.as_raw_fd())
        }
        other => other,
    };
    mounted.map_err(mounts::failed("mounting the image at", at))
}

/// The kernel's name of a descriptor.
fn descriptor(fd: i32) -> String {
    format!("/proc/self/fd/{fd}")
}

fn mount_overlay(stage: &Stage<'_>, lower: &Path, config: &RootConfig, verity: bool) -> Result<()> {
    let objects = stage.physical.join("ostree/repo/objects");
    let mut options =
        format!("metacopy=on,redirect_dir=on,lowerdir={}::{}", as_option(lower)?, as_option(&objects)?);
    if config.root != RootChanges::AsMounted {
        // No two roots may write into the same directories, and the one that runs has some already.
        let root = stage.make_new_run_dir("ostree/.private/root")?;
        for (option, dir, mode) in [("upperdir", "upper", 0o755), ("workdir", "work", 0o700)] {
            let dir = format!("{root}/{dir}");
            stage.make_run_dir(&dir, mode)?;
            options.push_str(&format!(",{option}={}", as_option(&stage.run.join(dir))?));
        }
    }
    if verity {
        options.push_str(",verity=require");
    }
    let access = match config.root {
        RootChanges::Transient => Access::ReadWrite,
        RootChanges::AsMounted | RootChanges::TransientReadOnly => Access::ReadOnly,
    };
    let mounted = mounts::filesystem("composefs", stage.scratch, "overlay", access, &options);
    mounted.map_err(mounts::failed("mounting composefs at", stage.scratch))
}

/// The digest of the image that a commit states, once a key has vouched for that commit; of one that was made of a
/// container image, what the commit in that states. `physical` is the physical root.
///
/// # Errors
/// [`Error::NoCommit`], [`Error::NotSigned`], [`Error::Unverified`], [`Error::NoDigest`]; [`Error::Damaged`],
/// [`Error::Io`].
pub fn sealed_digest(physical: &Dir, commit: CommitId, keys: &PublicKeys) -> Result<VerityDigest> {
    let bytes = read_object(physical, commit, "commit")?.ok_or(Error::NoCommit(commit))?;
    let (bytes, detached) = match read_object(physical, commit, "commitmeta")? {
        Some(detached) => (bytes, detached),
        None => base_of(physical, &bytes)?.ok_or(Error::NotSigned(commit))?,
    };
    let detached = Dict::parse(&detached)?;
    let signatures = detached.get_bytes_array(SIGNATURES).ok_or(Error::NotSigned(commit))?;
    keys.verify(&bytes, &signatures).map_err(Error::Unverified)?;
    let digest = CommitRef::parse(&bytes)?.metadata()?;
    let digest = digest.get_bytes(COMPOSEFS_DIGEST_KEY).and_then(|digest| digest.try_into().ok());
    digest.map(VerityDigest::new).ok_or(Error::NoDigest(commit))
}

/// The commit that an image was made of, and its detached metadata, if `merged` is the commit of a pulled image.
fn base_of(physical: &Dir, merged: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let merged = CommitRef::parse(merged)?;
    let (Some(base), true) = (merged.parent, merged.metadata()?.get_str(OF_IMAGE).is_some()) else {
        return Ok(None);
    };
    let commit = read_object(physical, base, "commit")?;
    Ok(commit.zip(read_object(physical, base, "commitmeta")?))
}

/// An object's bytes: the repository is not opened, since nothing of it was verified.
fn read_object(physical: &Dir, commit: CommitId, kind: &str) -> Result<Option<Vec<u8>>> {
    let name = commit.to_string();
    let (first, rest) = name.split_at(2);
    let path = format!("ostree/repo/objects/{first}/{rest}.{kind}");
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        physical.open(&path)?.take(MAX_METADATA_BYTES + 1).read_to_end(&mut bytes)?;
        let is_small = bytes.len() as u64 <= MAX_METADATA_BYTES;
        if is_small { Ok(bytes) } else { Err(io::ErrorKind::FileTooLarge.into()) }
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error("reading", path)(source)),
    }
}

/// What the kernel says of the image, every further read of which it verifies.
fn measure(image: &File) -> Result<VerityDigest> {
    measure_verity(image).map_err(io_error("measuring", IMAGE))?.ok_or(Error::NoVerity)
}
