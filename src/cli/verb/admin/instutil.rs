//! `admin instutil …`: what installers and boot loaders' scripts call.

mod grub2_generate;
mod selinux_ensure_labeled;
mod set_kargs;

use crate::cli::terminal::Session;

/// The verbs below `admin instutil`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Print GRUB menu entries of the boot entries, for grub2-mkconfig
    #[command(name = "grub2-generate")]
    Grub2Generate(grub2_generate::Args),
    /// Label files that have no SELinux label
    SelinuxEnsureLabeled(selinux_ensure_labeled::Args),
    /// Set the kernel arguments of the deployment that is booted next
    SetKargs(set_kargs::Args),
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Grub2Generate(args) => grub2_generate::run(args, session),
        Verb::SelinuxEnsureLabeled(args) => selinux_ensure_labeled::run(args, session),
        Verb::SetKargs(args) => set_kargs::run(args, session),
    }
}
