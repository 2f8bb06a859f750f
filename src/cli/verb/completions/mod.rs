//! `completions`: what a shell needs to complete our arguments. The scripts know no verb and no option: they ask the
//! program whose line is being typed (`complete`), which knows what is in the repository, too.

use std::io::Write;
use std::path::{Path, absolute};

use anyhow::ensure;

use crate::cli::terminal::Session;

/// The names that the program goes by.
const NAMES: [&str; 3] = ["ostree-rs", "ostree", "ostree-container"];

/// Arguments of `completions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
    /// The names under which the program is called [default: ostree-rs ostree ostree-container]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// The shells that are served.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    /// source <(ostree-rs completions bash)
    Bash,
    /// source <(ostree-rs completions zsh), behind compinit
    Zsh,
    /// ostree-rs completions fish | source
    Fish,
}

/// Prints the script.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let script = match args.shell {
        Shell::Bash => include_str!("script.bash"),
        Shell::Zsh => include_str!("script.zsh"),
        Shell::Fish => include_str!("script.fish"),
    };
    let is_word = |name: &&String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    for name in &args.names {
        ensure!(is_word(&name), "'{name}' is no name of a program");
    }
    let names = if args.names.is_empty() { NAMES.join(" ") } else { args.names.join(" ") };
    let script = script.replace("@NAMES@", &names).replace("@PROGRAM@", &quoted(&program()));
    Ok(session.out.write_all(script.as_bytes())?)
}

/// What is asked where the name on the line leads to no program: that of the path by which this one was called, or
/// whatever `PATH` has.
fn program() -> String {
    let called = std::env::args_os().next().filter(|name| name.as_encoded_bytes().contains(&b'/'));
    let path = called.and_then(|path| absolute(Path::new(&path)).ok());
    path.and_then(|path| path.to_str().map(str::to_owned)).unwrap_or_else(|| NAMES[0].to_owned())
}

/// In single quotes, which bash, zsh and fish read alike if no quote or backslash is within.
fn quoted(text: &str) -> String {
    if text.contains(['\'', '\\']) { NAMES[0].to_owned() } else { format!("'{text}'") }
}
