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

/// Programs are started without a copy of this process's memory, which took a fifth of all the time: `std` asks for the
/// function that changes the directory in a new process, and a static C library has only what somebody names.
#[cfg(target_env = "gnu")]
#[used]
static SPAWN: unsafe extern "C" fn(
    *mut libc::posix_spawn_file_actions_t,
    *const std::ffi::c_char,
) -> std::ffi::c_int = libc::posix_spawn_file_actions_addchdir_np;
