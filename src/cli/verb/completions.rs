//! `completions`: what a shell needs to complete our arguments.

use clap_complete::Shell;

use crate::cli::terminal::Session;

/// Arguments of `completions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script that knows the arguments of `command`.
pub(crate) fn run(args: &Args, mut command: clap::Command, session: &mut Session) -> anyhow::Result<()> {
    // Into memory first: the generator cannot report a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "ostree-rs", &mut script);
    // The generator calls the same case by two names if that of the program has a hyphen.
    let script = match args.shell {
        Shell::Bash => String::from_utf8(script)?.replace("ostree__subcmd__rs", "ostree__rs").into_bytes(),
        _ => script,
    };
    std::io::Write::write_all(&mut session.out, &script)?;
    Ok(())
}
