//! A commit's tree, or a part of it, becomes a directory.
//!
//! ```text
//! queue (last in, first out) ─▶ directory: mkdirat 0700 ─▶ files ─▶ its directories into the queue
//!                                    └── when all below is done: fchmod, fchown, futimens
//! ```
//! Where the store keeps a file just as it is asked for, a file is one `linkat`. Nothing below the destination
//! is followed if it is a symbolic link, also where libostree does: a tree must not reach out of its place.

mod dir;
mod file;
mod link;
mod overwrite;
mod queue;
mod target;

use std::os::fd::AsFd;
use std::path::Path;

use ostree_format::{RepoMode, RootDir};

use crate::base::Ctx;
use crate::store::selinux::Labeling;
use crate::store::{ObjectRead, Result, SkipList};

/// Options for a checkout.
#[derive(Debug, Clone, Default)]
pub struct CheckoutOptions {
    /// The owner that the files get.
    pub ownership: Ownership,
    /// The treatment of files that are there already.
    pub overwrite: Overwrite,
    /// The choice between hard links and copies.
    pub linking: Linking,
    /// The treatment of files that the store keeps in another form, in a checkout of the current user.
    pub plain_files: PlainFiles,
    /// The meaning of `.wh.NAME`.
    pub whiteouts: Whiteouts,
    /// The meaning of `.ostree-wh.NAME`.
    pub passthrough_whiteouts: PassthroughWhiteouts,
    /// The permissions that directories get.
    pub directory_modes: DirectoryModes,
    /// The only file or directory of the tree that is checked out; everything if `None`.
    pub subpath: Option<String>,
    /// The treatment of a subpath that the tree does not have.
    pub missing_subpath: MissingSubpath,
    /// Paths that are left out: `/usr/bin/su`, and with a slash at the end for a directory `/usr/share/doc/`.
    pub skip: SkipList,
    /// SELinux labels in place of those in the commit, which stay where the policy has none; not with
    /// [`Ownership::User`]. Hard links keep the label of the object: who wants new ones asks for [`Linking::Never`].
    pub labels: Option<Relabel>,
    /// Whether every file and directory is synced.
    pub sync: Sync,
}

/// SELinux labels that a checkout gives.
#[derive(Debug, Clone)]
pub struct Relabel {
    /// The policy that gives the labels.
    pub labeling: Labeling,
    /// The path at which the destination will be, such as `/usr/etc`.
    pub prefix: String,
}

impl Relabel {
    /// The label of the file at `path` in the checkout, without a NUL at its end, which the kernel adds.
    fn label(&self, path: &str, mode: u32) -> Option<Box<[u8]>> {
        let path = format!("{}{path}", self.prefix.trim_end_matches('/'));
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
        let mut label = self.labeling.xattr(path, mode)?;
        label.pop_if(|last| *last == 0);
        Some(label.into())
    }
}

/// The owner that the files get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ownership {
    /// Files get owner, group, permissions and xattrs as in the commit.
    #[default]
    Commit,
    /// Files become the current user's, without xattrs, set-user-id and set-group-id bits, and always readable.
    User,
}

/// The treatment of files that are there already. Directories are merged in every mode but [`Overwrite::Never`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Anything in the way is an error.
    #[default]
    Never,
    /// Files of the commit replace files.
    UnionFiles,
    /// Files that are there stay; those of the commit are added beside them.
    AddFiles,
    /// Files that are there stay if they are what the commit has; otherwise it is an error.
    UnionIdentical,
}

/// The choice between hard links and copies. Empty files, links of user-mode repositories and files that their user
/// may not read are copied in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Linking {
    /// Hard links where possible, else copies.
    #[default]
    Prefer,
    /// Hard links, or an error.
    Require,
    /// Copies, reflinks where possible.
    Never,
}

/// The treatment of files that the store keeps in another form, in a checkout of the current user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PlainFiles {
    /// The files are copied.
    #[default]
    Leave,
    /// The files are linked to copies that the store keeps for this, and makes where they are missing.
    Link,
}

/// The meaning of a regular file `.wh.NAME`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Whiteouts {
    /// A file like any other.
    #[default]
    Keep,
    /// `NAME` is removed; `.wh..wh..opq` empties its directory; what stands in the way of a file or directory is
    /// removed, as with the layers of a container image.
    Process,
}

/// The meaning of a regular file `.ostree-wh.NAME`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PassthroughWhiteouts {
    /// A file like any other.
    #[default]
    Keep,
    /// A whiteout of overlayfs: the character device 0:0 called `NAME`.
    Process,
}

/// The permissions that directories get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DirectoryModes {
    /// The permissions in the commit.
    #[default]
    Commit,
    /// The permissions in the commit `& 0775`.
    Canonical,
}

/// The treatment of a subpath that the tree does not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MissingSubpath {
    /// A missing path is an error.
    #[default]
    Refuse,
    /// A missing path is ignored, and nothing is checked out.
    Ignore,
}

/// Whether what is written is synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sync {
    /// The system writes it in its own time.
    #[default]
    Later,
    /// Every file and directory is synced before the call returns.
    Each,
}

impl CheckoutOptions {
    /// Adds what a repository of this mode asks for in any case: bare-user-only knows no owners and no special
    /// permissions.
    #[must_use]
    pub fn for_mode(mut self, mode: RepoMode) -> Self {
        if mode == RepoMode::BareUserOnly {
            (self.ownership, self.directory_modes) = (Ownership::User, DirectoryModes::Canonical);
        }
        self
    }
}

/// Checks out the tree `root` as `name`, a path from the open directory `parent`. A single file goes into the
/// directory `name`, which may be `.`.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Corrupt`] for objects; [`Error::Exists`] for a destination that is there,
/// [`Error::Io`] with `EEXIST` for a file in it, where that must not be replaced; [`Error::Unsupported`] if hard links
/// are required and impossible; [`Error::Usage`] if the path is not in the tree. What was written before an error
/// stays.
///
/// [`Error::NotFound`]: crate::store::Error::NotFound
/// [`Error::Corrupt`]: crate::store::Error::Corrupt
/// [`Error::Exists`]: crate::store::Error::Exists
/// [`Error::Io`]: crate::store::Error::Io
/// [`Error::Unsupported`]: crate::store::Error::Unsupported
/// [`Error::Usage`]: crate::store::Error::Usage
pub fn checkout<S: ObjectRead + ?Sized>(
    store: &S,
    root: RootDir,
    parent: impl AsFd,
    name: &Path,
    options: &CheckoutOptions,
    ctx: &Ctx,
) -> Result<()> {
    match target::find(store, root, options)? {
        None => Ok(()),
        Some(target) => dir::Run::new(store, options, ctx).start(target, parent.as_fd(), name),
    }
}
