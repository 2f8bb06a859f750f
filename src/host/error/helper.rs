//! What can be wrong with a credential helper.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use crate::base::Cancelled;

/// The ways in which a credential helper can fail.
#[derive(Debug, thiserror::Error)]
pub enum HelperProblem {
    /// A name with a slash would leave the directories that are searched.
    #[error("this is no name of a credential helper")]
    Name,
    /// No directory of `PATH` has such a program.
    #[error("there is no such program")]
    Missing,
    /// The helper could not be started or waited for.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The helper failed.
    #[error("{status}: {said}")]
    Failed {
        /// The helper's exit status.
        status: ExitStatus,
        /// The text that the helper printed.
        said: String,
    },
    /// The helper's answer is not understood; it may hold a secret, and is not quoted.
    #[error("its answer is not understood")]
    Answer,
    /// The helper did not answer, and was ended after this time.
    #[error("no answer within {} s; it was ended", .0.as_secs())]
    Silent(Duration),
    /// The work was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}
