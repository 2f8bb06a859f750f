//! Floor 5: the program. Arguments, environment, terminal and exit codes are known here and nowhere else.
//!
//! ```text
//! ostree-rs VERB …          ostree's verbs, and tar, container, completions, man, self-test
//! ostree VERB …             the same binary under that name: ostree's verbs
//! ostree-container VERB …   the same binary under that name: what stands behind `ostree-rs container`
//!
//! args.rs   argv → verb first, then its options       app.rs       every definition, in clap's terms
//! verb/     one file per verb                          terminal.rs  output, Ctrl-C; progress.rs
//! ```

mod app;
mod args;
mod datetime;
mod dump;
mod extension;
mod gpg;
mod images;
mod locate;
mod progress;
mod remotes;
mod summary_text;
mod terminal;
mod verb;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use self::app::{App, Program};
use self::args::Arranged;
use self::progress::Report;
use self::terminal::{Interrupt, Session};

/// Runs the program with its arguments, the first of which is its own name; returns its exit code.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut argv = argv.into_iter();
    let program = Program::from_name(&argv.next().unwrap_or_default());
    let argv: Vec<OsString> = argv.collect();
    let interrupt = terminal::cancel_on_interrupt().unwrap_or_default();
    match run(program, argv, &interrupt) {
        Ok(code) => code,
        Err(error) => report(&error, &interrupt, None),
    }
}

fn run(program: Program, argv: Vec<OsString>, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    let command = app::command(program);
    let argv = match args::arrange(&command, argv) {
        Arranged::Version => {
            let mut session = Session::new(&terminal::Options::default(), interrupt.cancel.clone())?;
            version::print(program, &mut session)?;
            session.finish()?;
            return Ok(ExitCode::SUCCESS);
        }
        Arranged::Unknown { verb, group, argv } => {
            let is_container = verb == "container" && group.is_none();
            if program == Program::Ostree && group.is_none() {
                extension::exec_if_present(&verb, &argv)?;
            }
            // `ostree container …` is `ostree-container …`, and C ostree starts that with its own name in front.
            if is_container && program != Program::OstreeRs {
                let mut argv = argv;
                if let Some(at) = argv.iter().position(|arg| *arg == verb) {
                    argv.remove(at);
                }
                return run(Program::OstreeContainer, argv, interrupt);
            }
            return usage_error(&command, group.as_deref(), &args::unknown(group.as_deref(), &verb));
        }
        Arranged::Missing { group } => {
            return usage_error(&command, group.as_deref(), &args::missing(group.as_deref()));
        }
        Arranged::Argv(argv) => argv,
    };
    let app = match App::parse(program, command, argv) {
        Ok(app) => app,
        Err(error) => return clap_error(&error),
    };
    let mut session = Session::new(&app.terminal, interrupt.cancel.clone())?;
    match verb::run(app.verb, &mut session).and_then(|()| Ok(session.finish()?)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Ok(report(&error, interrupt, session.give_up().as_deref())),
    }
}

/// Shows the usage of the program, or of one of its groups of verbs, and what is wrong.
fn usage_error(command: &clap::Command, group: Option<&str>, message: &str) -> anyhow::Result<ExitCode> {
    let mut command = command.clone();
    command.build();
    let shown = match group {
        Some(group) => command.find_subcommand_mut(group),
        None => Some(&mut command),
    };
    if let Some(shown) = shown {
        terminal::say(shown.render_help());
    }
    anyhow::bail!("{message}");
}

/// Help goes to standard output and is no error; everything else exits with 1, as C ostree does.
fn clap_error(error: &clap::Error) -> anyhow::Result<ExitCode> {
    error.print()?;
    Ok(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Says what went wrong, to people and to a program that follows; 130 or 143 if a signal stopped the work, nothing
/// at all if nobody reads the output.
fn report(error: &anyhow::Error, interrupt: &Interrupt, progress: Option<&dyn Report>) -> ExitCode {
    if error.chain().any(terminal::is_stdout_closed) {
        return ExitCode::SUCCESS;
    }
    let message = describe(error);
    terminal::say(format_args!("{} {message}", terminal::error_label()));
    progress.into_iter().for_each(|progress| progress.failure(&message));
    interrupt.exit_code().map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The whole chain on one line. A cause that its error already quotes is not said twice.
fn describe(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
