//! `admin instutil …`: what installers and boot loaders' scripts call.

mod grub2_generate;

use crate::cli::terminal::Session;

/// The verbs below `admin instutil`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Print GRUB menu entries of the boot entries, for grub2-mkconfig
    #[command(name = "grub2-generate")]
    Grub2Generate(grub2_generate::Args),
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Grub2Generate(args) => grub2_generate::run(args, session),
    }
}
