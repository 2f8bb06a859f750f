//! What the root file system of a deployed commit will be: `ostree/prepare-root.conf` tells.
//!
//! ```text
//! etc/ostree/prepare-root.conf, or else usr/lib/ostree/prepare-root.conf
//! [root]
//! transient=true
//! [composefs]
//! enabled=yes
//! ```
//! With either of them the commit itself is the root file system, and every top-level directory of it is
//! seen; otherwise the deployment's are those that ostree makes. Source: ostree-ext ostree_prepareroot.rs.

use ostree_format::keyfile::KeyFile;
use ostree_format::{CommitId, ObjectType};

use crate::container::image::{Error, Result};
use crate::store::{self, ObjectRead, load_commit, read_path};

const PATHS: [&str; 2] = ["etc/ostree/prepare-root.conf", "usr/lib/ostree/prepare-root.conf"];
/// The file has a few lines.
const MAX_BYTES: u64 = 1024 * 1024;

/// The directories of a commit that are seen when it is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) enum RootKind {
    /// `usr`, and what ostree makes of `etc` and `var`.
    ReadOnly,
    /// All directories are seen.
    Writable,
}

/// Finds out what the root file system of a commit will be; `None` if that depends on a content object that
/// is not in the store.
pub(in crate::container) fn of_commit(store: &dyn ObjectRead, commit: &CommitId) -> Result<Option<RootKind>> {
    let root = load_commit(store, commit)?.root;
    for path in PATHS {
        let text = match read_path(store, root, path, MAX_BYTES) {
            Ok(Some(text)) => text,
            Ok(None) => continue,
            Err(store::Error::NotFound(name)) if name.kind == ObjectType::File => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let wrong = |e| Error::Image(format!("commit {commit}: {path}: {e}"));
        return Ok(Some(kind(&KeyFile::parse(&text).map_err(wrong)?).map_err(wrong)?));
    }
    Ok(Some(RootKind::ReadOnly))
}

fn kind(config: &KeyFile) -> ostree_format::Result<RootKind> {
    let transient = config.get_bool("root", "transient")?.unwrap_or(false);
    let composefs = config.get_string("composefs", "enabled")?;
    let composefs = composefs.is_some_and(|value| !matches!(&*value, "no" | "false" | "0"));
    Ok(if transient || composefs { RootKind::Writable } else { RootKind::ReadOnly })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (text, expected) in [
            ("", RootKind::ReadOnly),
            ("[root]\ntransient=true\n", RootKind::Writable),
            ("[root]\ntransient=false\n[composefs]\nenabled=no\n", RootKind::ReadOnly),
            ("[composefs]\nenabled=signed\n", RootKind::Writable),
        ] {
            let config = KeyFile::parse(text.as_bytes()).unwrap();
            assert_eq!(kind(&config), Ok(expected), "{text}");
        }
    }
}
