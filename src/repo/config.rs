//! What the repository's `config` says about how it is kept.
//!
//! Source: libostree ostree-repo.c:3043-3414, man page ostree.repo-config(5).

use ostree_format::keyfile::KeyFile;
use ostree_format::{CollectionId, ParseError, RepoMode};

use crate::store::{Error, Result};

/// The settings of a repository, with libostree's defaults.
#[derive(Debug, Clone)]
pub struct RepoConfig {
    /// How objects are kept: `core.mode`.
    pub mode: RepoMode,
    /// The collection that the local refs belong to: `core.collection-id`.
    pub collection: Option<CollectionId>,
    /// Path of a repository that has objects that this one lacks: `core.parent`.
    pub parent: Option<String>,
    /// Whether and when data is made to reach the disk: `core.fsync`, `core.per-object-fsync`.
    pub fsync: Fsync,
    /// Whether xattrs of files are ignored: `core.disable-xattrs`.
    pub disable_xattrs: bool,
    /// How long to wait for the lock: `core.locking`, `core.lock-timeout-secs`.
    pub locking: Locking,
    /// Room to leave on the file system: `core.min-free-space-size`, `core.min-free-space-percent`.
    pub min_free_space: MinFreeSpace,
    /// Age in seconds at which unknown files in `tmp` are removed: `core.tmp-expiry-secs`.
    pub tmp_expiry_secs: u64,
    /// How hard to compress, from 1 to 9: `archive.zlib-level`.
    pub zlib_level: u32,
    /// Whether a deleted commit leaves a tombstone: `core.tombstone-commits`.
    pub tombstone_commits: bool,
    /// Whether the summary is written anew after each change of a ref: `core.auto-update-summary`.
    pub auto_update_summary: bool,
    /// The whole file.
    pub file: KeyFile,
}

/// Whether and when data is made to reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Never.
    Never,
    /// The whole file system, once in each transaction.
    Transaction,
    /// Each object before it gets its name.
    Object,
}

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// There is no locking.
    Off,
    /// As long as it takes.
    Forever,
    /// This many seconds.
    Secs(u64),
}

/// Room that writing content leaves free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinFreeSpace {
    /// This many percent of the file system; 0 for none.
    Percent(u32),
    /// This many units of 2^20 bytes.
    Megabytes(u64),
}

const CORE: &str = "core";

impl RepoConfig {
    /// Reads the settings out of the file `config`.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Unsupported`] for a value that libostree refuses as well.
    pub fn new(file: KeyFile) -> Result<Self> {
        let core = Core(&file);
        match core.text("repo_version")?.as_deref() {
            Some("1") => {}
            Some(other) => return Err(Error::Unsupported(format!("Invalid repository version '{other}'"))),
            None => return Err(invalid("core.repo_version is missing".into())),
        }
        if core.is("archive", false)? {
            let why =
                "This version of OSTree no longer supports \"archive\" repositories; use archive-z2 instead";
            return Err(Error::Unsupported(why.into()));
        }
        let mode = core.text("mode")?.unwrap_or_else(|| "bare".into());
        let mode = mode
            .parse()
            .map_err(|_| invalid(format!("Invalid mode '{mode}' in repository configuration")))?;
        let collection = core.text("collection-id")?.filter(|id| !id.is_empty());
        let collection = collection.map(|id| id.parse()).transpose().map_err(config_error)?;
        let fsync = match (core.is("fsync", true)?, core.is("per-object-fsync", false)?) {
            (false, _) => Fsync::Never,
            (true, false) => Fsync::Transaction,
            (true, true) => Fsync::Object,
        };
        let level = file.get_raw("archive", "zlib-level").map_or(6, leading_number);
        Ok(Self {
            mode,
            collection,
            parent: core.text("parent")?.filter(|path| !path.is_empty()),
            fsync,
            disable_xattrs: core.is("disable-xattrs", false)?,
            locking: core.locking()?,
            min_free_space: core.min_free_space()?,
            tmp_expiry_secs: core.text("tmp-expiry-secs")?.map_or(86_400, |secs| leading_number(&secs)),
            zlib_level: level.clamp(1, 9) as u32,
            tombstone_commits: core.is("tombstone-commits", false)?,
            auto_update_summary: core.is("auto-update-summary", false)?
                || core.is("commit-update-summary", false)?,
            file,
        })
    }
}

fn config_error(source: ParseError) -> Error {
    Error::Invalid { what: "config".into(), source }
}

fn invalid(why: String) -> Error {
    config_error(ParseError::invalid("repository configuration", 0, why))
}

/// The number that a text starts with, as C's `strtoull` reads it.
fn leading_number(text: &str) -> u64 {
    let text = text.trim_start();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match &text[..digits] {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    }
}

/// The group `core`.
struct Core<'a>(&'a KeyFile);

impl Core<'_> {
    fn text(&self, key: &str) -> Result<Option<String>> {
        Ok(self.0.get_raw(CORE, key).map(|value| value.trim().to_owned()))
    }

    fn is(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.0.get_bool(CORE, key).map_err(config_error)?.unwrap_or(default))
    }

    fn locking(&self) -> Result<Locking> {
        if !self.is("locking", true)? {
            return Ok(Locking::Off);
        }
        Ok(match self.text("lock-timeout-secs")?.as_deref() {
            None => Locking::Secs(300),
            Some("-1") => Locking::Forever,
            Some(text) => Locking::Secs(leading_number(text)),
        })
    }

    fn min_free_space(&self) -> Result<MinFreeSpace> {
        let percent = self.text("min-free-space-percent")?;
        if let Some(text) = self.text("min-free-space-size")? {
            let megabytes =
                size(&text).ok_or_else(|| invalid(format!("Invalid min-free-space-size '{text}': It should be of the format '123MB', '123GB' or '123TB'")))?;
            if megabytes > 0 || percent.is_none() {
                return Ok(MinFreeSpace::Megabytes(megabytes));
            }
        }
        let Some(text) = percent else { return Ok(MinFreeSpace::Percent(3)) };
        match text.parse() {
            Ok(percent) if text.bytes().all(|b| b.is_ascii_digit()) && percent <= 99 => {
                Ok(MinFreeSpace::Percent(percent))
            }
            _ => Err(invalid(format!("Invalid min-free-space-percent '{text}'"))),
        }
    }
}

/// `123MB`, `123GB` or `123TB`, in units of 2^20 bytes.
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let scale: u64 = match unit {
        "MB" => 1,
        "GB" => 1 << 10,
        "TB" => 1 << 20,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(scale)
}
