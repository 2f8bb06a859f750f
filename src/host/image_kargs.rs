//! The kernel's arguments that an image asks for, as bootc has it.
//!
//! ```text
//! usr/lib/bootc/kargs.d/*.toml, by name:   kargs = ["console=ttyS0", "quiet"]
//!                                          match-architectures = ["x86_64"]      Rust's names; without it, every machine
//! ```
//! An upgrade adds what the new image asks for and the one before did not, and takes away what only that asked for: what
//! somebody changed on the machine stays. An image without the directory changes nothing. Source: bootc
//! crates/lib/src/bootc_kargs.rs.

use std::io::ErrorKind;

use ostree_format::CommitId;
use serde::Deserialize;

use super::Result;
use crate::container::image;
use crate::repo::Repo;
use crate::store::{self, TreeEntry, load_commit, load_dirtree, lookup, read_path};
use crate::sysroot::kargs::KernelArgs;

const DIR: &str = "usr/lib/bootc/kargs.d";
/// A file has a few lines.
const MAX_BYTES: u64 = 1024 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    kargs: Vec<String>,
    match_architectures: Option<Vec<String>>,
}

/// The arguments `args` as the image in `commit` wants them, after the one in `before`.
///
/// # Errors
/// [`Error::Store`](super::Error::Store); [`Error::Image`](super::Error::Image), which names the file, if one of them cannot be
/// read.
pub(super) fn follow_image(
    repo: &Repo,
    args: &KernelArgs,
    before: Option<&CommitId>,
    commit: &CommitId,
) -> Result<KernelArgs> {
    let Some(new) = asked_for(repo, commit)? else { return Ok(args.clone()) };
    let old = before.map(|before| asked_for(repo, before)).transpose()?.flatten().unwrap_or_default();
    let mut words: Vec<String> = args.words().filter(|arg| new.contains(arg) || !old.contains(arg)).collect();
    for arg in new {
        if !old.contains(&arg) && !words.contains(&arg) {
            words.push(arg);
        }
    }
    Ok(KernelArgs::parse(&words.join(" ")))
}

/// What the image in a commit asks for; `None` if it has no directory for that.
fn asked_for(repo: &Repo, commit: &CommitId) -> Result<Option<Vec<String>>> {
    let root = load_commit(repo, commit)?.root;
    let dir = match lookup(repo, root, DIR) {
        Ok(TreeEntry::Dir(dir)) => dir,
        Ok(TreeEntry::File(_)) => return Ok(None),
        Err(store::Error::Io { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let mut asked = Vec::new();
    for name in load_dirtree(repo, &dir.tree)?.files.into_keys().map(|name| name.to_string()) {
        if !name.ends_with(".toml") {
            continue;
        }
        let path = format!("{DIR}/{name}");
        let text = read_path(repo, root, &path, MAX_BYTES)?.unwrap_or_default();
        let wrong = |why: String| image::Error::Image(format!("commit {commit}: {path}: {why}"));
        let text = String::from_utf8(text).map_err(|error| wrong(error.to_string()))?;
        let file: File = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if file.match_architectures.is_none_or(|all| all.iter().any(|arch| arch == std::env::consts::ARCH)) {
            asked.extend(KernelArgs::parse(&file.kargs.join(" ")).words());
        }
    }
    Ok(Some(asked))
}
