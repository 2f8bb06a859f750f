//! What a sysroot has to be told of the machine that it is looked at from.

use cap_std::fs::Dir;

use super::bootloader::Programs;
use crate::base::Inode;

/// What a sysroot has to be told of the machine: who looks at the directory of another machine, such as an image
/// that is being made, tells nothing, which is the default.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The directory of the deployment that runs, if the sysroot is that of the running system.
    pub booted: Option<Inode>,
    /// The directory that is `/`: it is never deleted.
    pub root: Option<Inode>,
    /// The directory `/run`, which lasts until the machine restarts. It keeps what was staged and unlocked, and
    /// initial RAM disks on their way to `/boot`.
    pub run: Option<Dir>,
    /// The directory `/var`, if the sysroot is that of the running system: it may be a file system of its own.
    pub var: Option<Dir>,
    /// What the user has named to be executed for a boot loader.
    pub programs: Option<Box<dyn Programs>>,
    /// Deviations from how things are done.
    pub tunables: Tunables,
}

/// Deviations from how things are done, as `OSTREE_SYSROOT_OPTS` and `OSTREE_SYSROOT_DEBUG` ask for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tunables {
    /// `skip-sync`: the disk is not waited for.
    pub skip_sync: bool,
    /// `no-early-prune`: old kernels stay until the new ones are there, also where both do not fit.
    pub no_early_prune: bool,
    /// `bootloader-naming-1`: the names of boot entries have the stateroot in them, as before 2024.5.
    pub stateroot_in_names: bool,
    /// `mutable-deployments`: the directory of a deployment is not made immutable.
    pub mutable: bool,
    /// `no-xattrs`: the merge of `/etc` leaves xattrs out.
    pub no_xattrs: bool,
    /// `no-dtb`: device trees in the directory of a kernel are left out.
    pub no_device_trees: bool,
}

impl Tunables {
    /// Reads the two lists; words in them that nobody knows mean nothing.
    pub fn parse(options: &str, debug: &str) -> Self {
        let words =
            |text: &str, word: &str| text.split([':', ';', ',', ' ', '\t']).any(|known| known == word);
        let (option, debug) = (|word| words(options, word), |word| words(debug, word));
        Self {
            skip_sync: option("skip-sync"),
            no_early_prune: option("no-early-prune"),
            stateroot_in_names: option("bootloader-naming-1"),
            mutable: debug("mutable-deployments"),
            no_xattrs: debug("no-xattrs"),
            no_device_trees: debug("no-dtb"),
        }
    }
}
