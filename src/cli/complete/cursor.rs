//! What is expected where the cursor is.

use std::ffi::OsString;

use clap::{Arg, Command};

use super::values::{self, Given};
use super::{Candidate, Candidates, Kind};
use crate::cli::app;
use crate::cli::args::{self, Arranged, value_behind};
use crate::cli::program::Program;

/// What may stand behind the words `before`, beginning with `current`.
pub(super) fn candidates(program: Program, before: Vec<OsString>, current: &str) -> Candidates {
    let command = app::command(program);
    match args::arrange(&command, before.clone()) {
        Arranged::Version => Candidates::default(),
        Arranged::Unknown { verb, groups, argv } => match program.elsewhere(&groups, &verb, argv) {
            Some((program, argv)) => candidates(program, argv, current),
            None => Candidates::default(),
        },
        Arranged::Missing { groups, .. } => {
            let level = groups.iter().try_fold(&command, |level, group| level.find_subcommand(group));
            level.map_or_else(Candidates::default, |level| of_group(level, &before, current))
        }
        Arranged::Argv(argv) => {
            let mut words = argv.into_iter().peekable();
            let mut level = &command;
            while let Some(below) = words.peek().and_then(|word| level.find_subcommand(word)) {
                level = below;
                words.next();
            }
            // `help` alone: its verb is still to come.
            if level.has_subcommands() {
                return verbs(level);
            }
            of_verb(level, &words.collect::<Vec<_>>(), current)
        }
    }
}

/// Where a verb is missing.
fn of_group(level: &Command, before: &[OsString], current: &str) -> Candidates {
    match before.last() {
        Some(last) if last == "--repo" => Candidates::names(Kind::Dirs),
        _ if current.starts_with("--repo=") => Candidates::names(Kind::Dirs).behind("--repo="),
        _ if current.starts_with('-') => Candidates::words(["--help", "--repo", "--verbose", "--version"]),
        _ => verbs(level),
    }
}

fn verbs(level: &Command) -> Candidates {
    let shown = level.get_subcommands().filter(|verb| !verb.is_hide_set());
    let list =
        shown.map(|verb| Candidate { value: verb.get_name().to_owned(), help: help(verb.get_about()) });
    Candidates { list: list.collect(), names: None }
}

/// Behind a verb: the value of an option, an option, or what stands for itself.
fn of_verb(verb: &Command, words: &[OsString], current: &str) -> Candidates {
    let mut given = Given { verb: verb.get_name().to_owned(), ..Given::default() };
    let (mut pending, mut only_words) = (None, false);
    for word in words {
        let text = word.to_string_lossy();
        if let Some(arg) = pending.take() {
            given.note(arg, &text);
        } else if only_words || !text.starts_with('-') || text == "-" {
            given.words.push(text.into_owned());
        } else if text == "--" {
            only_words = true;
        } else if let Some((arg, value)) = attached(verb, &text) {
            given.note(arg, value);
        } else {
            pending = value_behind(verb, word);
        }
    }
    if let Some(arg) = pending {
        return values::of(arg, current, &given);
    }
    if !only_words && current.starts_with('-') {
        return match attached(verb, current) {
            Some((arg, value)) => {
                let before = &current[..current.len() - value.len()];
                values::of(arg, value, &given).behind(before)
            }
            None => options(verb),
        };
    }
    let positionals: Vec<&Arg> = verb.get_positionals().filter(|arg| !arg.is_hide_set()).collect();
    let takes_all = |arg: &&&Arg| arg.get_num_args().is_some_and(|n| n.max_values() > 1);
    let at = positionals.get(given.words.len()).or_else(|| positionals.last().filter(takes_all));
    at.map_or_else(Candidates::default, |arg| values::of(arg, current, &given))
}

/// The option and the value of `--option=value`.
fn attached<'c, 'w>(verb: &'c Command, word: &'w str) -> Option<(&'c Arg, &'w str)> {
    let (name, value) = word.strip_prefix("--")?.split_once('=')?;
    Some((verb.get_arguments().find(|arg| arg.get_long() == Some(name))?, value))
}

fn options(verb: &Command) -> Candidates {
    let shown = verb.get_opts().chain(verb.get_arguments().filter(|arg| !arg.get_action().takes_values()));
    let list = shown.filter(|arg| !arg.is_hide_set() && !arg.is_positional()).filter_map(|arg| {
        let letter = || arg.get_short().map(|letter| format!("-{letter}"));
        let value = arg.get_long().map(|name| format!("--{name}")).or_else(letter)?;
        Some(Candidate { value, help: help(arg.get_help()) })
    });
    let mut list: Vec<Candidate> = list.collect();
    list.extend(["--help", "--version"].map(|name| Candidate { value: name.into(), help: String::new() }));
    list.sort_by(|a, b| a.value.cmp(&b.value));
    list.dedup_by(|a, b| a.value == b.value);
    Candidates { list, names: None }
}

fn help(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}
