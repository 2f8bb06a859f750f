//! What a server would answer, as a tree of plain files: any web server or object store can take its place.
//!
//! ```text
//! DIR/repo/…                                an archive repository
//! DIR/v2/NAME/manifests/latest, COMMIT, DIGEST     images, each file under every name that it has
//! DIR/v2/NAME/blobs/DIGEST
//! DIR/index.html, commit/ID/index.html …    pages; of directories those of the newest commit of each ref, if that has
//!                                           not very many, and none of files, whose content lies in objects
//! DIR/nginx.conf, DIR/Caddyfile             servers for them: types of documents, and two answers that are no files
//! DIR/s3-sync.sh                            a script that copies all of it to an object store, with types and times
//! ```
//! Every file is what the server answers to its path. What has the same content in the next export stays as it is, with its
//! time, so that copies of an export cost what is new; files get their names when they are whole and on the disk, and what
//! names others comes after them.
//!
//! ```text
//! export    a repository ─────────────────────────────────► all of DIR
//! renew     DIR/repo, into which commits were pushed ─────► what else of DIR tells of them
//! ```

mod paths;
mod write;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use cap_std::fs::{Dir, File};
use hyper::StatusCode;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::task::JoinSet;

use self::paths::{Extend, Stage, Wanted};
use self::write::Nameless;
use super::asked::Asked;
use super::error::{Error, Result};
use super::site::{Extent, Site};
use super::{ServeOptions, with_site};
use crate::base::Ctx;
use crate::repo::Repo;

/// What an export did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exported {
    /// Files that are new, or have other content than before.
    pub written: u64,
    /// Files that were there from an export before, and stayed as they are.
    pub kept: u64,
}

/// Writes what a server of `repo` would answer into `dir`, which may hold an export from before.
///
/// # Errors
/// [`Error::Export`] if something cannot be read or written, another export writes there, or `dir` is a repository;
/// [`Error::Cancelled`].
/// What was whole by then stays, for the next export to go on with.
pub fn export(repo: Repo, dir: &Dir, options: ServeOptions, ctx: &Ctx) -> Result<Exported> {
    LockedExport::lock(dir)?.write(repo, &Extend::FromElsewhere, options, ctx)
}

/// The directory of an export, into which nobody else exports as long as this exists.
#[derive(Debug)]
pub struct LockedExport {
    dir: Arc<Dir>,
    _lock: File,
}

impl LockedExport {
    /// Takes the lock of an export, or of a directory that becomes one.
    ///
    /// # Errors
    /// [`Error::Export`], also if somebody else has it, or the directory is a repository.
    pub fn lock(dir: &Dir) -> Result<Self> {
        let failed = |source: io::Error| Error::Export { path: ".".into(), why: source.to_string() };
        if dir.is_dir("objects") && dir.is_file("config") {
            let why = "the directory is a repository, which has no room for other files: name another one";
            return Err(Error::Export { path: ".".into(), why: why.into() });
        }
        let lock = dir.open(".").map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|e| match e {
            Errno::WOULDBLOCK => {
                failed(io::Error::other("another program exports or pushes there; wait for its end"))
            }
            e => failed(e.into()),
        })?;
        Ok(Self { dir: Arc::new(dir.try_clone().map_err(failed)?), _lock: lock })
    }

    /// Makes summary, images and pages tell of what was written into `repo`, the repository of this export. Images of refs
    /// that name the same commit as before stay as they are.
    ///
    /// # Errors
    /// As [`export`].
    pub fn renew(&self, repo: Repo, options: ServeOptions, ctx: &Ctx) -> Result<Exported> {
        self.write(repo, &Extend::FromItself(Arc::clone(&self.dir)), options, ctx)
    }

    fn write(&self, repo: Repo, extend: &Extend, options: ServeOptions, ctx: &Ctx) -> Result<Exported> {
        with_site(repo, options, Extent::Files, ctx, |runtime, site| {
            runtime.block_on(async {
                let mut exported = Exported::default();
                for stage in Stage::ALL {
                    let wanted = paths::of(&site, stage, extend).await?;
                    ctx.phase(stage.name(), Some(wanted.len() as u64), None);
                    write_all(&site, &self.dir, wanted, &mut exported, ctx).await?;
                }
                // Names of the last stage; those of each other one the next has waited for.
                write::sync(&self.dir).await?;
                Ok(exported)
            })
        })?
    }
}

/// Writes these files, and gives their names to all that are whole, whether or not the work came to its end.
async fn write_all(
    site: &Arc<Site>,
    dir: &Arc<Dir>,
    wanted: Vec<Wanted>,
    exported: &mut Exported,
    ctx: &Ctx,
) -> Result<()> {
    let mut nameless = Nameless::new(Arc::clone(dir));
    let written = write_each(site, dir, wanted, (exported, &mut nameless), ctx).await;
    let named = nameless.name_all().await;
    written.and(named)
}

/// Writes these files, several at a time.
async fn write_each(
    site: &Arc<Site>,
    dir: &Arc<Dir>,
    wanted: Vec<Wanted>,
    (exported, nameless): (&mut Exported, &mut Nameless),
    ctx: &Ctx,
) -> Result<()> {
    let mut wanted = VecDeque::from(wanted);
    let mut running = JoinSet::new();
    loop {
        ctx.cancel.check().map_err(|_| Error::Cancelled)?;
        while running.len() < 2 * ctx.jobs.get()
            && let Some(next) = wanted.pop_front()
        {
            running.spawn(write_one(Arc::clone(site), Arc::clone(dir), next));
        }
        match running.join_next().await {
            None => return Ok(()),
            Some(Ok(done)) => match done? {
                Some(path) => {
                    exported.written += 1;
                    nameless.add(path).await?;
                }
                None => exported.kept += 1,
            },
            Some(Err(error)) => return Err(Error::Export { path: ".".into(), why: error.to_string() }),
        }
        ctx.object_done(0);
    }
}

/// Writes a file unless it is there already with the same content; gives its path if it did.
async fn write_one(site: Arc<Site>, dir: Arc<Dir>, wanted: Wanted) -> Result<Option<String>> {
    let path = wanted.file();
    if wanted.keeps && write::is_there(&dir, &path).await? {
        return Ok(None);
    }
    let answer = site.answer(&Asked::path(wanted.parts.clone())).await;
    if answer.status != StatusCode::OK {
        return Err(Error::Export { path, why: answer.reason() });
    }
    let is_new = write::content(&dir, &path, answer.content).await?;
    Ok(is_new.then_some(path))
}
