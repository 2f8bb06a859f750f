//! `complete NAME WORD…`: what may stand in place of the last word. The scripts of `completions` ask it, people do
//! not: it is in no help, and nothing of it is done when another verb runs.
//!
//! ```text
//! cursor.rs   the words → what is expected where the cursor is      values.rs   that → candidates
//!
//! VALUE [TAB HELP]         a candidate; no space goes behind one that ends in `/`, `=` or `:`
//! TAB files TAB BEFORE     the shell completes the name of a file, behind what stands BEFORE it in the word
//! TAB dirs TAB BEFORE      of a directory
//! ```

mod cursor;
mod values;

use std::ffi::OsString;
use std::io::{self, Write};

use super::program::Program;
use super::terminal::Session;

/// The verb that only scripts know.
pub(crate) const VERB: &str = "complete";

/// What may stand at the cursor.
#[derive(Debug, Default)]
struct Candidates {
    list: Vec<Candidate>,
    names: Option<Names>,
}

/// One word.
#[derive(Debug)]
struct Candidate {
    value: String,
    help: String,
}

/// Names that the shell knows best, behind what stands before them in the word.
#[derive(Debug)]
struct Names {
    of: Kind,
    before: String,
}

/// What the names are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Files, and directories on the way to them.
    Files,
    /// Directories.
    Dirs,
}

impl Candidates {
    fn words(values: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let list = values.into_iter().map(|value| Candidate { value: value.into(), help: String::new() });
        Self { list: list.collect(), names: None }
    }

    fn names(of: Kind) -> Self {
        Self { list: Vec::new(), names: Some(Names { of, before: String::new() }) }
    }

    /// These candidates, in a word that begins with `before`.
    fn behind(mut self, before: &str) -> Self {
        self.list.iter_mut().for_each(|candidate| candidate.value.insert_str(0, before));
        self.names.iter_mut().for_each(|names| names.before.insert_str(0, before));
        self
    }
}

/// Prints the candidates; `argv` are the name of the program and its arguments so far, the last of them unfinished.
/// What cannot be found out is not offered: nobody waits for an error here.
pub(crate) fn run(argv: &[OsString], session: &mut Session) -> io::Result<()> {
    let [name, before @ .., current] = argv else { return Ok(()) };
    let Some(current) = current.to_str() else { return Ok(()) };
    let found = cursor::candidates(Program::from_name(name), before.to_vec(), current);
    for Candidate { value, help } in &found.list {
        // A name that would end the line is not offered.
        if value.starts_with(current) && !value.contains(['\n', '\t']) {
            match help.lines().next() {
                Some(help) if !help.is_empty() => writeln!(session.out, "{value}\t{help}")?,
                _ => writeln!(session.out, "{value}")?,
            }
        }
    }
    match &found.names {
        Some(Names { of: Kind::Files, before }) => writeln!(session.out, "\tfiles\t{before}"),
        Some(Names { of: Kind::Dirs, before }) => writeln!(session.out, "\tdirs\t{before}"),
        None => Ok(()),
    }
}
