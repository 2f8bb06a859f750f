//! The commit object.

use ostree_format::variant::{Dict, Value};
use ostree_format::{
    COMPOSEFS_DIGEST_KEY, CollectionId, Commit, CommitId, DirTreeId, ObjectSize, RefSpec, RootDir, SIZES_KEY,
    sizes_value,
};

use crate::base::VerityDigest;
use crate::store::{Error, ObjectRead, ObjectWrite, Result, load_commit, load_dirtree};

/// The fields of a commit apart from its tree. Its metadata stand in this order, which its id depends on: `metadata`,
/// what is kept of the parent's, `ostree.ref-binding`, `ostree.collection-binding`.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// The commit before this one.
    pub parent: Option<CommitId>,
    /// First line of the message.
    pub subject: String,
    /// The rest of the message.
    pub body: String,
    /// Seconds since 1970-01-01 UTC.
    pub timestamp: u64,
    /// Metadata. A key may stand twice, as in libostree.
    pub metadata: Dict,
    /// Keys whose values are taken from the parent's metadata.
    pub keep_metadata: Vec<String>,
    /// The refs that the commit is bound to; `None` writes nothing about it.
    pub bindings: Option<RefBindings>,
    /// Whether the commit says that it can be booted.
    pub bootable: Bootable,
    /// The digest of the tree's composefs image, if it is to be recorded: `ostree.composefs.digest.v0`. The metadata
    /// then stand in the order of GLib's hash tables, as libostree writes them.
    pub image_digest: Option<VerityDigest>,
    /// The sizes of the commit's objects, if they are to be recorded: `ostree.sizes`, behind everything else.
    pub sizes: Vec<ObjectSize>,
}

/// The refs that a commit is bound to, so that a mirror cannot pass it off as another ref's.
#[derive(Debug, Clone, Default)]
pub struct RefBindings {
    /// Refs; none for a commit without a branch.
    pub refs: Vec<RefSpec>,
    /// The collection; where the given metadata names one already, that one stays.
    pub collection: Option<CollectionId>,
}

/// Whether a commit says that it can be booted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bootable {
    /// The commit says nothing about booting.
    #[default]
    Unsaid,
    /// `ostree.bootable`, and `ostree.linux` with the release of the kernel in `usr/lib/modules`. The metadata
    /// then stand in the order of GLib's hash tables, as libostree writes them.
    FromKernel,
}

const REF_BINDING: &str = "ostree.ref-binding";
const COLLECTION_BINDING: &str = "ostree.collection-binding";

/// Writes the commit object of `root`.
///
/// # Errors
/// [`Error::Usage`] if metadata is to be kept that the parent does not have, or the tree has no kernel or several; and
/// what the store gives.
pub fn write_commit<S: ObjectWrite + ?Sized>(
    store: &S,
    root: RootDir,
    options: &CommitOptions,
) -> Result<CommitId> {
    let mut metadata = options.metadata.clone();
    keep_metadata(store, options, &mut metadata)?;
    if let Some(RefBindings { refs, collection }) = &options.bindings {
        let mut refs: Vec<String> = refs.iter().map(RefSpec::to_string).collect();
        refs.sort_unstable();
        metadata.push(REF_BINDING, Value::strv(refs));
        if let (Some(collection), None) = (collection, metadata.get(COLLECTION_BINDING)) {
            metadata.push(COLLECTION_BINDING, collection.as_str());
        }
    }
    if options.bootable == Bootable::FromKernel {
        for (key, value) in bootable_metadata(store, root)? {
            metadata.insert(key, value);
        }
        metadata = metadata.hash_ordered();
    }
    if let Some(digest) = &options.image_digest {
        metadata.insert(COMPOSEFS_DIGEST_KEY, Value::Bytes(digest.as_bytes().to_vec()));
        metadata = metadata.hash_ordered();
    }
    if !options.sizes.is_empty() {
        metadata.push(SIZES_KEY, sizes_value(options.sizes.clone()));
    }
    let CommitOptions { parent, subject, body, timestamp, .. } = options.clone();
    let commit = Commit { metadata, parent, related: Vec::new(), subject, body, timestamp, root };
    store.write_commit(&commit)
}

fn keep_metadata<S: ObjectRead + ?Sized>(
    store: &S,
    options: &CommitOptions,
    metadata: &mut Dict,
) -> Result<()> {
    if options.keep_metadata.is_empty() {
        return Ok(());
    }
    let no_parent = "metadata is kept of a parent, and there is none";
    let parent = options.parent.ok_or_else(|| Error::Usage(no_parent.into()))?;
    let old = load_commit(store, &parent)?.metadata;
    for key in &options.keep_metadata {
        let value = old
            .get(key)
            .ok_or_else(|| Error::Usage(format!("Missing metadata key '{key}' from commit '{parent}'")))?;
        metadata.push(key, value.clone());
    }
    Ok(())
}

/// The metadata of a bootable commit: `ostree.bootable`, and `ostree.linux` with the name of the only directory of
/// `usr/lib/modules` that holds a `vmlinuz`.
///
/// # Errors
/// [`Error::Usage`] if there is none or there are several; and what the store gives.
pub fn bootable_metadata<S: ObjectRead + ?Sized>(store: &S, root: RootDir) -> Result<Dict> {
    let mut dir: DirTreeId = root.tree;
    for name in ["usr", "lib", "modules"] {
        let entry = load_dirtree(store, &dir)?.dirs.get(name).copied();
        let missing = || Error::Usage("Opening usr/lib/modules: No such file or directory".into());
        dir = entry.ok_or_else(missing)?.tree;
    }
    let mut release = None;
    for (name, entry) in load_dirtree(store, &dir)?.dirs {
        let inside = load_dirtree(store, &entry.tree)?;
        if inside.files.contains_key("vmlinuz") || inside.dirs.contains_key("vmlinuz") {
            if release.is_some() {
                return Err(Error::Usage("Multiple kernels found in /usr/lib/modules".into()));
            }
            release = Some(name);
        }
    }
    let release = release.ok_or_else(|| Error::Usage("No kernel found in /usr/lib/modules".into()))?;
    let mut metadata = Dict::new();
    metadata.push("ostree.bootable", true);
    metadata.push("ostree.linux", release.as_str());
    Ok(metadata)
}
