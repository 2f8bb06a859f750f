//! The trees that `commit` lays over each other.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::super::resolve;
use super::changes;
use crate::base::{Ctx, Inode};
use crate::format::{RepoMode, RootDir};
use crate::repo::{Repo, Transaction};
use crate::store::selinux::{Labeling, SelinuxPolicy};
use crate::store::{DevInoCache, Modifier, MutableTree, load_commit};
use crate::tar::{self, Parents, PathnameFilter, SpecialFiles, TreeOptions, import_tree};
use crate::tree::{DevInoTrust, DirOptions, Sealing, SourceFate, add_commit, add_dir};

/// Options that say what goes into the commit.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Options {
    /// Start from this commit, as it is
    #[arg(long, value_name = "REV")]
    base: Option<String>,
    /// What goes into the commit; of several, each is laid over those before it
    #[arg(long = "tree", value_name = "dir=PATH|tar=FILE|ref=COMMIT")]
    trees: Vec<String>,
    /// Take hard links to objects of the repository for these objects
    #[arg(long)]
    link_checkout_speedup: bool,
    /// Take hard links to objects of the repository for these objects, even where the file's mode or xattrs differ
    #[arg(short = 'I', long)]
    devino_canonical: bool,
    /// Make missing parent directories of the files in a tar archive
    #[arg(long)]
    tar_autocreate_parents: bool,
    /// Change the paths in a tar archive
    #[arg(long, value_name = "REGEX,REPLACEMENT", value_parser = PathnameFilter::parse)]
    tar_pathname_filter: Option<PathnameFilter>,
    /// Delete the files of directories that were committed
    #[arg(long)]
    consume: bool,
    /// A directory to commit, if there is no --tree [default: .]
    path: Option<PathBuf>,
}

/// One tree.
enum Tree<'a> {
    Dir(&'a Path),
    Tar(&'a str),
    Ref(&'a str),
}

impl<'a> Tree<'a> {
    fn parse(text: &'a str) -> anyhow::Result<Self> {
        match text.split_once('=') {
            Some(("dir", path)) => Ok(Self::Dir(Path::new(path))),
            Some(("tar", file)) => Ok(Self::Tar(file)),
            Some(("ref", rev)) => Ok(Self::Ref(rev)),
            Some((other, _)) => bail!("Invalid tree type specification '{other}'"),
            None => bail!("Missing type in tree specification '{text}'; a directory is dir={text}"),
        }
    }
}

impl Options {
    /// Reads the trees; returns the root directory, and how many files were hard links to objects.
    pub(crate) fn read(
        &self,
        repo: &Repo,
        txn: &Transaction<'_>,
        modifier: &mut Modifier,
        changes: &changes::Options,
        ctx: &Ctx,
    ) -> anyhow::Result<(RootDir, u64)> {
        let mut tree = match &self.base {
            Some(rev) => MutableTree::from_root(load_commit(txn, &resolve(txn, rev)?)?.root),
            None => MutableTree::new(),
        };
        let default = [Tree::Dir(self.path.as_deref().unwrap_or(Path::new(".")))];
        let trees: Vec<Tree<'_>> = match self.trees.as_slice() {
            [] => default.into(),
            given => given.iter().map(|text| Tree::parse(text)).collect::<anyhow::Result<_>>()?,
        };
        let devino = match self.link_checkout_speedup || self.devino_canonical {
            true => Some(repo.devino_cache()?),
            false => None,
        };
        // A base has the policy, if there is one.
        let labels_by = self.base.as_deref().map(Tree::Ref);
        if changes.labels_from_base()
            && let Some(source) = labels_by.as_ref().or(trees.first())
            && repo.mode() != RepoMode::BareUserOnly
        {
            modifier.selinux = labeling_of(source, txn, changes)?;
        }
        let mut cache_hits = 0;
        for (at, source) in trees.iter().enumerate() {
            let last = at + 1 == trees.len();
            match source {
                Tree::Dir(path) => {
                    cache_hits += self.add_dir(path, devino.as_ref(), last, &mut tree, txn, modifier, ctx)?;
                }
                Tree::Tar(file) => self.add_tar(file, &mut tree, txn, modifier, ctx)?,
                Tree::Ref(rev) => {
                    let root = load_commit(txn, &resolve(txn, rev)?)?.root;
                    add_commit(txn, &mut tree, root, modifier, ctx)?;
                }
            }
        }
        changes::check_matched(modifier)?;
        Ok((tree.write(txn)?, cache_hits))
    }

    fn add_tar(
        &self,
        file: &str,
        tree: &mut MutableTree,
        txn: &Transaction<'_>,
        modifier: &mut Modifier,
        ctx: &Ctx,
    ) -> anyhow::Result<()> {
        let mut input = match file {
            "-" => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            path => File::open(path),
        }
        .with_context(|| format!("Opening {file}"))?;
        let source = match input.metadata().with_context(|| format!("stat({file})"))?.is_file() {
            true => tar::ArchiveInput::File(&input),
            false => tar::ArchiveInput::Stream(&mut input),
        };
        let options = TreeOptions {
            parents: if self.tar_autocreate_parents { Parents::Create } else { Parents::MustExist },
            special: SpecialFiles::Refuse,
            filter: self.tar_pathname_filter.clone(),
        };
        import_tree(source, txn, tree, modifier, &options, ctx).map_err(|error| match error {
            // What the repository cannot do has nothing to do with the archive.
            error @ tar::Error::Store(_) => error.into(),
            error => anyhow::Error::new(error).context(file.to_owned()),
        })
    }

    #[expect(clippy::too_many_arguments, reason = "what a tree is read with, in the order of add_dir")]
    fn add_dir(
        &self,
        path: &Path,
        devino: Option<&DevInoCache>,
        last: bool,
        tree: &mut MutableTree,
        txn: &Transaction<'_>,
        modifier: &mut Modifier,
        ctx: &Ctx,
    ) -> anyhow::Result<u64> {
        let repo = txn.repo();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir: OwnedFd = openat(CWD, path, flags, Mode::empty())
            .map_err(io::Error::from)
            .with_context(|| format!("opendir({})", path.display()))?;
        let trust = if self.devino_canonical { DevInoTrust::Everything } else { DevInoTrust::Content };
        let source = if self.consume { SourceFate::Consume } else { SourceFate::Keep };
        // Objects that are under way are no part of a tree that has the repository in it.
        let tmp = repo.dir().metadata("tmp").context("stat(tmp)")?;
        let exclude = Some(Inode::from(&tmp));
        let sealing = if last { Sealing::AsFinished } else { Sealing::AtTheEnd };
        let options = DirOptions { devino, trust, source, sealing, exclude };
        let stats = add_dir(txn, tree, dir, modifier, &options, ctx)?;
        if self.consume && path != Path::new(".") {
            fs::remove_dir(path).with_context(|| format!("rmdir({})", path.display()))?;
        }
        Ok(stats.cache_hits)
    }
}

/// The labels that the policy in a tree says, if it has one.
fn labeling_of(
    source: &Tree<'_>,
    txn: &Transaction<'_>,
    changes: &changes::Options,
) -> anyhow::Result<Option<Labeling>> {
    Ok(match source {
        Tree::Dir(path) => changes.labeling(changes::policy_in(path)?, &path.display().to_string()),
        Tree::Ref(rev) => {
            let root = load_commit(txn, &resolve(txn, rev)?)?.root;
            changes.labeling(SelinuxPolicy::of_tree(txn, root)?, rev)
        }
        Tree::Tar(file) => bail!("The SELinux policy cannot be read from an archive: {file}"),
    })
}
