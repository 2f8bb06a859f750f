//! What an image says about the commit in it: labels, which are the manifest's annotations, too.
//!
//! ```text
//! ostree.commit                       the commit's checksum
//! ostree.final-diffid                 the diffid of the last layer that belongs to the commit
//! org.opencontainers.image.version    the commit's metadata "version"
//! ostree.components                   of a layer: the packages in it, sorted, separated by commas
//! io.github.ostree-rs.on-base.…        of an image on a base: see `container::build::on_base`
//! io.github.ostree-rs.server.diffid   the layer with a server of the image: see `container::server`
//! ostree.bootable, ostree.linux       as in the commit's metadata; the first brings containers.bootc=1
//! ```

use std::collections::BTreeMap;

use ostree_format::variant::{Dict, Value};
use ostree_format::{Commit, CommitId};

use super::error::{Error, Result};

/// The commit in the image.
pub(in crate::container) const COMMIT: &str = "ostree.commit";
/// The last layer that belongs to the commit; those that follow were added by others.
pub(in crate::container) const FINAL_DIFFID: &str = "ostree.final-diffid";
/// The annotation of a layer with the names of the components in it.
pub(in crate::container) const COMPONENTS: &str = "ostree.components";
/// The commit in an image on a base.
pub(in crate::container) const ON_BASE_COMMIT: &str = "io.github.ostree-rs.on-base.commit";
/// The layer on the base that makes the commit of it.
pub(in crate::container) const ON_BASE_DIFFID: &str = "io.github.ostree-rs.on-base.diffid";
/// The layer with a server of the image, which is for containers alone.
pub(in crate::container) const SERVER_DIFFID: &str = "io.github.ostree-rs.server.diffid";

/// The key of a commit's metadata with the machines that it is for.
const ARCHITECTURE: &str = "ostree.architecture";
const BOOTABLE: &str = "ostree.bootable";
const LINUX: &str = "ostree.linux";
const BOOTC: &str = "containers.bootc";
const CONTAINER_CMD: &str = "ostree.container-cmd";

/// Labels by name.
pub(in crate::container) type Labels = BTreeMap<String, String>;

/// The labels that a commit brings; those in `keys` have to be there, those in `optional_keys` may.
pub(in crate::container) fn of_commit(
    id: &CommitId,
    commit: &Commit,
    keys: &[String],
    optional_keys: &[String],
) -> Result<Labels> {
    let metadata = &commit.metadata;
    let mut labels = Labels::new();
    for key in keys {
        let why = || Error::Usage(format!("commit {id} has no metadata key '{key}'"));
        labels.insert(key.clone(), string(metadata, key)?.ok_or_else(why)?);
    }
    for key in optional_keys.iter().map(String::as_str).chain([LINUX]) {
        if let Some(value) = string(metadata, key)? {
            labels.insert(key.to_owned(), value);
        }
    }
    if let Some(bootable) = metadata.get_bool(BOOTABLE) {
        labels.insert(BOOTABLE.to_owned(), bootable.to_string());
        labels.insert(BOOTC.to_owned(), "1".to_owned());
    }
    if let Some(version) = string(metadata, "version")? {
        labels.insert(oci_spec::image::ANNOTATION_VERSION.to_owned(), version);
    }
    labels.insert(COMMIT.to_owned(), id.to_string());
    Ok(labels)
}

/// The command that the commit asks containers to run.
pub(in crate::container) fn container_cmd(commit: &Commit) -> Option<Vec<String>> {
    let cmd = commit.metadata.get_strv(CONTAINER_CMD)?;
    Some(cmd.into_iter().map(str::to_owned).collect())
}

/// The machines that the commit says it is for, in the kernel's words.
pub(in crate::container) fn architecture(commit: &Commit) -> Result<Option<String>> {
    string(&commit.metadata, ARCHITECTURE)
}

fn string(metadata: &Dict, key: &str) -> Result<Option<String>> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::Str(value)) => Ok(Some(value.clone())),
        Some(other) => {
            let ty = other.ty();
            Err(Error::Usage(format!("metadata key '{key}' of the commit is no string but of type '{ty}'")))
        }
    }
}
