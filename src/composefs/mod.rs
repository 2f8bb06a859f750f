//! Floor 3: the image that composefs mounts, of a commit's tree.
//!
//! ```text
//!   /usr/bin/hello ─ EROFS image: names, owners, modes, xattrs, link targets
//!        │            trusted.overlay.redirect  /ab/cdef….file
//!        │            trusted.overlay.metacopy  fs-verity digest of the content
//!        ▼
//!   objects/ab/cdef….file ─ a repository's objects, the data below overlayfs
//! ```
//! The image has no content of files: overlayfs takes it from the objects of a bare repository, where the image says.
//! One that records the digests of files, itself pinned by its own digest, fixes the whole tree.
//!
//! Bytes are those that libostree 2026.4 writes by libcomposefs, format version 0: so the digest in a commit's metadata
//! ([`COMPOSEFS_DIGEST_KEY`](ostree_format::COMPOSEFS_DIGEST_KEY)) is the same, whoever computes it. Everything in the
//! image has the time 0.
//!
//! An image needs memory for its table of inodes: some 800 bytes for each file that differs from the
//! others. Everything else is a stream.

mod inode;
mod layout;
mod tree;
mod write;
mod xattrs;

use std::io::{self, Write};

use ostree_format::RootDir;

use crate::base::{Ctx, VerityDigest};
use crate::store::{ObjectRead, Result};

/// The files whose digests stand in an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileDigests {
    /// Every file's fs-verity digest stands in the image, for which its content is read unless the kernel knows it.
    #[default]
    Record,
    /// The digests of the files that the kernel verifies already.
    Known,
    /// None does; nobody can tell from the image whether the content of a file is right.
    Omit,
}

/// The image of a tree, in memory: its inodes, and where each will lie.
#[derive(Debug)]
pub struct TreeImage {
    tree: tree::Tree,
    layout: layout::Layout,
}

impl TreeImage {
    /// Makes the image of a tree. Directories that a root file system needs to be mounted on (`usr`, `etc`, `boot`,
    /// `var`, `sysroot`) are added where they are missing.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::store::Error::NotFound) and [`Error::Corrupt`](crate::store::Error::Corrupt) of
    /// objects; [`Error::Unsupported`](crate::store::Error::Unsupported) if names, xattrs, link targets or files are
    /// larger than an image can say.
    pub fn of_tree<S: ObjectRead + ?Sized>(
        store: &S,
        root: RootDir,
        digests: FileDigests,
        ctx: &Ctx,
    ) -> Result<Self> {
        let mut tree = tree::read(store, root, digests, ctx)?;
        tree.xattrs.share();
        let layout = layout::Layout::of(&tree)?;
        Ok(Self { tree, layout })
    }

    /// Writes the image and returns its digest.
    ///
    /// # Errors
    /// What `to` gives.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<VerityDigest> {
        write::image(&self.tree, &self.layout, to)
    }

    /// The fs-verity digest of the image.
    pub fn digest(&self) -> VerityDigest {
        // A sink takes everything.
        self.write(&mut io::sink()).unwrap_or_else(|_| VerityDigest::new([0; 32]))
    }

    /// The number of files, directories and links in the image, with the whiteouts that hide the objects.
    pub fn inodes(&self) -> usize {
        self.tree.nodes.len()
    }
}
