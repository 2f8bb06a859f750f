//! The definitions that arguments are read by, and that help, completions and man pages are made of.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Parser};

use super::program::Program;
use super::terminal::{self, ProgressOptions};
use super::verb::{ContainerVerb, OstreeVerb, Verb};

/// Repositories, tar streams and container images of libostree.
#[derive(Parser)]
#[command(name = "ostree-rs", override_usage = "ostree-rs COMMAND [OPTIONS]")]
struct OstreeRs {
    #[command(subcommand)]
    verb: Verb,
}

/// Manage repositories of versioned file system trees.
#[derive(Parser)]
#[command(name = "ostree", override_usage = "ostree COMMAND [OPTIONS]")]
struct Ostree {
    #[command(subcommand)]
    verb: OstreeVerb,
}

/// Commits as container images, and back.
#[derive(Parser)]
#[command(name = "ostree-container", override_usage = "ostree-container COMMAND [OPTIONS]")]
struct OstreeContainer {
    #[command(subcommand)]
    verb: ContainerVerb,
}

/// Arguments that were read.
pub(crate) struct App {
    /// What to do.
    pub(crate) verb: Verb,
    /// How to talk to the user.
    pub(crate) terminal: terminal::Options,
}

/// The definitions for `program`, with what all of them have in common.
pub(crate) fn command(program: Program) -> Command {
    let command = match program {
        Program::OstreeRs => <OstreeRs as clap::CommandFactory>::command(),
        Program::Ostree => <Ostree as clap::CommandFactory>::command(),
        Program::OstreeContainer => <OstreeContainer as clap::CommandFactory>::command(),
    };
    // It is looked for before anything is parsed; here it stands for help, completions and man pages.
    let version = Arg::new("version").long("version").action(ArgAction::SetTrue);
    let version = version.help("Print version and features, as YAML");
    configure(command, program).args_override_self(true).arg(version)
}

fn configure(command: Command, program: Program) -> Command {
    let heading = match command.get_name() {
        "admin" => "Builtin \"admin\" Commands",
        "remote" => "Builtin \"remote\" Commands",
        "tar" => "Builtin \"tar\" Commands",
        "container" => "Builtin \"container\" Commands",
        _ => "Builtin Commands",
    };
    command
        .disable_help_subcommand(true)
        .subcommand_help_heading(heading)
        .subcommand_value_name("COMMAND")
        // The value of an option may start with '-': `--depth -1`.
        .mut_args(|arg| {
            let has_value = !arg.is_positional() && arg.get_action().takes_values();
            if has_value { arg.allow_hyphen_values(true) } else { arg }
        })
        .mut_subcommands(|sub| ignore_surplus(configure(sub, program), program))
}

/// C ostree ignores arguments behind those that a verb takes, and scripts have them.
fn ignore_surplus(command: Command, program: Program) -> Command {
    let takes_all = |arg: &Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    let is_full = command.has_subcommands() || command.get_positionals().any(takes_all);
    match program {
        Program::Ostree if !is_full => command.arg(Arg::new("surplus").num_args(0..).hide(true)),
        _ => command,
    }
}

impl App {
    /// Reads `argv`, which begins with the verb.
    pub(crate) fn parse(
        program: Program,
        command: Command,
        argv: Vec<OsString>,
    ) -> clap::error::Result<Self> {
        let name = command.get_name().to_owned();
        let argv = [OsString::from(name)].into_iter().chain(argv);
        let matches = command.try_get_matches_from(argv)?;
        let terminal = terminal_options(&matches);
        let verb = match program {
            Program::OstreeRs => OstreeRs::from_arg_matches(&matches)?.verb,
            Program::Ostree => Verb::Ostree(Ostree::from_arg_matches(&matches)?.verb),
            Program::OstreeContainer => Verb::Container(OstreeContainer::from_arg_matches(&matches)?.verb),
        };
        Ok(Self { verb, terminal })
    }
}

/// `--quiet` and `--verbose` of whichever verb has them; `--json` is quiet too.
fn terminal_options(matches: &ArgMatches) -> terminal::Options {
    let mut leaf = matches;
    while let Some((_, below)) = leaf.subcommand() {
        leaf = below;
    }
    let given = |name| matches!(leaf.try_get_one::<bool>(name), Ok(Some(true)));
    let mode = leaf.try_get_one(ProgressOptions::ID).ok().flatten().copied().unwrap_or_default();
    terminal::Options { quiet: given("quiet") || given("json"), verbose: given("verbose"), progress: mode }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{self, Arranged};

    #[test]
    fn definitions_are_consistent() {
        for program in [Program::OstreeRs, Program::Ostree, Program::OstreeContainer] {
            command(program).debug_assert();
        }
    }
    /// The examples of the manual pages are commands, and every verb has one.
    #[test]
    fn examples_are_understood() {
        let mut pages = Vec::new();
        for (page, lines) in crate::cli::verb::man::examples::all() {
            for (_, line) in *lines {
                let line =
                    line.trim_start_matches("source <(").trim_end_matches(')').trim_end_matches(" | source");
                // Every second piece stands in quotes.
                let pieces = line.split('\'').enumerate();
                let words = pieces.flat_map(|(at, text)| match at % 2 {
                    0 => text.split_whitespace().map(OsString::from).collect(),
                    _ => vec![OsString::from(text)],
                });
                let mut words: Vec<OsString> = words.collect();
                assert_eq!(words.remove(0), "ostree-rs");
                let command = command(Program::OstreeRs);
                let Arranged::Argv(argv) = args::arrange(&command, words) else { panic!("no verb: {line}") };
                if let Err(error) = App::parse(Program::OstreeRs, command, argv) {
                    panic!("{line}: {error}");
                }
            }
            pages.push(*page);
        }
        let mut command = command(Program::OstreeRs);
        command.build();
        let mut todo = vec![&command];
        while let Some(command) = todo.pop() {
            let name = command.get_display_name().unwrap_or("ostree-rs");
            assert!(command.has_subcommands() || pages.contains(&name), "no example of {name}");
            todo.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()));
        }
    }
}
