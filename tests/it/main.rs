//! One binary with all integration tests; the modules mirror `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cli;
mod composefs;
mod container;
mod corpus;
mod deltas;
mod diff;
mod doors;
mod e2e;
mod flips;
mod floors;
mod format;
mod fsck;
mod fuzz;
mod image_store;
mod kills;
mod libostree;
mod oracle;
mod proxy;
mod prune;
mod readme;
mod registry;
mod remote;
mod repo;
mod serve;
mod sign;
mod sysroot;
mod tar;
mod transfer;
mod tree;
mod volume;
