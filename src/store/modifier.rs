//! What a commit changes in the files and directories that it takes in, from whichever source they come.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ostree_format::{DirMeta, FileHeader, ParseError, RepoMode, S_IFDIR, S_IFMT, S_IFREG, Xattrs};

use super::selinux::{LABEL_XATTR, Labeling};
use super::{Error, Result};

/// Changes to the files of a tree on their way into a commit. The default changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Modifier {
    /// Owner of everything.
    pub uid: Option<u32>,
    /// Group of everything.
    pub gid: Option<u32>,
    /// The permissions that are kept.
    pub permissions: Permissions,
    /// Whether executable files stay writable.
    pub executables: Executables,
    /// The xattrs that are kept; canonical permissions keep none, whatever this says.
    pub xattrs: XattrPolicy,
    /// SELinux labels, which replace those that there are; also where xattrs are not kept.
    pub selinux: Option<Labeling>,
    /// Permissions of single paths.
    pub stat_overrides: StatOverrides,
    /// Paths that are left out.
    pub skip: SkipList,
    /// The caller's own decision about each path, behind everything else but canonical permissions and labels.
    pub filter: Option<Arc<dyn TreeFilter>>,
}

/// A caller's own decision about the files and directories that go into a commit, by their paths from the root of the
/// tree: `/usr/bin/su`, `/` for the root. It is asked from several threads.
pub trait TreeFilter: fmt::Debug + Send + Sync {
    /// Whether a path goes into the commit; it may change the attributes. What is in a directory that does not is not
    /// asked about.
    fn decide(&self, _path: &str, _attributes: &mut Attributes) -> Decision {
        Decision::Take
    }

    /// Whether an xattr of a path goes into the commit.
    fn keeps_xattr(&self, _path: &str, _name: &[u8]) -> bool {
        true
    }
}

/// A choice of the permissions that a commit keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Permissions {
    /// All permissions.
    #[default]
    Keep,
    /// Mode `& 0755`, owner and group 0, no xattrs.
    Canonical,
}

/// The treatment of executable regular files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Executables {
    /// Executable files stay as they are.
    #[default]
    Keep,
    /// Executable files lose all bits that allow writing.
    ReadOnly,
}

/// A choice of the xattrs that a commit keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum XattrPolicy {
    /// All xattrs, except for those with an empty value, which libostree never commits.
    #[default]
    Keep,
    /// No xattrs.
    Drop,
}

/// Owner and mode, which a [`Modifier`] changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The owner, a user id.
    pub uid: u32,
    /// The group, a group id.
    pub gid: u32,
    /// `st_mode`, type and permission bits.
    pub mode: u32,
}

/// Whether a path goes into the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The path goes into the commit.
    Take,
    /// The path is left out, with everything below it.
    Skip,
}

/// Lines `MODE PATH` (adds these bits) and `=MODE PATH` (replaces the permissions), `MODE` decimal or `0x…`,
/// `PATH` from the root of the tree: `/usr/bin/su`.
#[derive(Debug, Clone, Default)]
pub struct StatOverrides {
    add: BTreeMap<String, u32>,
    set: BTreeMap<String, u32>,
}

/// Paths from the root of the tree, one on each line, that are left out.
#[derive(Debug, Clone, Default)]
pub struct SkipList(BTreeSet<String>);

impl StatOverrides {
    /// Reads the lines; empty ones are ignored.
    ///
    /// # Errors
    /// If a line has no space, or does not start with a number.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (mut out, mut offset) = (Self::default(), 0);
        for line in text.split('\n') {
            let error = |why| ParseError::invalid("statoverride file", offset, why);
            if !line.is_empty() {
                let malformed = "Malformed statoverride file (no space found)";
                let (mode, path) = line.split_once(' ').ok_or_else(|| error(malformed))?;
                let (digits, map) = match mode.strip_prefix('=') {
                    Some(digits) => (digits, &mut out.set),
                    None => (mode, &mut out.add),
                };
                let bits = match digits.strip_prefix("0x") {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => digits.parse(),
                };
                map.insert(
                    path.into(),
                    bits.map_err(|_| error("the mode is no number: it is decimal, or 0x and hexadecimal"))?,
                );
            }
            offset += line.len() + 1;
        }
        Ok(out)
    }

    /// Paths whose bits were never added, since nothing has that path.
    pub fn unmatched(&self) -> impl Iterator<Item = &str> {
        self.add.keys().map(String::as_str)
    }
}

impl SkipList {
    /// Reads the lines; empty ones are ignored.
    pub fn parse(text: &str) -> Self {
        Self(text.split('\n').filter(|line| !line.is_empty()).map(Into::into).collect())
    }

    /// Paths that were never left out, since nothing has that path.
    pub fn unmatched(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether `path` is in the list.
    pub fn contains(&self, path: &str) -> bool {
        self.0.contains(path)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Modifier {
    /// Adds what a repository of this mode asks for in any case: bare-user-only keeps nothing but canonical
    /// permissions.
    #[must_use]
    pub fn for_mode(mut self, mode: RepoMode) -> Self {
        if mode == RepoMode::BareUserOnly {
            (self.permissions, self.xattrs) = (Permissions::Canonical, XattrPolicy::Drop);
            self.selinux = None;
        }
        self
    }

    /// Whether it changes nothing.
    pub fn is_identity(&self) -> bool {
        let Self { uid, gid, permissions, executables, xattrs, selinux, stat_overrides, skip, filter } = self;
        (uid, gid, permissions) == (&None, &None, &Permissions::Keep)
            && (executables, xattrs) == (&Executables::Keep, &XattrPolicy::Keep)
            && (selinux.is_none() && filter.is_none())
            && stat_overrides.add.is_empty()
            && stat_overrides.set.is_empty()
            && skip.is_empty()
    }

    /// Whether xattrs go into the commit, those that the filter lets through.
    pub fn keeps_xattrs(&self) -> bool {
        self.xattrs == XattrPolicy::Keep && self.permissions == Permissions::Keep
    }

    /// Gives the file or directory `path` its label; what the policy says nothing about stays as it is. `mode`
    /// is `st_mode`.
    pub fn label(&self, path: &str, mode: u32, xattrs: &mut Xattrs) {
        if let Some(label) = self.selinux.as_ref().and_then(|labeling| labeling.xattr(path, mode)) {
            xattrs.set(LABEL_XATTR.into(), label.into());
        }
    }

    /// Leaves those of the xattrs of `path` that go into the commit, and gives it its label. `mode` is `st_mode`.
    pub fn apply_to_xattrs(&self, path: &str, mode: u32, xattrs: &mut Xattrs) {
        if !self.keeps_xattrs() {
            *xattrs = Xattrs::EMPTY;
        }
        if let Some(filter) = &self.filter {
            xattrs.retain(|name, _| filter.keeps_xattr(path, name));
        }
        self.label(path, mode, xattrs);
    }

    /// Decides about the file or directory `path` (`/` for the root) and changes its attributes. A line of the
    /// skip list, and a `MODE PATH` line, is used up by the first path that it fits, as in libostree.
    pub fn apply(&mut self, path: &str, attributes: &mut Attributes) -> Decision {
        let Attributes { uid, gid, mode } = attributes;
        *uid = self.uid.unwrap_or(*uid);
        *gid = self.gid.unwrap_or(*gid);
        let executable = *mode & S_IFMT == S_IFREG && *mode & 0o111 != 0;
        if executable && self.executables == Executables::ReadOnly {
            *mode &= !0o222;
        }
        if let Some(bits) = self.stat_overrides.add.remove(path) {
            *mode |= bits & 0o7777;
        } else if let Some(bits) = self.stat_overrides.set.get(path) {
            *mode = (*mode & S_IFMT) | (bits & 0o7777);
        }
        if self.skip.0.remove(path) {
            return Decision::Skip;
        }
        if let Some(filter) = &self.filter
            && filter.decide(path, attributes) == Decision::Skip
        {
            return Decision::Skip;
        }
        let Attributes { uid, gid, mode } = attributes;
        if self.permissions == Permissions::Canonical {
            (*uid, *gid) = (0, 0);
            if matches!(*mode & S_IFMT, S_IFREG | S_IFDIR) {
                *mode &= S_IFMT | 0o755;
            }
        }
        Decision::Take
    }

    /// [`Modifier::apply`] to the header of a content object.
    pub fn apply_to_file(&mut self, path: &str, header: &mut FileHeader) -> Decision {
        let mut attributes = Attributes { uid: header.uid, gid: header.gid, mode: header.mode() };
        let decision = self.apply(path, &mut attributes);
        (header.uid, header.gid) = (attributes.uid, attributes.gid);
        header.permissions = attributes.mode & 0o7777;
        let mode = header.mode();
        self.apply_to_xattrs(path, mode, &mut header.xattrs);
        decision
    }

    /// [`Modifier::apply`] to a dirmeta.
    pub fn apply_to_dir(&mut self, path: &str, meta: &mut DirMeta) -> Decision {
        let mut attributes = Attributes { uid: meta.uid, gid: meta.gid, mode: meta.mode };
        let decision = self.apply(path, &mut attributes);
        (meta.uid, meta.gid, meta.mode) = (attributes.uid, attributes.gid, attributes.mode);
        self.apply_to_xattrs(path, meta.mode, &mut meta.xattrs);
        decision
    }

    /// Checks, once all trees were read, that every statoverride and skip-list path was there. `=MODE` lines may name
    /// what is not there, as in libostree.
    ///
    /// # Errors
    /// [`Error::Usage`]; [`StatOverrides::unmatched`] and [`SkipList::unmatched`] tell the paths.
    pub fn check_matched(&self) -> Result<()> {
        if !self.stat_overrides.add.is_empty() {
            return Err(Error::Usage("Unmatched statoverride paths".into()));
        }
        if !self.skip.is_empty() {
            return Err(Error::Usage("Unmatched skip-list paths".into()));
        }
        Ok(())
    }
}
