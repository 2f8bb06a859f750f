//! A repository's `config`: the keys of `[core]`, `[archive]` and `[ex-integrity]` with their types and defaults.
//!
//! ```text
//! [core]
//! repo_version=1
//! mode=bare
//! ```
//!
//! Source: libostree ostree-repo.c:3043-3414, ostree-repo-verity.c:35-86. Keys that have no field here, those of
//! `[sysroot]` for instance, are in [`RepoConfig::keyfile`]; remotes are read by
//! [`RemoteConfig`](crate::RemoteConfig).

use crate::keyfile::KeyFile;
use crate::{CollectionId, ParseError, RepoMode, Result};

/// The settings in a repository's `config`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RepoConfig {
    keyfile: KeyFile,
    /// `core.mode`; bare if it is not there.
    pub mode: RepoMode,
    collection_id: Result<Option<CollectionId>>,
    /// `core.parent`: the path of a repository whose objects and remotes this one can use.
    pub parent: Option<String>,
    /// `core.fsync`: whether data is synced to disk; on by default.
    pub fsync: bool,
    /// `core.per-object-fsync`: whether every object is synced at once, not all of them at the end.
    pub per_object_fsync: bool,
    /// `core.disable-xattrs`: whether xattrs of files are neither stored nor restored.
    pub disable_xattrs: bool,
    /// `core.enable-uncompressed-cache`: whether an archive keeps copies of its files for checkouts to link to; on by
    /// default.
    pub uncompressed_cache: bool,
    /// `core.tmp-expiry-secs`: the age at which files in `tmp` are deleted; a day by default.
    pub tmp_expiry_secs: u64,
    /// `core.locking` and `core.lock-timeout-secs`: whether the repository is locked, and how long a lock is waited
    /// for.
    pub locking: Locking,
    /// `core.min-free-space-size` and `core.min-free-space-percent`: the room that has to stay free on the file system.
    pub min_free_space: MinFreeSpace,
    /// `core.add-remotes-config-dir`: whether new remotes go into a file of their own; by default that depends
    /// on whether it is the system's repository.
    pub add_remotes_config_dir: Option<bool>,
    /// `core.payload-link-threshold`: the size in bytes from which on payload links are made; none by default.
    pub payload_link_threshold_bytes: Option<u64>,
    /// `core.tombstone-commits`: whether a deleted commit leaves a tombstone.
    pub tombstone_commits: bool,
    /// `core.auto-update-summary`, or its old name `core.commit-update-summary`: whether every change of a ref
    /// writes the summary.
    pub auto_update_summary: bool,
    /// `core.no-deltas-in-summary`: whether the summary leaves out static deltas.
    pub no_deltas_in_summary: bool,
    /// `core.indexed-deltas`: whether static deltas have an index each.
    pub indexed_deltas: bool,
    /// `core.sign-verify-deltas`: whether static deltas have to be signed.
    pub sign_verify_deltas: bool,
    /// `archive.zlib-level`: 1 to 9, 6 by default.
    pub zlib_level: u8,
    /// `ex-integrity.fsverity`, or the older `ex-fsverity.required` and `.opportunistic`: whether objects are sealed by
    /// fs-verity, so that the kernel verifies what is read of them.
    pub fsverity: Tristate,
    /// `ex-integrity.composefs`: whether deployments have composefs images, which here they have in any case; unless
    /// it is no, fs-verity is wanted where it is possible.
    pub composefs: Tristate,
}

/// The way in which the repository is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// The repository is not locked.
    Off,
    /// The lock is waited for, up to a number of seconds; 300 by default.
    TimeoutSecs(u64),
    /// Waiting for the lock for ever.
    Forever,
}

/// The room that has to stay free on the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinFreeSpace {
    /// A percentage of the file system; 3 by default.
    Percent(u8),
    /// A number of bytes.
    Bytes(u64),
}

/// Whether something is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tristate {
    /// No.
    No,
    /// Wanted where the file system can do it.
    Maybe,
    /// Yes, and it is an error if that is not possible.
    Yes,
}

impl RepoConfig {
    /// The config of a new repository, as libostree's `init` writes it.
    ///
    /// # Errors
    /// Never for a valid collection id.
    pub fn new(mode: RepoMode, collection_id: Option<&CollectionId>) -> Result<Self> {
        let mut keyfile = KeyFile::new();
        keyfile.set_raw("core", "repo_version", "1")?;
        keyfile.set_raw("core", "mode", mode.as_str())?;
        if let Some(id) = collection_id {
            keyfile.set_raw("core", "collection-id", id.as_str())?;
        }
        Self::from_keyfile(keyfile)
    }

    /// `core.collection-id`; empty, it is none.
    ///
    /// # Errors
    /// If it is no collection id: that concerns only what needs one, and the rest of the repository can be used.
    pub fn collection_id(&self) -> Result<Option<&CollectionId>> {
        self.collection_id.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// Reads the bytes of a `config`.
    ///
    /// # Errors
    /// As [`KeyFile::parse`] and [`RepoConfig::from_keyfile`].
    pub fn parse(data: &[u8]) -> Result<Self> {
        Self::from_keyfile(KeyFile::parse(data)?)
    }

    /// Checks the keys of `keyfile`.
    ///
    /// # Errors
    /// If the version of the repository is not 1, or a value is not what its key may have; the error names the key.
    pub fn from_keyfile(keyfile: KeyFile) -> Result<Self> {
        let core = Section { keyfile: &keyfile, group: "core" };
        let archive = Section { keyfile: &keyfile, group: "archive" };
        match core.raw("repo_version") {
            Some("1") => {}
            Some(version) => {
                return Err(core.invalid("repo_version", &format!("invalid version '{version}'")));
            }
            None => return Err(core.invalid("repo_version", "missing")),
        }
        if core.flag("archive", false)? {
            return Err(core.invalid("archive", "no longer supported; use mode=archive-z2"));
        }
        let mode = core.raw("mode").unwrap_or("bare");
        let (fsverity, composefs) = integrity(&keyfile)?;
        Ok(Self {
            mode: mode.parse().map_err(|_| core.invalid("mode", &format!("invalid mode '{mode}'")))?,
            collection_id: collection_id(&core),
            parent: core.raw("parent").filter(|path| !path.is_empty()).map(str::to_owned),
            fsync: core.flag("fsync", true)?,
            per_object_fsync: core.flag("per-object-fsync", false)?,
            disable_xattrs: core.flag("disable-xattrs", false)?,
            uncompressed_cache: core.flag("enable-uncompressed-cache", true)?,
            tmp_expiry_secs: core.number("tmp-expiry-secs").unwrap_or(86_400),
            locking: locking(&core)?,
            min_free_space: min_free_space(&core)?,
            add_remotes_config_dir: keyfile.get_bool("core", "add-remotes-config-dir")?,
            payload_link_threshold_bytes: core.number("payload-link-threshold"),
            tombstone_commits: core.flag("tombstone-commits", false)?,
            auto_update_summary: core.flag("auto-update-summary", false)?
                || core.flag("commit-update-summary", false)?,
            no_deltas_in_summary: core.flag("no-deltas-in-summary", false)?,
            indexed_deltas: core.flag("indexed-deltas", false)?,
            sign_verify_deltas: core.flag("sign-verify-deltas", false)?,
            zlib_level: archive.number("zlib-level").map_or(6, |level| level.clamp(1, 9) as u8),
            fsverity,
            composefs,
            keyfile,
        })
    }

    /// All keys, with those that have no field here.
    pub fn keyfile(&self) -> &KeyFile {
        &self.keyfile
    }

    /// All keys, to be changed and checked again with [`RepoConfig::from_keyfile`].
    pub fn into_keyfile(self) -> KeyFile {
        self.keyfile
    }
}

/// A group of the file, whose keys errors name.
struct Section<'a> {
    keyfile: &'a KeyFile,
    group: &'static str,
}

impl<'a> Section<'a> {
    fn raw(&self, key: &str) -> Option<&'a str> {
        self.keyfile.get_raw(self.group, key)
    }

    /// The number that a value begins with. Where it begins with none, the setting is as if it were not there: libostree
    /// takes that for 0, by which no room would be left free, no lock waited for, and `tmp` emptied at once.
    fn number(&self, key: &str) -> Option<u64> {
        self.keyfile.get_leading_i64(self.group, key)?.try_into().ok()
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self.keyfile.get_bool(self.group, key)?.unwrap_or(default))
    }

    fn tristate(&self, key: &str, default: Tristate) -> Result<Tristate> {
        Ok(match self.raw(key).map(str::trim_ascii) {
            None => default,
            Some("maybe") => Tristate::Maybe,
            Some("yes" | "true" | "1") => Tristate::Yes,
            Some("no" | "false" | "0") => Tristate::No,
            Some(other) => return Err(self.invalid(key, &format!("'{other}' is none of yes, no and maybe"))),
        })
    }

    fn invalid(&self, key: &str, why: &str) -> ParseError {
        ParseError::invalid("repository config", 0, format!("{}.{key}: {why}", self.group))
    }
}

fn collection_id(core: &Section<'_>) -> Result<Option<CollectionId>> {
    let id = core.raw("collection-id").filter(|id| !id.is_empty()).map(str::parse).transpose();
    id.map_err(|e: ParseError| core.invalid("collection-id", &e.kind.to_string()))
}

fn locking(core: &Section<'_>) -> Result<Locking> {
    if !core.flag("locking", true)? {
        return Ok(Locking::Off);
    }
    Ok(match core.keyfile.get_leading_i64("core", "lock-timeout-secs").unwrap_or(300) {
        // As in libostree: -1 and -2 are what the enum is here, others below 0 are very long times.
        -2 => Locking::Off,
        secs => secs.try_into().map_or(Locking::Forever, Locking::TimeoutSecs),
    })
}

/// A size that is not zero goes before a percentage.
fn min_free_space(core: &Section<'_>) -> Result<MinFreeSpace> {
    let (size_key, percent_key) = ("min-free-space-size", "min-free-space-percent");
    let invalid = |key, text: &str, why| {
        ParseError::invalid("repository config", 0, format!("Invalid {key} '{text}': {why}"))
    };
    let size =
        core.raw(size_key).map(|text| free_space_bytes(text).map_err(|why| invalid(size_key, text, why)));
    let percent = core.keyfile.get_leading_i64("core", percent_key).map(|percent| {
        let checked = u8::try_from(percent).ok().filter(|percent| *percent <= 99);
        checked.ok_or_else(|| invalid(percent_key, &percent.to_string(), "must be a number from 0 to 99"))
    });
    Ok(match (size.transpose()?, percent.transpose()?) {
        (Some(0) | None, Some(percent)) => MinFreeSpace::Percent(percent),
        (Some(bytes), _) => MinFreeSpace::Bytes(bytes),
        (None, None) => MinFreeSpace::Percent(3),
    })
}

/// `[0-9]+(M|G|T)B` in bytes; the units are powers of 1024.
fn free_space_bytes(text: &str) -> Result<u64, &'static str> {
    let units = [("MB", 20), ("GB", 30), ("TB", 40)];
    let format = "it should be of the format '123MB', '123GB' or '123TB'";
    let unit = units.into_iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)));
    let (digits, shift) = unit.ok_or(format)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format);
    }
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(1 << shift));
    bytes.ok_or("the value is too high")
}

/// `fsverity` and `composefs`; composefs makes fs-verity wanted where it is possible.
fn integrity(keyfile: &KeyFile) -> Result<(Tristate, Tristate)> {
    let section = Section { keyfile, group: "ex-integrity" };
    let old = Section { keyfile, group: "ex-fsverity" };
    let composefs = section.tristate("composefs", Tristate::No)?;
    let default = if composefs == Tristate::No { Tristate::No } else { Tristate::Maybe };
    let fsverity = match section.tristate("fsverity", default)? {
        Tristate::No if old.flag("required", false)? => Tristate::Yes,
        Tristate::No if old.flag("opportunistic", false)? => Tristate::Maybe,
        wanted => wanted,
    };
    Ok((fsverity, composefs))
}
