//! Commits and checkouts, compared with those of C ostree.

mod checkout;
mod commit;
mod deep;
pub(crate) mod fixture;
mod moving;
mod repository;
mod selinux;
