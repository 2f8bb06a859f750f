//! From the kernel to the running system: the deployment that the boot entry names becomes the root file system.
//!
//! ```text
//! initramfs        /sysroot  the physical root, as the initramfs has mounted it
//!   prepare        /         = a deployment, by bind mounts or composefs
//!                  /usr        read-only             /etc   the deployment's own, can be written to
//!                  /sysroot  = the physical root     /run/ostree-booted   what was done, for those below
//! running system   units     mounts of /var and /boot that systemd gets, from a generator
//!   remount        /sysroot, /etc and /var become writable or read-only, after systemd has remounted /
//!   prepare_next   /run/nextroot = another deployment, where a soft reboot looks for its root
//! no initramfs     the kernel has mounted the physical root and executes this program in place of init
//!   take_over      the same mounts, and /boot, /run and /var, which no systemd has a generator's units for
//! ```
//! It does what libostree's `ostree-prepare-root`, `ostree-system-generator` and `ostree-remount` do, on the same files,
//! so that a machine may have some of these and some of those. Source: `src/switchroot` and `src/libotcore` of libostree
//! 2026.4.

mod booted;
mod cmdline;
mod composefs;
mod config;
mod error;
mod mounts;
mod next;
mod remount;
mod root;
mod take_over;
mod units;

use std::path::{Path, PathBuf};

use cap_std::fs::Dir;
use ostree_format::keyfile::KeyFile;
use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;

pub use self::booted::{Booted, Mounted};
pub use self::cmdline::{Target, UnknownSlot};
pub use self::composefs::{IMAGE, sealed_digest};
pub(super) use self::composefs::{OF_IMAGE, SIGNATURES};
pub use self::config::{Composefs, Integrity, RootChanges, RootConfig, RootConfigError};
use self::error::io_error;
pub use self::error::{Error, Result};
use self::mounts::Access;
pub(super) use self::mounts::as_option;
pub use self::next::{clear_next, prepare_next};
pub use self::remount::remount;
pub use self::take_over::take_over;
pub use self::units::{NoStateroot, Unit, UnitContent, UnitFacts, units};
use crate::sign::{KeyKind, PublicKeys};

/// Where the new root is put together, below the root of the initramfs.
const SCRATCH: &str = "sysroot.tmp";

/// A directory, and the path by which the kernel is told of it.
#[derive(Debug)]
pub struct Place {
    /// The path, without links in it.
    pub path: PathBuf,
    /// The directory.
    pub dir: Dir,
}

/// What became the root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The deployment's directory, below the physical root.
    pub deployment: PathBuf,
    /// What was written to `/run/ostree-booted`.
    pub booted: Booted,
    /// Whether the physical root was mounted for writing, too.
    pub is_physical_writable: bool,
}

/// Makes the deployment that `cmdline` names the root file system, mounted where the physical root is mounted now.
/// `initramfs` is the root directory of this process.
///
/// # Errors
/// [`Error`]; mounts that were made stay, and the initramfs stops.
pub fn prepare(initramfs: &Place, physical: &Place, cmdline: &str) -> Result<Prepared> {
    let target = Target::of(cmdline)?.ok_or(Error::NoTarget)?;
    let config = RootConfig::load(&initramfs.dir, cmdline)?;
    let keys = load_keys(&initramfs.dir, &config)?;
    let (deployment, dir) = find(&physical.dir, &target)?;
    let stage = Stage {
        root: &initramfs.path,
        root_dir: &initramfs.dir,
        run: &initramfs.path.join("run"),
        run_dir: &initramfs.dir.open_dir("run").map_err(io_error("opening", "run"))?,
        physical: &physical.path,
        scratch: &initramfs.path.join(SCRATCH),
        deployment: &deployment,
    };
    stage.make_run_dir("ostree", 0o755)?;
    // Only root passes through.
    stage.make_run_dir("ostree/.private", 0)?;
    let is_physical_writable = Access::of(&physical.path)? == Access::ReadWrite;
    let booted = Booted::before_mounts(&dir, &deployment, &config)?;
    let mut booted = Booted { is_sysroot_readonly: is_sysroot_readonly(&config, &physical.dir), ..booted };
    root::assemble(&stage, &config, keys.as_ref(), physical, &dir, &mut booted)?;
    Ok(Prepared { deployment, booted, is_physical_writable })
}

/// Whether the running system may not write to the physical root.
fn is_sysroot_readonly(config: &RootConfig, physical: &Dir) -> bool {
    match (config.is_sysroot_readonly, config.composefs) {
        (Some(true), _) | (None, Composefs::Yes) => true,
        // Before anything is verified, nothing of the physical root decides.
        (Some(false), Composefs::Yes) => false,
        _ => is_readonly_by_repo(physical),
    }
}

/// The names of what takes part.
struct Stage<'a> {
    /// The root directory of this process: that of the initramfs, say.
    root: &'a Path,
    root_dir: &'a Dir,
    /// The directory `run` in it, for what lasts until the machine is turned off.
    run: &'a Path,
    run_dir: &'a Dir,
    /// The physical root.
    physical: &'a Path,
    /// Where the new root is put together.
    scratch: &'a Path,
    /// The deployment, below the physical root.
    deployment: &'a Path,
}

impl Stage<'_> {
    /// Makes a directory below `run`, unless it is there.
    fn make_run_dir(&self, path: &str, mode: u32) -> Result<()> {
        make_dir(self.run_dir, path, mode)
            .map_err(|errno| io_error("creating", self.run.join(path))(errno.into()))
    }

    /// Makes a directory below `run` that nobody else has: after a soft reboot there may be one already.
    fn make_new_run_dir(&self, prefix: &str) -> Result<String> {
        let mut number = 0_u32;
        loop {
            let path = format!("{prefix}.{number:06}");
            match mkdirat(self.run_dir, &*path, Mode::RWXU) {
                Ok(()) => return Ok(path),
                Err(Errno::EXIST) => number += 1,
                Err(errno) => return Err(io_error("creating", self.run.join(path))(errno.into())),
            }
        }
    }
}

/// Makes a directory, unless it is there.
fn make_dir(dir: &Dir, path: impl AsRef<Path>, mode: u32) -> Result<(), Errno> {
    match mkdirat(dir, path.as_ref(), Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// The deployment that the link of a boot entry leads to.
fn find(physical: &Dir, target: &Target) -> Result<(PathBuf, Dir)> {
    let link = Path::new(target.link.trim_start_matches('/'));
    let found = physical.symlink_metadata(link).map_err(io_error("finding the deployment", link))?;
    if !found.is_symlink() {
        return Err(Error::NotALink(target.link.clone()));
    }
    let path = physical.canonicalize(link).map_err(io_error("following", link))?;
    let dir = physical.open_dir(&path).map_err(io_error("opening", &path))?;
    Ok((path, dir))
}

/// The keys that have to vouch for the commit, if a signature is asked for.
fn load_keys(root: &Dir, config: &RootConfig) -> Result<Option<PublicKeys>> {
    if config.integrity != Integrity::Signed {
        return Ok(None);
    }
    let text = root.read_to_string(&config.keys).map_err(io_error("reading public keys of", &config.keys))?;
    let mut keys = PublicKeys::new(KeyKind::Ed25519);
    match keys.trust_file(&text) {
        Ok(0) => Err(Error::NoKeys(config.keys.clone())),
        Ok(_) => Ok(Some(keys)),
        Err(_) => Err(Error::NoKeys(config.keys.clone())),
    }
}

/// What the repository's own configuration says, where `prepare-root.conf` says nothing.
fn is_readonly_by_repo(physical: &Dir) -> bool {
    let config = physical.read("ostree/repo/config").ok().and_then(|data| KeyFile::parse(&data).ok());
    let value = config.and_then(|config| config.get_bool("sysroot", "readonly").ok().flatten());
    value.unwrap_or(false)
}
