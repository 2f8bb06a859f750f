//! `man`: a manual page for the program and for each verb.

pub(crate) mod examples;
mod surroundings;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use self::surroundings::Entry;

/// The page of the program itself.
const PROGRAM: &str = "ostree-rs";

/// Arguments of `man`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where `ostree-rs.1`, `ostree-rs-commit.1`, … are written to
    dir: PathBuf,
}

/// Writes the pages about `command`.
pub(crate) fn run(args: &Args, mut command: Command) -> anyhow::Result<()> {
    let shown = args.dir.display();
    fs::create_dir_all(&args.dir).with_context(|| format!("Creating {shown}"))?;
    command.build();
    write_pages(&command, &args.dir).with_context(|| format!("Writing manual pages into {shown}"))
}

/// The page about `command`, and those about the verbs below it.
fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, dir)?;
    }
    // Into memory first: what is made in small pieces is written as a whole.
    let mut page = Vec::new();
    write_page(command, &mut page)?;
    fs::write(dir.join(format!("{}.1", name(command))), page)
}

/// `ostree-rs-container-build`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn write_page(command: &Command, page: &mut impl Write) -> io::Result<()> {
    // A version's page has no day of its own: it is the same whenever it is made.
    let (name, version) = (name(command), env!("CARGO_PKG_VERSION"));
    writeln!(page, ".TH \"{name}\" 1 \"\" \"ostree-rs {version}\" \"User Commands\"")?;
    let man = Man::new(command.clone());
    man.render_name_section(page)?;
    page.write_all(synopsis(command).to_roff().as_bytes())?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    page.write_all(more(command).to_roff().as_bytes())
}

/// How the command is called. The options stand below, with what they take.
fn synopsis(command: &Command) -> Roff {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    for (line, text) in usage.trim_start_matches("Usage:").lines().enumerate() {
        if line > 0 {
            roff.control("br", []);
        }
        roff.text([roman(text.trim())]);
    }
    roff
}

/// What the definitions of arguments do not tell.
fn more(command: &Command) -> Roff {
    let mut roff = Roff::new();
    entries(&mut roff, "EXIT STATUS", surroundings::EXIT_CODES, command);
    entries(&mut roff, "ENVIRONMENT", surroundings::VARIABLES, command);
    entries(&mut roff, "FILES", surroundings::FILES, command);
    let examples = examples::of(name(command));
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for (what, line) in examples {
        if !what.is_empty() {
            roff.control("PP", []).text([roman(*what)]);
        }
        // Commands are copied: no hyphens, no other breaks than those that a shell takes.
        roff.control("RS", ["4"]).control("nf", []);
        for piece in folded(line) {
            roff.text([bold(piece)]);
        }
        roff.control("fi", []).control("RE", []);
    }
    if name(command) != PROGRAM {
        roff.control("SH", ["SEE ALSO"]).text([bold(PROGRAM), roman("(1)")]);
    }
    roff
}

/// A command in lines that fit on a terminal, all but the last ending with a backslash.
fn folded(command: &str) -> Vec<String> {
    const WIDTH: usize = 70;
    let mut lines = vec![String::new()];
    for word in command.split(' ') {
        let last = lines.last().map_or(0, String::len);
        match lines.last_mut() {
            Some(line) if last == 0 => line.push_str(word),
            Some(line) if last + 1 + word.len() <= WIDTH => line.extend([" ", word]),
            Some(line) => {
                line.push_str(" \\");
                lines.push(format!("  {word}"));
            }
            None => {}
        }
    }
    lines
}

fn entries(roff: &mut Roff, heading: &str, entries: &[Entry], command: &Command) {
    let shown: Vec<&Entry> = entries.iter().filter(|entry| entry.concerns.includes(command)).collect();
    if !shown.is_empty() {
        roff.control("SH", [heading]);
    }
    for entry in shown {
        roff.control("TP", []).text([bold(entry.name)]).text([roman(entry.what)]);
    }
}
