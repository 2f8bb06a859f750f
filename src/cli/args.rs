//! Puts the verb in front: ostree takes options on either side of it.
//!
//! ```text
//! --repo=r -v remote --if-exists delete NAME   →   remote delete --repo=r -v --if-exists NAME
//! ```

use std::ffi::{OsStr, OsString};

use clap::Command;

/// What the arguments ask for.
pub(crate) enum Arranged {
    /// `--version`, wherever it stands.
    Version,
    /// There is a verb (and the verb below it, if it is a group); they come first now.
    Argv(Vec<OsString>),
    /// The verb does not exist.
    Unknown {
        /// The word that is no verb.
        verb: OsString,
        /// The group in which it was looked for.
        group: Option<String>,
        /// All arguments, as they were given.
        argv: Vec<OsString>,
    },
    /// There is no verb.
    Missing {
        /// The group that needs one.
        group: Option<String>,
    },
}

/// Finds the verb among `argv`, which does not hold the program's name.
pub(crate) fn arrange(command: &Command, argv: Vec<OsString>) -> Arranged {
    let given = |option: &str| argv.iter().take_while(|arg| *arg != "--").any(|arg| arg == option);
    let mut rest = argv.clone();
    let mut verbs: Vec<OsString> = Vec::new();
    let mut level = command;
    let mut group = None;
    while level.has_subcommands() {
        let Some(at) = first_word(&rest) else {
            return match () {
                () if given("--version") => Arranged::Version,
                () if given("--help") || given("-h") => Arranged::Argv(chain(verbs, rest)),
                () => Arranged::Missing { group },
            };
        };
        let word = rest.remove(at);
        let Some(found) = level.get_subcommands().find(|sub| OsStr::new(sub.get_name()) == word) else {
            return Arranged::Unknown { verb: word, group, argv };
        };
        group = Some(found.get_name().to_owned());
        verbs.push(word);
        level = found;
    }
    if given("--version") { Arranged::Version } else { Arranged::Argv(chain(verbs, rest)) }
}

fn chain(verbs: Vec<OsString>, rest: Vec<OsString>) -> Vec<OsString> {
    verbs.into_iter().chain(rest).collect()
}

/// The index of the first argument that is not an option, nor the value of `--repo`.
fn first_word(argv: &[OsString]) -> Option<usize> {
    let mut value_of_repo = false;
    argv.iter().position(|arg| {
        let skip = std::mem::replace(&mut value_of_repo, arg == "--repo");
        !skip && !arg.is_empty() && !arg.as_encoded_bytes().starts_with(b"-")
    })
}

/// The message for a verb that does not exist.
pub(crate) fn unknown(group: Option<&str>, verb: &OsStr) -> String {
    let verb = verb.to_string_lossy();
    match group {
        None => format!("Unknown command '{verb}'"),
        Some(group) => format!("Unknown \"{group}\" subcommand '{verb}'"),
    }
}

/// The message for a verb that was not given.
pub(crate) fn missing(group: Option<&str>) -> String {
    match group {
        None => "No command specified".to_owned(),
        Some(group) => format!("No \"{group}\" subcommand specified"),
    }
}
