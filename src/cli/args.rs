//! Puts the verb in front: ostree takes options on either side of it.
//!
//! ```text
//! --repo=r -v remote --if-exists delete NAME   →   remote delete --repo=r -v --if-exists NAME
//! ```

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

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
        /// The groups in which it was looked for, each within the one before.
        groups: Vec<String>,
        /// All arguments, as they were given.
        argv: Vec<OsString>,
    },
    /// There is no verb.
    Missing {
        /// The groups of which the last needs one.
        groups: Vec<String>,
        /// What was given instead: options.
        options: Vec<OsString>,
    },
}

/// Finds the verb among `argv`, which does not hold the program's name.
pub(crate) fn arrange(command: &Command, argv: Vec<OsString>) -> Arranged {
    let argv = help_as_option(argv);
    let mut rest = argv.clone();
    let mut verbs: Vec<OsString> = Vec::new();
    let mut level = command;
    let mut groups = Vec::new();
    while level.has_subcommands() {
        let Some(at) = first_word(&rest) else {
            return match () {
                () if is_given(level, &rest, "--version") => Arranged::Version,
                // The one option that stands for a verb.
                () if is_given(level, &rest, "--print-current-dir") => Arranged::Argv(chain(verbs, rest)),
                () if ["--help", "-h"].iter().any(|help| is_given(level, &rest, help)) => {
                    Arranged::Argv(chain(verbs, rest))
                }
                () => Arranged::Missing { groups, options: rest },
            };
        };
        let word = rest.remove(at);
        let is_called = |sub: &&Command| {
            std::iter::once(sub.get_name()).chain(sub.get_all_aliases()).any(|name| OsStr::new(name) == word)
        };
        let Some(found) = level.get_subcommands().find(is_called) else {
            return Arranged::Unknown { verb: word, groups, argv };
        };
        groups.push(found.get_name().to_owned());
        verbs.push(found.get_name().into());
        level = found;
    }
    match is_given(level, &rest, "--version") {
        true => Arranged::Version,
        false => Arranged::Argv(chain(verbs, rest)),
    }
}

/// `help VERB` is `VERB --help`.
fn help_as_option(mut argv: Vec<OsString>) -> Vec<OsString> {
    if let Some(at) = first_word(&argv).filter(|at| argv[*at] == "help") {
        argv.remove(at);
        argv.push("--help".into());
    }
    argv
}

/// Whether `option` stands among the arguments of a verb, and not as the value of another option.
fn is_given(verb: &Command, args: &[OsString], option: &str) -> bool {
    let mut is_value = false;
    args.iter().take_while(|arg| *arg != "--").any(|arg| {
        let was_value = is_value;
        is_value = !was_value && value_behind(verb, arg).is_some();
        !was_value && arg == option
    })
}

/// The option that `arg` is, if its value is the next argument.
pub(crate) fn value_behind<'c>(verb: &'c Command, arg: &OsStr) -> Option<&'c Arg> {
    let with_value = |fits: &dyn Fn(&Arg) -> bool| {
        verb.get_arguments().find(|arg| !arg.is_positional() && fits(arg) && arg.get_action().takes_values())
    };
    let text = arg.to_str()?;
    match (text.strip_prefix("--"), text.strip_prefix('-')) {
        (Some(long), _) => with_value(&|arg| arg.get_long() == Some(long)),
        // Of several in one, the first that takes a value takes all behind it, or else the next argument.
        (None, Some(short)) => {
            let option = |letter: char| with_value(&|arg| arg.get_short() == Some(letter));
            let (at, option) = short.char_indices().find_map(|(at, letter)| Some((at, option(letter)?)))?;
            short[at..].chars().nth(1).is_none().then_some(option)
        }
        (None, None) => None,
    }
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
