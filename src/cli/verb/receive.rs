//! `receive`: the other end of `push` over ssh.

use std::fs::File;
use std::io::{IsTerminal, stdin, stdout};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::bail;

use super::Common;
use crate::cli::terminal::{Session, Told};
use crate::cli::{advice, locate};
use crate::host::{Machine, SignedBy};
use crate::store::Voucher;
use crate::transfer::pipe::Receiver;

/// Arguments of `receive`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// A file with OpenPGP keys, one of which must have signed each commit
    #[arg(long, value_name = "FILE")]
    gpg_keyring: Vec<PathBuf>,
}

/// Receives objects, then refs.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    if stdin().is_terminal() || stdout().is_terminal() {
        bail!("`receive` talks to `push`, which starts it by ssh");
    }
    // Unbuffered: frames are buffered already.
    let stdout = File::from(stdout().as_fd().try_clone_to_owned()?);
    let stdin = File::from(stdin().as_fd().try_clone_to_owned()?);
    let mut receiver = Receiver::greet(stdin, stdout)?;
    match receive(args, &mut receiver, session) {
        Ok(()) => Ok(receiver.done()?),
        Err(error) => {
            receiver.refuse(&advice::text(&error));
            // Whoever pushes says it: his standard error is ours.
            Err(error.context(Told))
        }
    }
}

fn receive(args: &Args, receiver: &mut Receiver<File, File>, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    repo.require_writable()?;
    let machine = Machine::from_env();
    let mut keyring = machine.keyring_of_receive(&repo)?;
    for file in &args.gpg_keyring {
        keyring.get_or_insert_default().extend(machine.keyring(file)?);
    }
    let signed_by = keyring.map(SignedBy);
    let voucher = signed_by.as_ref().map(|voucher| voucher as &dyn Voucher);
    locate::in_transaction(&repo, &session.ctx, |txn| Ok(receiver.receive(txn, voucher, &session.ctx)?))?;
    Ok(())
}
