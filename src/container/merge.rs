//! Puts the layers of an image together: one tree out of the commit and the plain layers on top of it.
//!
//! Nothing is checked out: directories that no layer touches stay ids and are never read. Files that build
//! tools leave behind for the time of the build, `etc/hostname` and `etc/resolv.conf` without content, are
//! taken away. Source: ostree-ext container/store.rs:615, 1448-1610.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ostree_format::variant::{Dict, Value};
use ostree_format::{CommitId, DirMeta, DirMetaId, FileId, FileKind, FileName, MetaKind, RootDir, Xattrs};

use super::error::{Error, Result};
use super::facts::labels;
use super::import::{IMPLIED, LOWER_LINKS, Taken};
use crate::base::Ctx;
use crate::store::selinux::Policy;
use crate::store::{Entry, MutableTree, Txn, Upper, load_commit};
use crate::tree::add_commit;

/// What build tools mount over and leave behind.
const INJECTED: [&str; 2] = ["hostname", "resolv.conf"];

/// Lays the plain layers of an image over its commit. If there is an SELinux policy in the tree that comes
/// out, everything is labeled as it says; commits of layers that were fetched are made anew then, so that
/// nothing is stored with two labels.
///
/// # Errors
/// If an object is missing or damaged, or a hard link has no target.
pub(super) fn merge(txn: &dyn Txn, taken: &mut Taken, ctx: &Ctx) -> Result<RootDir> {
    let plain: Vec<_> = taken.plain().iter().map(|layer| layer.commit).collect();
    let root = lay_over(txn, taken.base.as_ref(), &plain)?;
    if plain.is_empty() {
        return Ok(root);
    }
    let Some(policy) = Policy::of_tree(txn, root)?.map(Arc::new) else { return Ok(root) };
    if taken.policy.as_deref() != Some(&*policy) {
        for layer in taken.plain_mut().iter_mut().filter(|layer| layer.fetched) {
            let mut commit = load_commit(txn, &layer.commit)?;
            commit.root = relabel(txn, commit.root, &policy, ctx)?;
            layer.commit = CommitId::new(txn.write_meta(MetaKind::Commit, &commit.to_bytes())?);
        }
    }
    relabel(txn, root, &policy, ctx)
}

fn relabel(txn: &dyn Txn, root: RootDir, policy: &Arc<Policy>, ctx: &Ctx) -> Result<RootDir> {
    let mut tree = MutableTree::new();
    add_commit(txn, &mut tree, root, &mut labels(Some(policy)), ctx)?;
    Ok(tree.write(txn)?)
}

/// Lays the commits of plain layers, lowest first, over the tree of `base`.
fn lay_over(txn: &dyn Txn, base: Option<&CommitId>, plain: &[CommitId]) -> Result<RootDir> {
    let mut tree = match base {
        Some(base) => MutableTree::from_root(load_commit(txn, base)?.root),
        None => MutableTree::new(),
    };
    for id in plain {
        let layer = load_commit(txn, id)?;
        let links = resolve_links(txn, &mut tree, id, &layer.metadata)?;
        // Layers that others took in do not say which of their directories are implied: perhaps all.
        let implied: Option<BTreeSet<&str>> =
            layer.metadata.get_strv(IMPLIED).map(|paths| paths.into_iter().collect());
        let listed = |path: &str| implied.as_ref().is_some_and(|implied| !implied.contains(path));
        tree.lay_over(txn, &Upper { root: layer.root, listed: &listed })?;
        for (path, file) in links {
            put(txn, &mut tree, id, &path, file)?;
        }
    }
    remove_injected(txn, &mut tree)?;
    if tree.meta().is_none() {
        // An image may have no layers at all.
        let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY).to_bytes();
        tree.set_meta(DirMetaId::new(txn.write_meta(MetaKind::DirMeta, &meta)?));
    }
    Ok(tree.write(txn)?)
}

/// The value of [`LOWER_LINKS`]: path and target, path and target.
pub(super) fn links_value(links: &BTreeMap<String, String>) -> Value {
    Value::strv(links.iter().flat_map(|(path, target)| [path.as_str(), target.as_str()]))
}

/// The objects that a layer's hard links into lower layers stand for.
fn resolve_links(
    txn: &dyn Txn,
    lower: &mut MutableTree,
    layer: &CommitId,
    metadata: &Dict,
) -> Result<Vec<(String, FileId)>> {
    let pairs = metadata.get_strv(LOWER_LINKS).unwrap_or_default();
    let resolve = |pair: &[&str]| {
        let [path, target] = *pair else { return Err(Error::Image(format!("{layer}: odd {LOWER_LINKS}"))) };
        let found = match find_dir(txn, lower, target)? {
            Some((dir, name)) => dir.files(txn)?.get(name).copied(),
            None => None,
        };
        let missing = || Error::Image(format!("hard link {path} to {target}, which no layer has"));
        Ok((path.to_owned(), found.ok_or_else(missing)?))
    };
    let mut resolve = resolve;
    pairs.chunks(2).map(&mut resolve).collect()
}

fn put(txn: &dyn Txn, tree: &mut MutableTree, layer: &CommitId, path: &str, file: FileId) -> Result<()> {
    let wrong = || Error::Image(format!("{layer}: {path} cannot be a hard link"));
    let (dir, name) = find_dir(txn, tree, path)?.ok_or_else(wrong)?;
    let name = FileName::new(name).map_err(|_| wrong())?;
    Ok(dir.set_file(txn, name, file)?)
}

/// The directory in which `path` lies, and its last name.
fn find_dir<'t, 'p>(
    txn: &dyn Txn,
    tree: &'t mut MutableTree,
    path: &'p str,
) -> Result<Option<(&'t mut MutableTree, &'p str)>> {
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut dir = tree;
    for part in dirs.split('/').filter(|part| !part.is_empty()) {
        match dir.get(txn, part)? {
            Some(Entry::Dir(next)) => dir = next,
            Some(Entry::File(_)) | None => return Ok(None),
        }
    }
    Ok(Some((dir, name)))
}

fn remove_injected(txn: &dyn Txn, tree: &mut MutableTree) -> Result<()> {
    let Some((etc, _)) = find_dir(txn, tree, "usr/etc/hostname")? else { return Ok(()) };
    for name in INJECTED {
        let Some(id) = etc.files(txn)?.get(name).copied() else { continue };
        if let Some((header, 0)) = txn.stat_file(&id)?
            && header.kind == FileKind::Regular
        {
            etc.remove(txn, name)?;
        }
    }
    Ok(())
}
