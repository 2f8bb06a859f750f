//! SELinux labels for files that have none.

use std::os::fd::AsFd;

use cap_std::fs::Dir;
use ostree_format::Xattrs;
use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};

use super::files::into_dir;
use super::labels::Labels;
use super::{Error, Result};
use crate::base::fs as base_fs;
use crate::base::{Ctx, all_xattrs, all_xattrs_at, write_xattrs, write_xattrs_at};
use crate::store::selinux::LABEL_XATTR;

/// Labels what has no label in `dir` and below, as files at `prefix` of a system with the policy that `root` has. Gives the
/// name of the policy; `None` if there is none, and nothing was done. `labelled` is called with each path from `dir` and
/// its new label.
///
/// # Errors
/// [`Error::Store`] if the policy is damaged; [`Error::Io`]; [`Error::Cancelled`].
pub fn ensure_labelled(
    root: impl AsFd,
    dir: &Dir,
    prefix: &str,
    labelled: &mut dyn FnMut(&str, &str),
    ctx: &Ctx,
) -> Result<Option<String>> {
    let labels = Labels::of(root)?;
    let Some(policy) = labels.policy_name() else { return Ok(None) };
    let name = policy.to_owned();
    let mut work = Work { labels: &labels, prefix: prefix.trim_matches('/'), labelled, ctx };
    // cap-std opens directories without the right to read their xattrs.
    let dir = &into_dir(base_fs::open_dir(dir, ".").map_err(|e| Error::io("opendir", ".", e))?);
    let stat = fstat(dir).map_err(|e| Error::io("stat", ".", e))?;
    if all_xattrs(dir).map_err(|e| Error::io("read xattrs of", ".", e))?.get(LABEL_XATTR).is_none()
        && let Some(xattrs) = work.label("", &stat)
    {
        write_xattrs(dir, &xattrs).map_err(|e| Error::io("label", ".", e))?;
    }
    work.dir(dir, "")?;
    Ok(Some(name))
}

struct Work<'a> {
    labels: &'a Labels,
    prefix: &'a str,
    labelled: &'a mut dyn FnMut(&str, &str),
    ctx: &'a Ctx,
}

impl Work<'_> {
    /// Labels what is in a directory; `at` is its path below the first one.
    fn dir(&mut self, dir: &Dir, at: &str) -> Result<()> {
        for entry in dir.entries().map_err(|e| Error::io("read", at, e))? {
            self.ctx.cancel.check()?;
            // A policy is a text: it says nothing of other names.
            let Ok(name) = entry.map_err(|e| Error::io("read", at, e))?.file_name().into_string() else {
                continue;
            };
            let path = if at.is_empty() { name.clone() } else { format!("{at}/{name}") };
            let stat =
                statat(dir, &*name, AtFlags::SYMLINK_NOFOLLOW).map_err(|e| Error::io("stat", &path, e))?;
            let xattrs = all_xattrs_at(dir, &name).map_err(|e| Error::io("read xattrs of", &path, e))?;
            if xattrs.get(LABEL_XATTR).is_none()
                && let Some(xattrs) = self.label(&path, &stat)
            {
                write_xattrs_at(dir, &name, &xattrs).map_err(|e| Error::io("label", &path, e))?;
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let inner = base_fs::open_dir(dir, &name).map_err(|e| Error::io("opendir", &path, e))?;
                self.dir(&into_dir(inner), &path)?;
            }
        }
        Ok(())
    }

    /// The label of what is at `path` below the first directory, as an xattr; the caller is told of it.
    fn label(&mut self, path: &str, stat: &Stat) -> Option<Xattrs> {
        let parts = [self.prefix, path].into_iter().filter(|part| !part.is_empty());
        let full = parts.fold(String::new(), |all, part| format!("{all}/{part}"));
        let value = self.labels.xattr(if full.is_empty() { "/" } else { &full }, stat.st_mode)?;
        let label = String::from_utf8_lossy(value.strip_suffix(b"\0").unwrap_or(&value)).into_owned();
        (self.labelled)(path, &label);
        Some(Xattrs::from_pairs([(LABEL_XATTR, &value[..])]))
    }
}
