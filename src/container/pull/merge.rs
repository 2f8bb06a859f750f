//! Puts the layers of an image together: one tree out of the commit and the plain layers on top of it.
//!
//! Nothing is checked out: directories that no layer touches stay ids and are never read. Files that build
//! tools leave behind for the time of the build, `etc/hostname` and `etc/resolv.conf` without content, are
//! taken away. Source: ostree-ext container/store.rs:615, 1448-1610.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ostree_format::variant::{Dict, Value};
use ostree_format::{Commit, DirMeta, DirMetaId, FileId, FileKind, FileName, MetaKind, RootDir, Xattrs};

use super::facts::labels;
use super::left_out::LeftOut;
use super::take::Taken;
use crate::base::Ctx;
use crate::container::convert::{Arranged, arrange};
use crate::container::image::{Error, ImageSource, Result};
use crate::container::store::{IMPLIED, LOWER_LINKS, Origin};
use crate::store::selinux::{SelinuxPolicy, UsrEtc};
use crate::store::{Entry, ListedOverLink, MutableTree, Txn, Upper, load_commit};
use crate::tar::LayerOptions;
use crate::tree::add_commit;

/// What build tools mount over and leave behind.
const INJECTED: [&str; 2] = ["hostname", "resolv.conf"];

/// The layers of an image as one tree.
pub(in crate::container) struct Merged {
    /// The tree.
    pub(in crate::container) root: RootDir,
    /// The tree before it was rearranged, without the labels of its policy; otherwise the same.
    pub(in crate::container) before: RootDir,
    /// What became of the files when they were rearranged, if they were.
    pub(in crate::container) arranged: Option<Arranged>,
}

/// Whether the files of an image without a commit are rearranged for a system that boots from a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum Arrange {
    /// The files are rearranged.
    Yes,
    /// The files stay, and the layers are kept, each as a commit.
    No,
}

/// Lays the plain layers of an image over its commit. If there is an SELinux policy in the tree that comes
/// out, everything is labeled as it says; commits of layers that are kept, and were fetched, are made anew then, so
/// that nothing is stored with two labels.
///
/// # Errors
/// If an object is missing or damaged, or a hard link has no target.
pub(in crate::container) fn merge(
    source: &dyn ImageSource,
    txn: &dyn Txn,
    taken: &mut Taken,
    wanted: Arrange,
    ctx: &Ctx,
) -> Result<Merged> {
    let before = lay_over(source, txn, taken, ctx)?;
    let (mut root, mut arranged, mut usr_etc) = (before, None, UsrEtc::AsItIs);
    if wanted == Arrange::Yes && taken.base.is_none() {
        let mut tree = MutableTree::from_root(before);
        arranged = Some(arrange(txn, &mut tree, taken.rules.var)?);
        // Nobody told a policy of other systems what is in usr/etc.
        (root, usr_etc) = (tree.write(txn)?, UsrEtc::AsEtc);
    }
    let as_it_is = Merged { root, before, arranged };
    if taken.plain().is_empty() {
        return Ok(as_it_is);
    }
    let Some(policy) = SelinuxPolicy::of_tree(txn, root)?.map(Arc::new) else { return Ok(as_it_is) };
    if taken.policy.as_deref() != Some(&*policy) && wanted == Arrange::No {
        for layer in taken.plain_mut().iter_mut().filter(|layer| layer.origin == Origin::Fetched) {
            let mut commit = load_commit(txn, &layer.commit)?;
            commit.root = relabel(txn, commit.root, &policy, usr_etc, ctx)?;
            layer.commit = txn.write_commit(&commit)?;
        }
    }
    Ok(Merged { root: relabel(txn, root, &policy, usr_etc, ctx)?, ..as_it_is })
}

fn relabel(
    txn: &dyn Txn,
    root: RootDir,
    policy: &Arc<SelinuxPolicy>,
    usr_etc: UsrEtc,
    ctx: &Ctx,
) -> Result<RootDir> {
    let mut tree = MutableTree::new();
    add_commit(txn, &mut tree, root, &mut labels(Some(policy), usr_etc), ctx)?;
    Ok(tree.write(txn)?)
}

/// Lays the commits of the plain layers, lowest first, over the tree of the base.
fn lay_over(source: &dyn ImageSource, txn: &dyn Txn, taken: &Taken, ctx: &Ctx) -> Result<RootDir> {
    let tree = match &taken.base {
        Some(base) => MutableTree::from_root(load_commit(txn, base)?.root),
        None => MutableTree::new(),
    };
    let layers: Vec<_> = taken.plain().iter().map(|taken| &taken.layer).collect();
    let left_out = LeftOut::new(source, txn, taken.rules, &layers, ctx);
    let mut merging = Merging { txn, tree, left_out, options: taken.rules, ctx };
    let commits: Result<Vec<_>, _> = taken.plain().iter().map(|l| load_commit(txn, &l.commit)).collect();
    let commits = commits?;
    for commit in &commits {
        merging.left_out.want(link_targets(&commit.metadata));
    }
    let listed_over_link = match taken.base {
        Some(_) => ListedOverLink::Follows,
        None => ListedOverLink::Replaces,
    };
    for (n, commit) in commits.iter().enumerate() {
        let links = merging.resolve_links(n, commit)?;
        // Layers that others took in do not say which of their directories are implied: perhaps all.
        let implied: Option<BTreeSet<&str>> =
            commit.metadata.get_strv(IMPLIED).map(|paths| paths.into_iter().collect());
        let listed = |path: &str| implied.as_ref().is_some_and(|implied| !implied.contains(path));
        let upper = Upper { root: commit.root, listed: &listed, placement: &taken.rules, listed_over_link };
        merging.tree.lay_over(txn, &upper)?;
        for (path, file) in links {
            merging.put(&path, file)?;
        }
    }
    let mut tree = merging.tree;
    // Without layers of theirs no build tools have left anything behind, and the tree is the one that was signed.
    if !commits.is_empty() {
        remove_injected(txn, &mut tree)?;
    }
    if tree.meta().is_none() {
        // An image may have no layers at all.
        let meta = DirMeta::new(0, 0, 0o755, Xattrs::EMPTY).to_bytes();
        tree.set_meta(DirMetaId::new(txn.write_meta(MetaKind::DirMeta, &meta)?));
    }
    Ok(tree.write(txn)?)
}

/// The value of [`LOWER_LINKS`]: path and target, path and target.
pub(in crate::container) fn links_value(links: &[(String, String)]) -> Value {
    Value::strv(links.iter().flat_map(|(path, target)| [path.as_str(), target.as_str()]))
}

fn link_targets(metadata: &Dict) -> impl Iterator<Item = String> {
    let pairs = metadata.get_strv(LOWER_LINKS).unwrap_or_default();
    pairs.into_iter().skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The tree of the layers so far.
struct Merging<'a> {
    txn: &'a dyn Txn,
    tree: MutableTree,
    left_out: LeftOut<'a>,
    options: LayerOptions,
    ctx: &'a Ctx,
}

impl Merging<'_> {
    /// The objects that the hard links into lower layers stand for, of layer number `layer`. What a lower layer has
    /// goes before what this one has: it was there when the link came.
    fn resolve_links(&mut self, layer: usize, commit: &Commit) -> Result<BTreeMap<String, FileId>> {
        let (mut resolved, txn) = (BTreeMap::new(), self.txn);
        let mut own = MutableTree::from_root(commit.root);
        // Backwards: a link that another one names comes after it.
        for pair in commit.metadata.get_strv(LOWER_LINKS).unwrap_or_default().chunks(2).rev() {
            self.ctx.cancel.check()?;
            let [path, target] = *pair else { return Err(Error::Image(format!("odd {LOWER_LINKS}"))) };
            let lower = match self.dir_of(target)? {
                Some((dir, name)) => dir.files(txn)?.get(name).copied(),
                None => None,
            };
            let found = match lower.or(resolved.get(target).copied()) {
                None => self.left_out.find(layer, target)?,
                found => found,
            };
            let found = match found {
                None => find_file(txn, &mut own, path)?,
                found => found,
            };
            let Some(found) = found else { return Err(self.no_target(layer, path, target, &mut own)?) };
            resolved.insert(path.to_owned(), found);
        }
        Ok(resolved)
    }

    /// What to say of a hard link of layer number `layer`, whose own tree is `own`, that names no file.
    fn no_target(&mut self, layer: usize, path: &str, target: &str, own: &mut MutableTree) -> Result<Error> {
        let txn = self.txn;
        let is_dir =
            find_dir(txn, own, target)?.is_some() || find_dir(txn, &mut self.tree, target)?.is_some();
        let why = if is_dir { "a directory" } else { "nothing that a layer has" };
        let layer = self.left_out.digest(layer);
        Ok(Error::Image(format!("layer {layer}: hard link /{path} to /{target}, which is {why}")))
    }

    /// Puts a file in place of whatever is there.
    fn put(&mut self, path: &str, file: FileId) -> Result<()> {
        self.ctx.cancel.check()?;
        let (txn, wrong) = (self.txn, || Error::Image(format!("{path} cannot be a hard link")));
        let (dir, name) = self.dir_of(path)?.ok_or_else(wrong)?;
        dir.remove(txn, name)?;
        Ok(dir.set_file(txn, FileName::new(name).map_err(|_| wrong())?, file)?)
    }

    /// The directory in which `path` lies, after all symbolic links, and its last name.
    fn dir_of<'p>(&mut self, path: &'p str) -> Result<Option<(&mut MutableTree, &'p str)>> {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let real = match find_dir(self.txn, &mut self.tree, dirs)?.is_some() {
            true => Some(dirs.to_owned()),
            false => self.tree.real_place(self.txn, &self.options, dirs)?,
        };
        let Some(real) = real else { return Ok(None) };
        Ok(find_dir(self.txn, &mut self.tree, &real)?.map(|dir| (dir, name)))
    }
}

fn find_dir<'t>(txn: &dyn Txn, tree: &'t mut MutableTree, path: &str) -> Result<Option<&'t mut MutableTree>> {
    let mut dir = tree;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        match dir.get(txn, part)? {
            Some(Entry::Dir(next)) => dir = next,
            Some(Entry::File(_)) | None => return Ok(None),
        }
    }
    Ok(Some(dir))
}

fn find_file(txn: &dyn Txn, tree: &mut MutableTree, path: &str) -> Result<Option<FileId>> {
    let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
    match find_dir(txn, tree, dirs)? {
        Some(dir) => Ok(dir.files(txn)?.get(name).copied()),
        None => Ok(None),
    }
}

fn remove_injected(txn: &dyn Txn, tree: &mut MutableTree) -> Result<()> {
    let Some(etc) = find_dir(txn, tree, "usr/etc")? else { return Ok(()) };
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
