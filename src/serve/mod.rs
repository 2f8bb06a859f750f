//! Floor 4: a repository served over HTTP, whatever its mode.
//!
//! ```text
//! GET /repo/…     an archive repository: C ostree and everybody else pull from it
//! GET /v2/…       a registry that can be read: every ref is an image, made when it is asked for
//! GET /           pages for people: refs, commits, trees, what changed
//! ```
//! ```text
//! socket ─ connection ─ site ─┬─ repository ─┐
//!          limits, pace       ├─ registry ───┼─► Answer ─► conditions (ETag, Range) ─► body
//!                             └─ pages ──────┘      │
//!                                                 shelf: files without a name, bounded, for what is made on the way
//! ```
//! One thread moves bytes; a bounded number of others reads, compresses and hashes. A thread works for an answer only
//! while it makes the next piece of it, and what takes longer is made at full speed into a file without a name: so a
//! client that reads slowly holds up nobody, and a thousand that ask for the same have it made once.
//!
//! No path of a request ever becomes a path on disk: it is read as checksums, names of refs and names of files first.
//! hyper and tokio stay inside. [`serve`] blocks, and ends when the work is cancelled.

mod answer;
mod asked;
mod body;
mod conditions;
mod connection;
mod error;
mod export;
mod limits;
mod pace;
mod page;
mod registry;
mod repository;
mod scratch;
mod shelf;
mod site;
mod summary;
mod tls;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use cap_std::fs::Dir;
use crossbeam_channel::unbounded;
use tokio::runtime::Runtime;

pub use error::{Error, Result};
pub use export::{Exported, LockedExport, export};
pub use limits::ServeLimits;
pub use summary::SummarySigner;
pub use tls::TlsIdentity;

use self::registry::{Images, Workshop};
use self::shelf::Shelf;
use self::site::{Extent, Site};
use self::summary::Summaries;
use crate::base::{Ctx, runtime, spawn_up_to};
use crate::container::build::BuildOptions;
use crate::repo::Repo;

/// Images that are made at a time; each takes all processors if there is only one.
const MAKERS: usize = 2;

/// What a server needs besides the repository.
#[derive(Debug)]
pub struct ServeOptions {
    /// The directory in which files without a name are made, on a disk with some room.
    pub scratch: Dir,
    /// How the images are made.
    pub images: BuildOptions,
    /// How much of everything is given to clients at most.
    pub limits: ServeLimits,
    /// Signs the summary of what is served; without, it has the signatures that lie in the repository.
    pub signer: Option<SummarySigner>,
    /// The certificate and key of an HTTPS server; without, it speaks HTTP.
    pub tls: Option<TlsIdentity>,
}

/// Serves `repo` to everybody who connects to `listener`, until the work is cancelled; who is being answered then is
/// given a moment to get the rest.
///
/// # Errors
/// [`Error::Listen`] if nobody can connect. What goes wrong with one request is told to its client, and to [`tracing`].
pub fn serve(repo: Repo, listener: TcpListener, options: ServeOptions, ctx: &Ctx) -> Result<()> {
    let tls = options.tls.as_ref().map(TlsIdentity::acceptor);
    listener.set_nonblocking(true).map_err(Error::Listen)?;
    let (limits, extent) = (options.limits, if tls.is_some() { Extent::Https } else { Extent::Http });
    with_site(repo, options, extent, ctx, |runtime, site| {
        runtime.block_on(connection::accept_all(listener, tls, site, limits, &ctx.cancel))
    })?
}

/// Does `work` with everything that is served, and ends all of it.
fn with_site<T>(
    repo: Repo,
    options: ServeOptions,
    extent: Extent,
    ctx: &Ctx,
    work: impl FnOnce(&Runtime, Arc<Site>) -> T,
) -> Result<T> {
    let runtime = runtime("serve", options.limits.threads(ctx.jobs)).map_err(Error::Listen)?;
    let repo = Arc::new(repo);
    let shelf = Arc::new(Shelf::new(options.scratch, &options.limits));
    let (jobs, todo) = unbounded();
    let workshop = Workshop::new(&repo, Arc::clone(&shelf), options.images, ctx.clone());
    thread::scope(|scope| {
        spawn_up_to(scope, MAKERS, || registry::work(&todo, &workshop)).map_err(Error::Listen)?;
        let images = Images::new(jobs);
        let summaries = Summaries::new(options.signer);
        let site = Site::new(Arc::clone(&repo), shelf, images, summaries, extent, &options.limits, ctx.jobs);
        let done = work(&runtime, Arc::new(site));
        // With the last task the last one goes who could ask a maker for something.
        runtime.shutdown_background();
        Ok(done)
    })
}
