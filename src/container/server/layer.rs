//! Writes the layer with the server. Its stream is the same whenever it is written.

use std::collections::BTreeSet;
use std::io::{self, Write};

use ostree_format::{CommitId, FileId, ObjectName, RepoMode};
use tar::{EntryType, Header};

use super::beside::beside;
use super::{DIR, PROGRAM, SERVED_REPO, Server};
use crate::base::Ctx;
use crate::container::image::{Error, Result};
use crate::store::{self, ObjectRead, pack_file};
use crate::tar::{self as streams, BLOCK_BYTES, Writer};

/// The level at which content is packed that lies beside the server.
const LEVEL: u32 = 6;
/// Directories of the repository, apart from those of refs and objects; where one is missing, a server that may write
/// would make it.
const REPO_DIRS: [&str; 5] = ["objects", "refs", "refs/heads", "tmp", "tmp/cache"];

/// The layer with the server.
pub(in crate::container) struct ServerLayer<'a> {
    store: &'a dyn ObjectRead,
    commit: CommitId,
    server: Server,
    beside: Vec<FileId>,
}

impl<'a> ServerLayer<'a> {
    /// Finds out what has to be in the layer; `in_base` is the content that only the base of the image has.
    pub(in crate::container) fn new(
        store: &'a dyn ObjectRead,
        commit: &CommitId,
        server: &Server,
        in_base: &BTreeSet<FileId>,
    ) -> Result<Self> {
        Ok(Self { store, commit: *commit, server: server.clone(), beside: beside(store, commit, in_base)? })
    }

    /// Writes the stream.
    pub(in crate::container) fn write(&self, out: &mut dyn Write, ctx: &Ctx) -> Result<()> {
        let mut out = Writer::new(out);
        for dir in ["sysroot", "sysroot/ostree", DIR] {
            write_dir(&mut out, dir)?;
        }
        let mut program = header(EntryType::Regular, 0o755, self.server.program.len());
        let unread = |source| store::Error::Read { what: "program of the server".into(), source }.into();
        let (len, mut content) = (self.server.program.len(), self.server.program.read());
        out.append_stream(&mut program, PROGRAM, len, &mut content, &unread)?;
        write_dir(&mut out, SERVED_REPO)?;
        for dir in REPO_DIRS {
            write_dir(&mut out, &format!("{SERVED_REPO}/{dir}"))?;
        }
        let config = format!("[core]\nrepo_version=1\nmode={}\n", RepoMode::Archive.as_str());
        write_file(&mut out, "config", config.as_bytes())?;
        self.write_ref(&mut out)?;
        let mut dir = None;
        for id in &self.beside {
            ctx.cancel.check().map_err(store::Error::from)?;
            let path = ObjectName::from(*id).loose_path(RepoMode::Archive).to_string();
            let first = path.split('/').next().map(str::to_owned);
            if dir != first {
                write_dir(
                    &mut out,
                    &format!("{SERVED_REPO}/objects/{}", first.as_deref().unwrap_or_default()),
                )?;
                dir = first;
            }
            self.write_packed(&mut out, &format!("{SERVED_REPO}/objects/{path}"), id)?;
        }
        out.finish()?;
        Ok(())
    }

    fn write_ref(&self, out: &mut Writer<&mut dyn Write>) -> Result<()> {
        let name = self.server.name.as_str();
        for (at, _) in name.match_indices('/') {
            write_dir(out, &format!("{SERVED_REPO}/refs/heads/{}", &name[..at]))?;
        }
        write_file(out, &format!("refs/heads/{name}"), format!("{}\n", self.commit).as_bytes())
    }

    /// Writes a content object as archives keep it: once to know how long it gets, and then as it is.
    fn write_packed(&self, out: &mut Writer<&mut dyn Write>, path: &str, id: &FileId) -> Result<()> {
        let open = || self.store.open_file(id)?.ok_or(store::Error::NotFound((*id).into()));
        let mut size = Counted::new(io::sink());
        pack_file(id, open()?, LEVEL, &mut size)?;
        let bytes = size.bytes;
        out.append(&mut header(EntryType::Regular, 0o644, bytes), path)?;
        let mut counted = Counted::new(out.get_mut());
        let packed = pack_file(id, open()?, LEVEL, &mut counted);
        if let Some(error) = counted.failed.take() {
            return Err(streams::Error::Write(error).into());
        }
        packed?;
        if counted.bytes != bytes {
            return Err(Error::Image(format!("{} changed while it was read", ObjectName::from(*id))));
        }
        let padding = (BLOCK_BYTES - (bytes % BLOCK_BYTES as u64) as usize) % BLOCK_BYTES;
        out.get_mut().write_all(&[0; BLOCK_BYTES][..padding]).map_err(streams::Error::Write)?;
        Ok(())
    }
}

fn write_dir(out: &mut Writer<&mut dyn Write>, path: &str) -> Result<()> {
    Ok(out.append(&mut header(EntryType::Directory, 0o755, 0), path)?)
}

/// Writes a file of the repository.
fn write_file(out: &mut Writer<&mut dyn Write>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, 0o644, bytes.len() as u64);
    Ok(out.append_bytes(&mut header, &format!("{SERVED_REPO}/{path}"), bytes)?)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// Counts what is written, and keeps the error of a write that failed.
struct Counted<W> {
    out: W,
    bytes: u64,
    failed: Option<io::Error>,
}

impl<W> Counted<W> {
    fn new(out: W) -> Self {
        Self { out, bytes: 0, failed: None }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.out.write(buffer) {
            Ok(n) => {
                self.bytes += n as u64;
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
