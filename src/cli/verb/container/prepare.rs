//! `container commit`: the last step of a build on top of an ostree image.
//!
//! What `run`, `tmp`, `var/tmp` and `var/cache` hold is taken away; mounts of the build tool stay.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, MetadataExt};

use crate::format::keyfile::KeyFile;

const CLEANED: [&str; 4] = ["run", "tmp", "var/tmp", "var/cache"];
const REPO_CONFIGS: [&str; 2] = ["sysroot/ostree/repo/config", "sysroot/config"];

/// Arguments of `container commit`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The root file system of the image, if it is not that of the container that this runs in
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// Cleans the root file system.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let path = args.root.as_deref().unwrap_or(Path::new("/"));
    let root = Dir::open_ambient_dir(path, ambient_authority())
        .with_context(|| format!("opendir({})", path.display()))?;
    if args.root.is_none() && !(in_container() && has_repo(&root)?) {
        bail!("Not in a container made of an ostree commit: give the root file system with --root");
    }
    let device = root.dir_metadata()?.dev();
    for path in CLEANED {
        match root.open_dir(path) {
            Ok(dir) => drop(clean(&dir, device).with_context(|| format!("Cleaning {path}"))?),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("Opening {path}")),
        }
    }
    Ok(())
}

/// Empties a directory, apart from what lies on other file systems; says whether it is empty now.
fn clean(dir: &Dir, device: u64) -> anyhow::Result<bool> {
    let mut empty = true;
    for entry in dir.entries()? {
        let entry = entry?;
        let (name, metadata) = (entry.file_name(), entry.metadata()?);
        let context = || format!("Removing {}", Path::new(&name).display());
        if metadata.dev() != device {
            empty = false;
        } else if !metadata.is_dir() {
            match dir.remove_file(&name) {
                // A file that something is mounted over.
                Err(error) if error.kind() == ErrorKind::ResourceBusy => empty = false,
                result => result.with_context(context)?,
            }
        } else if clean(&dir.open_dir(&name).with_context(context)?, device)? {
            match dir.remove_dir(&name) {
                Err(error) if error.kind() == ErrorKind::ResourceBusy => empty = false,
                result => result.with_context(context)?,
            }
        } else {
            empty = false;
        }
    }
    Ok(empty)
}

fn in_container() -> bool {
    std::env::var_os("container").is_some()
        || ["/run/.containerenv", "/.dockerenv"].into_iter().any(|path| Path::new(path).exists())
}

/// Whether the root file system is that of an image made of a commit.
fn has_repo(root: &Dir) -> anyhow::Result<bool> {
    for path in REPO_CONFIGS {
        let text = match root.read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("Reading {path}")),
        };
        let mode = KeyFile::parse(&text).with_context(|| path.to_owned())?.get_string("core", "mode")?;
        return Ok(mode.as_deref() == Some("bare-split-xattrs"));
    }
    Ok(false)
}
