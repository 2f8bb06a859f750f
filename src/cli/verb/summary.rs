//! `summary`: writes and shows what a repository says about itself to those who pull from it.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context, bail};

use super::commit::metadata::push_values;
use super::signing;
use crate::cli::locate::RepoOptions;
use crate::cli::summary_text;
use crate::cli::terminal::Session;
use crate::format::commitmeta::{self, SignatureKind};
use crate::format::variant::Dict;
use crate::host::{self, Machine};
use crate::repo::Repo;
use crate::repo::summary::{SummaryFile, SummaryOptions};
use crate::sign::gpg as openpgp;
use crate::store::Error;

/// Arguments of `summary`. Here `-v` is not `--verbose`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    repo: RepoOptions,
    /// Write the summary anew
    #[arg(short, long)]
    update: bool,
    /// Show the summary
    #[arg(short, long)]
    view: bool,
    #[command(flatten)]
    part: summary_text::Part,
    /// With --update, add a value, written as GVariant text
    #[arg(short = 'm', long, value_name = "KEY=VALUE")]
    add_metadata: Vec<String>,
    /// With --update, sign with this OpenPGP key
    #[arg(long, value_name = "KEY-ID")]
    gpg_sign: Vec<String>,
    /// Where secret keys are, or keyrings to verify with
    #[arg(long, value_name = "HOMEDIR")]
    gpg_homedir: Option<PathBuf>,
    #[command(flatten)]
    bare: signing::BareOptions,
    /// Say what is being done
    #[arg(long)]
    verbose: bool,
}

/// Writes the summary, or shows it.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let mut repo = args.repo.open()?;
    if args.update {
        return update(args, &mut repo, session);
    }
    if !args.view && !args.part.is_given() {
        bail!("No option specified; use -u to update summary");
    }
    let file =
        repo.read_summary()?.context("openat(summary): No such file or directory; --update writes one")?;
    match args.part.print(&mut session.out, &file.bytes, &file.summary, args.view)? {
        true => print_signatures(args, &repo, &file, session),
        false => Ok(()),
    }
}

fn update(args: &Args, repo: &mut Repo, session: &Session) -> anyhow::Result<()> {
    repo.require_writable()?;
    let mut additional = Dict::new();
    push_values(&mut additional, &args.add_metadata)?;
    repo.reindex_deltas()?;
    let bare = args.bare.signers()?;
    let sign = |bytes: &[u8]| {
        let signatures = signing::signatures(&args.gpg_sign, args.gpg_homedir.as_deref(), &bare, bytes);
        signatures.map_err(|error| Error::Usage(format!("{error:#}")))
    };
    let is_signed = !args.gpg_sign.is_empty() || !bare.is_empty();
    let options = SummaryOptions { sign: if is_signed { Some(&sign) } else { None }, ..Default::default() };
    Ok(repo.update_summary(&additional, &options, &session.ctx)?)
}

/// What came of the signatures, by all keys that the repository and the system know.
fn print_signatures(
    args: &Args,
    repo: &Repo,
    file: &SummaryFile,
    session: &mut Session,
) -> anyhow::Result<()> {
    let out = &mut session.out;
    let Some(signatures) = &file.signatures else { return Ok(writeln!(out, "Summary is unsigned")?) };
    let signatures = commitmeta::signatures(signatures, SignatureKind::Gpg)?;
    if signatures.is_empty() {
        return Ok(());
    }
    let keyring = Machine::from_env().all_keys(repo, args.gpg_homedir.as_deref())?;
    let verdicts = openpgp::verify(&keyring, &file.bytes, signatures, SystemTime::now());
    let s = if verdicts.len() == 1 { "" } else { "s" };
    writeln!(out, "\nFound {} signature{s} on the summary:", verdicts.len())?;
    Ok(write!(out, "{}", host::describe_verdicts(&verdicts))?)
}
