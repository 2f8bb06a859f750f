//! What is asked of each commit before anything of it is written: signatures, bindings, time.

use std::collections::BTreeMap;

use chrono::DateTime;
use ostree_format::{CommitId, CommitRef};

use super::options::{Bindings, RefsOf};
use crate::store::{CommitBytes, Error, Refusal, Voucher, check_bindings};

/// All that is asked.
pub(super) struct Judge<'a> {
    pub(super) voucher: Option<&'a dyn Voucher>,
    pub(super) bindings: Bindings,
    /// The refs that led to commits.
    pub(super) refs: RefsOf,
    /// Commits that others may not be older than, with their times: the one for all commits, and those for the commits
    /// of some refs.
    pub(super) for_all: Option<(CommitId, u64)>,
    pub(super) for_some: BTreeMap<CommitId, Vec<(CommitId, u64)>>,
}

impl Voucher for Judge<'_> {
    fn vouch(&self, commit: &CommitBytes<'_>) -> Result<(), Refusal> {
        if let Some(voucher) = self.voucher {
            voucher.vouch(commit)?;
        }
        let parsed = CommitRef::parse(commit.bytes).map_err(Error::corrupt(commit.id))?;
        if let Bindings::Verified(collection) = &self.bindings {
            let metadata = parsed.metadata().map_err(Error::corrupt(commit.id))?;
            let check = |name| {
                check_bindings(&metadata, name, collection.as_ref())
                    .map_err(|error| format!("Commit {}: {error}", commit.id))
            };
            match self.refs.get(&commit.id) {
                Some(names) => names.iter().try_for_each(|name| check(Some(name)))?,
                None => check(None)?,
            }
        }
        let for_some = self.for_some.get(&commit.id).into_iter().flatten();
        for (known, time) in self.for_all.iter().chain(for_some) {
            refuse_older((known, *time), (&commit.id, parsed.timestamp))?;
        }
        Ok(())
    }
}

/// Refuses a commit that is older than a known one, each with its time in seconds since 1970.
///
/// # Errors
/// If it is, in the words of libostree.
pub fn refuse_older(known: (&CommitId, u64), new: (&CommitId, u64)) -> Result<(), Refusal> {
    if new.1 >= known.1 || known.0 == new.0 {
        return Ok(());
    }
    let time = |secs: u64| {
        let time = i64::try_from(secs).ok().and_then(|secs| DateTime::from_timestamp(secs, 0));
        time.map_or_else(|| secs.to_string(), |time| time.format("%c").to_string())
    };
    Err(format!(
        "Upgrade target revision '{}' with timestamp '{}' is chronologically older than current revision '{}' with \
         timestamp '{}'; use --allow-downgrade to permit",
        new.0,
        time(new.1),
        known.0,
        time(known.1)
    )
    .into())
}
