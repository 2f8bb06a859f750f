//! A static delta that an argument names: by its commits, or as a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};

use crate::base::Cancel;
use crate::delta::SuperblockFile;
use crate::format::delta::DeltaName;
use crate::host::Machine;
use crate::repo::{DeltaFile, Repo};

/// A static delta, and where its files are.
#[derive(Debug, Clone)]
pub(crate) enum Named {
    /// In the repository.
    InRepo(DeltaName),
    /// A superblock anywhere, with its parts beside it.
    File(PathBuf),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.contains('/') {
            true => Ok(Self::File(text.into())),
            false => text.parse().map(Self::InRepo).map_err(|_| {
                format!("Invalid rev {text}: a static delta is called by its commits, FROM-TO or TO")
            }),
        }
    }
}

impl Named {
    /// The name of one that has to be in the repository.
    pub(super) fn in_repo(&self) -> anyhow::Result<DeltaName> {
        match self {
            Self::InRepo(name) => Ok(*name),
            Self::File(path) => bail!("Invalid rev {}", path.display()),
        }
    }

    /// The file of the superblock.
    pub(super) fn superblock(&self, repo: &Repo, cancel: &Cancel) -> anyhow::Result<SuperblockFile> {
        match self {
            Self::InRepo(name) => {
                let opened = repo.open_delta(&DeltaFile::Superblock(*name))?;
                let (file, len) = opened.with_context(|| format!("Can't find delta {name}"))?;
                Ok(SuperblockFile::on_disk(file, 0..len))
            }
            Self::File(path) => superblock_at(path, cancel),
        }
    }

    /// The file of a part.
    pub(super) fn part(&self, repo: &Repo, number: usize) -> anyhow::Result<Box<dyn Read>> {
        match self {
            Self::InRepo(name) => {
                let missing = || format!("The static delta lacks its part {}", name.part_path(number));
                let (file, _) = repo.open_delta(&DeltaFile::Part(*name, number))?.with_context(missing)?;
                Ok(Box::new(file))
            }
            Self::File(path) => {
                let path = path.parent().unwrap_or(Path::new("")).join(number.to_string());
                let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
                Ok(Box::new(file))
            }
        }
    }
}

/// The superblock at `path`; what comes out of a pipe goes into a file, of which pieces can be read.
pub(super) fn superblock_at(path: &Path, cancel: &Cancel) -> anyhow::Result<SuperblockFile> {
    let opened = || -> io::Result<_> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let (file, metadata) = opened().with_context(|| format!("opening {}", path.display()))?;
    match metadata.is_file() {
        true => Ok(SuperblockFile::on_disk(file, 0..metadata.len())),
        false => {
            let machine = Machine::from_env();
            Ok(SuperblockFile::copied(file, u64::MAX, &|| machine.temporary_file(), cancel)?)
        }
    }
}
