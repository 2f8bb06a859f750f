//! libostree's repositories, tar streams and container images in pure Rust.
//!
//! ```text
//! F5 cli         arguments, terminal, exit codes
//!    host        what is configured on a machine: begin here
//! F4 serve       a repository over HTTP: archive, images, pages
//!    sysroot     deployments, boot entries, boot loaders, /etc
//!    container   commit ↔ OCI image
//!    remote      an archive repository behind a web server ► commits
//! F3 repo        the store on disk: modes, transactions, refs, lock
//!    tree        commit (tree in), checkout (tree out)
//!    tar · diff · transfer · delta · composefs
//! F2 store       what a place that keeps objects and refs can do
//! F1 base        progress, cancel, streams, threads
//!    sign        who signs, who vouches: keys
//!    net         HTTP, TLS, registries
//! F0 ostree_format   object formats
//! ```
//! Each uses what is on lower floors: `src/README.md` tells what exactly.
//!
//! ```no_run
//! use cap_std::{ambient_authority, fs::Dir};
//! use ostree_rs::repo::Repo;
//! use ostree_rs::store::{load_commit, resolve_rev};
//!
//! fn subject(path: &str, rev: &str) -> Result<String, Box<dyn std::error::Error>> {
//!     let repo = Repo::open(Dir::open_ambient_dir(path, ambient_authority())?)?;
//!     let commit = resolve_rev(&repo, &rev.parse()?)?;
//!     Ok(load_commit(&repo, &commit)?.subject)
//! }
//! ```
//!
//! Where the machine's configuration counts, begin with [`host::Machine`]. `examples/` has whole programs: a pull with
//! keyring and configuration, a remote that is followed, a system that is built and signed, a commit made in memory, a
//! walk with paths, a build that is pushed, a tar stream.
//!
//! # Errors
//! Each module has an error type of its own, whose [`base::Kind::kind`] says what a caller has to know who cannot do
//! anything about the details: refused, damaged, missing, network, cancelled … The text of an error names the thing, and
//! [`source`](std::error::Error::source) has the cause: whoever prints errors walks through their causes, as `{:#}` of
//! anyhow does; [`base::WithCauses`] is all of it as one line.
//!
//! # Callers with an async runtime
//! Every call blocks: the work is hashing, compression and system calls that no runtime can wait for. Call it from a
//! thread where that is allowed, such as `tokio::task::spawn_blocking`; a repository and a [`base::Ctx`] may be shared
//! between threads. [`base::Cancel`] ends the work from outside: turn it when the future is dropped. The network client
//! keeps a small runtime in a thread of its own, which never meets the caller's.
//!
//! # Types of other crates
//! Those that stand in signatures are exported here, in the version that is meant: [`cap_std`], [`chrono`], [`bytes`],
//! [`oci_spec`].

#![forbid(unsafe_code)]
// They end the program if nobody is there to read; `cli::terminal` says what is to be said.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod base;
#[cfg(feature = "cli")]
pub mod cli;
pub mod composefs;
#[cfg(feature = "container")]
pub mod container;
pub mod delta;
pub mod diff;
pub mod host;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod remote;
pub mod repo;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sign;
pub mod store;
pub mod sysroot;
pub mod tar;
pub mod transfer;
pub mod tree;

#[cfg(feature = "net")]
pub use bytes;
pub use cap_std;
pub use chrono;
#[cfg(feature = "container")]
pub use oci_spec;
pub use ostree_format as format;
