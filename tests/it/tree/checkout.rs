//! Checkouts.
