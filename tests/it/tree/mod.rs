//! Commits and checkouts, compared with those of C ostree.

mod checkout;
mod commit;
mod repository;
pub(crate) mod fixture;
