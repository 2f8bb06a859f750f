//! Messages about arguments that cannot be understood.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::io;
use std::num::{IntErrorKind, ParseIntError};
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{absent, advice, near, terminal};

/// Says that a verb does not exist, and which one may have been meant; if none, the usage of the program or of the
/// group of verbs is shown.
pub(crate) fn unknown_verb(command: &Command, groups: &[String], verb: &OsStr) -> anyhow::Result<ExitCode> {
    let verb = verb.to_string_lossy();
    let message = match groups {
        [] => format!("Unknown command '{verb}'"),
        groups => format!("Unknown \"{}\" subcommand '{verb}'", groups.join(" ")),
    };
    if let Some(advice) = absent::advice(groups.last().map(String::as_str), &verb) {
        anyhow::bail!("{message}: it does not exist here; {advice}");
    }
    let level = below(command, groups);
    let verbs = level.get_subcommands().map(Command::get_name);
    if let Some(nearest) = near::nearest(&verb, verbs) {
        anyhow::bail!("{message}; nearest: {nearest}");
    }
    show(command, groups);
    anyhow::bail!("{message}");
}

/// The options that may stand before any verb.
const EVERYWHERE: [&str; 6] = ["--help", "--repo", "--verbose", "--version", "-h", "-v"];

/// Shows the usage where a verb is missing, and says so; what is no option of any verb is more likely what was mistyped.
pub(crate) fn missing_verb(
    command: &Command,
    groups: &[String],
    options: &[OsString],
) -> anyhow::Result<ExitCode> {
    let mut names = options.iter().filter_map(|option| option.to_str()?.split('=').next());
    if let Some(unknown) =
        names.find(|name| name.len() > 1 && name.starts_with('-') && !EVERYWHERE.contains(name))
    {
        match near::nearest(unknown, EVERYWHERE) {
            Some(nearest) => anyhow::bail!("Unknown option '{unknown}'; nearest: {nearest}"),
            None => anyhow::bail!("Unknown option '{unknown}' before a command"),
        }
    }
    show(command, groups);
    match groups {
        [] => anyhow::bail!("No command specified"),
        groups => anyhow::bail!("No \"{}\" subcommand specified", groups.join(" ")),
    }
}

fn show(command: &Command, groups: &[String]) {
    let mut command = command.clone();
    command.build();
    terminal::say(below(&command, groups).clone().render_help());
}

/// The innermost of groups that lie within each other.
fn below<'c>(command: &'c Command, groups: &[String]) -> &'c Command {
    groups.iter().fold(command, |level, group| level.find_subcommand(group).unwrap_or(level))
}

/// Help goes to standard output and is no error; everything else exits with 1, as C ostree does.
pub(crate) fn bad_arguments(error: &clap::Error, argv: &[OsString]) -> anyhow::Result<ExitCode> {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match error.print() {
            // A pager or `head` that has seen enough.
            Err(closed) if closed.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
            printed => Ok(printed.context("write standard output").map(|()| ExitCode::SUCCESS)?),
        };
    }
    match bad_value(error).or_else(|| not_text(error, argv)) {
        Some(why) => anyhow::bail!("{why}"),
        None => error.print()?,
    }
    Ok(ExitCode::FAILURE)
}

/// Which arguments are not UTF-8, if that is what is wrong: only some of the paths may be anything.
fn not_text(error: &clap::Error, argv: &[OsString]) -> Option<String> {
    let which: Vec<_> =
        argv.iter().filter(|arg| arg.to_str().is_none()).map(|arg| format!("{arg:?}")).collect();
    (error.kind() == ErrorKind::InvalidUtf8).then(|| {
        format!("{} is not UTF-8: names in a repository, refs and images have to be", which.join(", "))
    })
}

/// What is wrong with the value of an option or argument, if that is what is wrong.
fn bad_value(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(&**text),
        _ => None,
    };
    let (arg, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let option = arg.split([' ', '=', '[']).next().filter(|arg| arg.starts_with('-'));
    let place = option.map(|option| format!("{option} ")).unwrap_or_default();
    match (error.kind(), error.get(ContextKind::ValidValue)) {
        // Nothing was given where a value has to be: clap says that.
        (ErrorKind::InvalidValue, _) if value.is_empty() => None,
        (ErrorKind::InvalidValue, Some(ContextValue::Strings(valid))) => {
            let valid = near::sorted(value, valid.iter().map(String::as_str)).join(", ");
            Some(format!("{place}'{value}': there are {valid}"))
        }
        (ErrorKind::ValueValidation, _) => {
            let why = error.source().map(|cause| match cause.downcast_ref() {
                Some(number) => no_number(number).to_owned(),
                None => advice::chain(anyhow::Chain::new(cause)),
            });
            Some(format!("{place}'{value}': {}", why.unwrap_or_default()))
        }
        _ => None,
    }
}

/// What is wrong with a number; the standard library tells it in words of programmers.
fn no_number(error: &ParseIntError) -> &'static str {
    match error.kind() {
        IntErrorKind::Zero => "it has to be at least 1",
        IntErrorKind::PosOverflow => "the number is too large",
        IntErrorKind::NegOverflow => "the number is too small",
        _ => "it is no whole number",
    }
}
