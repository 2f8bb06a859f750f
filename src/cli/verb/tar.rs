//! `tar import|export`: commits as lossless tar streams, in ostree-ext's format.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::Context;

use super::{Common, resolve};
use crate::cli::terminal::Session;
use crate::cli::whole_file;
use crate::format::RefSpec;
use crate::store::in_transaction;
use crate::tar::{self, ExportOptions, ImportOptions, XattrDialect, export_commit, import_commit};

/// The verbs below `tar`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Import the commit in a tar stream
    Import(ImportArgs),
    /// Write a commit as a tar stream
    Export(ExportArgs),
}

/// Arguments of `tar import`.
#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    common: Common,
    /// A ref that shall name the commit
    #[arg(long, value_name = "REF")]
    write_ref: Option<RefSpec>,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The stream, uncompressed [default: standard input]
    path: Option<PathBuf>,
}

/// Arguments of `tar export`.
#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    common: Common,
    /// Where the stream goes [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The version of the format, of which there is one
    #[arg(long, value_name = "VERSION", hide = true, value_parser = clap::value_parser!(u8).range(1..=1))]
    format_version: Option<u8>,
    #[command(flatten)]
    xattrs: XattrOptions,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// The commit
    rev: String,
}

/// How the xattrs of files are written into streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Xattrs {
    Linked,
    Copied,
}

/// The option that says how the xattrs of files are written into streams; a pull reads both.
#[derive(clap::Args)]
pub(super) struct XattrOptions {
    /// How the xattrs of files are written: linked, once for all files that have the same, as ostree-ext wrote them until
    /// 0.15; or copied, once for each file, as it writes them since it is a part of bootc, and for containers too: with
    /// these, programs in a container have the capabilities that their files give them
    #[arg(long, value_enum, value_name = "HOW", default_value_t = Xattrs::Linked)]
    xattrs: Xattrs,
}

impl XattrOptions {
    pub(super) fn dialect(&self) -> XattrDialect {
        match self.xattrs {
            Xattrs::Linked => XattrDialect::Linked,
            Xattrs::Copied => XattrDialect::Copied,
        }
    }
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Import(args) => import(args, session),
        Verb::Export(args) => export(args, session),
    }
}

fn import(args: &ImportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    repo.require_writable()?;
    let mut input: Box<dyn Read> = match &args.path {
        Some(path) => Box::new(File::open(path).with_context(|| format!("Opening {}", path.display()))?),
        None => Box::new(io::stdin().lock()),
    };
    session.ctx.phase("Importing", None, None);
    let imported = in_transaction(&repo, &session.ctx, |txn| -> tar::Result<_> {
        let id = import_commit(&mut input, txn, &ImportOptions::default(), &session.ctx)?;
        if let Some(refspec) = &args.write_ref {
            txn.set_ref(refspec, Some(id))?;
        }
        Ok(id)
    });
    let id = match &args.path {
        Some(path) => imported.with_context(|| path.display().to_string())?,
        None => imported?,
    };
    Ok(writeln!(session.out, "Imported: {id}")?)
}

fn export(args: &ExportArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let id = resolve(&repo, &args.rev)?;
    let options = ExportOptions { xattrs: args.xattrs.dialect(), ..ExportOptions::default() };
    session.ctx.phase("Exporting", None, None);
    match &args.output {
        None => export_commit(&repo, &id, session.out.data(), &options, &session.ctx)?,
        Some(path) => {
            whole_file::write(path, |file| Ok(export_commit(&repo, &id, file, &options, &session.ctx)?))?;
        }
    }
    Ok(())
}
