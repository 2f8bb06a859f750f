//! How far back the history of a commit is followed.

/// The length to which the history of a commit is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The given number of parents.
    Parents(u32),
    /// All parents, to the first commit or to where the store has no more.
    All,
}

impl Depth {
    /// The depth left at the parent; none if it is not followed.
    #[must_use]
    pub const fn parent(self) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::Parents(0) => None,
            Self::Parents(n) => Some(Self::Parents(n - 1)),
        }
    }

    /// Whether everything within `other` is within this.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Parents(_), Self::All) => false,
            (Self::Parents(a), Self::Parents(b)) => a >= b,
        }
    }
}
