//! How layers came here: what was fetched of each, and why in that way.

use std::fmt;

use crate::container::image::Digest;

/// A layer of an image that was pulled, and what was fetched for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PulledLayer {
    /// The digest of the layer's blob.
    pub digest: Digest,
    /// The bytes that were fetched.
    pub bytes: u64,
    /// The way in which the layer came.
    pub way: Way,
}

impl PulledLayer {
    /// Whether something was fetched for it.
    pub fn is_fetched(&self) -> bool {
        self.way != Way::Reused
    }
}

/// What was fetched and reused of an image, in numbers.
pub(in crate::container) struct LayerCounts {
    /// The number of layers that were fetched.
    pub(in crate::container) fetched: usize,
    /// The bytes that were fetched of them.
    pub(in crate::container) fetched_bytes: u64,
    /// The number of layers that were there already.
    pub(in crate::container) reused: usize,
}

impl LayerCounts {
    pub(in crate::container) fn of(layers: &[PulledLayer]) -> Self {
        let fetched = layers.iter().filter(|layer| layer.is_fetched()).count();
        let fetched_bytes = layers.iter().map(|layer| layer.bytes).sum();
        Self { fetched, fetched_bytes, reused: layers.len() - fetched }
    }
}

/// The way in which a layer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The layer was here already, and nothing was fetched.
    Reused,
    /// The objects or files that were missing were fetched, by the layer's table of contents.
    Objects,
    /// A delta was fetched, which made the layer out of the files of an image that is here.
    Delta,
    /// The layer was fetched as a whole.
    Whole(WhyWhole),
}

/// The reason for which a layer was fetched as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhyWhole {
    /// The layer holds files, not objects, and has no table of contents.
    Files,
    /// The layer has no table of contents: it is not zstd:chunked.
    NoTable,
    /// The repository is empty, so that all of the layer is missing.
    NothingHere,
    /// The layer is so small that a request for its table of contents takes as long.
    Small,
    /// The registry, or the directory or archive, gives no parts of blobs.
    NoParts,
    /// Most of the layer is missing.
    MostIsMissing,
    /// The table of contents does not tell what is in the layer.
    WrongTable,
    /// The layer makes a commit of the layers below it, and tells what is needed of these.
    OnBase,
}

/// What was fetched of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::container) struct Fetched {
    pub(in crate::container) bytes: u64,
    pub(in crate::container) way: Way,
}

impl Way {
    /// One word for programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Reused => "reused",
            Self::Objects => "objects",
            Self::Delta => "delta",
            Self::Whole(_) => "whole",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reused => f.write_str("it was here"),
            Self::Objects => f.write_str("less is missing than is here"),
            Self::Delta => f.write_str("a delta from an image that is here takes the least"),
            Self::Whole(why) => why.fmt(f),
        }
    }
}

impl fmt::Display for WhyWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "it holds files, not objects",
            Self::NoTable => "it is not zstd:chunked",
            Self::NothingHere => "nothing is here",
            Self::Small => "it is small",
            Self::NoParts => "no parts of it are to be had",
            Self::MostIsMissing => "most of it is missing",
            Self::OnBase => "it tells what is needed of the layers below",
            Self::WrongTable => "its table of contents is wrong",
        })
    }
}
