//! Floor 5: the program. Arguments, terminal and exit codes are known here and nowhere else.
//!
//! ```text
//! ostree-rs VERB …          ostree's verbs, and tar, container, completions, man, demo
//! ostree VERB …             the same binary under that name: ostree's verbs
//! ostree-container VERB …   the same binary under that name: what stands behind `ostree-rs container`
//! ostree-prepare-root …     and two more names for verbs that init systems call; the first process under this name, or
//!                           the name init, becomes the init of a deployment
//!
//! args.rs   argv → verb first, then its options       app.rs       every definition, in clap's terms
//! verb/     one file per verb, which app.rs knows      terminal.rs  output, Ctrl-C; progress.rs
//! usage.rs  arguments that cannot be understood        advice.rs    where an error becomes text
//! ```

mod absent;
mod advice;
mod app;
mod args;
mod causes;
mod complete;
mod datetime;
mod dump;
mod extension;
mod images;
mod locate;
mod near;
mod program;
mod progress;
mod room;
mod summary_text;
mod terminal;
mod trace;
mod usage;
mod verb;
mod version;
mod whole_file;

use std::ffi::OsString;
use std::process::ExitCode;

use self::app::App;
use self::args::Arranged;
use self::program::Program;
use self::progress::Report;
use self::terminal::{Interrupt, Session};
use crate::base::WithCauses;
use crate::host::Machine;

/// The exit code of whoever looked for something new, and found nothing: rpm-ostree's.
const NOTHING: u8 = 77;
/// The number of the process that the kernel starts.
const FIRST_PROCESS: u32 = 1;

/// Runs the program with its arguments, the first of which is its own name; returns its exit code.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut argv = argv.into_iter();
    let name = argv.next().unwrap_or_default();
    if std::process::id() == FIRST_PROCESS && Program::is_init_name(&name) {
        return init(argv);
    }
    let program = Program::from_name(&name);
    let verb = Program::verb_of_name(&name).map(OsString::from);
    let argv: Vec<OsString> = verb.into_iter().chain(argv).collect();
    let interrupt = terminal::cancel_on_interrupt().unwrap_or_default();
    match run(program, argv, &interrupt) {
        Ok(code) => code,
        Err(error) => report(&error, &interrupt, None),
    }
}

/// Becomes the init of a deployment, with the arguments that the kernel gives its init; returns if that fails.
fn init(args: impl Iterator<Item = OsString>) -> ExitCode {
    let Err(error) = Machine::from_env().become_init(args);
    terminal::say(format_args!("ostree-prepare-root: {}", WithCauses(&error)));
    ExitCode::FAILURE
}

fn run(program: Program, argv: Vec<OsString>, interrupt: &Interrupt) -> anyhow::Result<ExitCode> {
    if let [verb, words @ ..] = &*argv
        && verb == complete::VERB
    {
        let mut session = Session::new(&terminal::Options::default(), interrupt.cancel.clone())?;
        complete::run(words, &mut session)?;
        session.finish()?;
        return Ok(ExitCode::SUCCESS);
    }
    let command = app::command(program);
    let argv = match args::arrange(&command, argv) {
        Arranged::Version => {
            let mut session = Session::new(&terminal::Options::default(), interrupt.cancel.clone())?;
            version::print(program, &mut session)?;
            session.finish()?;
            return Ok(ExitCode::SUCCESS);
        }
        Arranged::Unknown { verb, groups, argv } => {
            if program == Program::Ostree && groups.is_empty() {
                extension::exec_if_present(&verb, &argv)?;
            }
            return match program.elsewhere(&groups, &verb, argv) {
                Some((program, argv)) => run(program, argv, interrupt),
                None => usage::unknown_verb(&command, &groups, &verb),
            };
        }
        Arranged::Missing { groups, options } => return usage::missing_verb(&command, &groups, &options),
        Arranged::Argv(argv) => argv,
    };
    let app = match App::parse(program, command, argv.clone()) {
        Ok(app) => app,
        Err(error) => return usage::bad_arguments(&error, &argv),
    };
    trace::listen(app.terminal.verbose);
    let mut session = Session::new(&app.terminal, interrupt.cancel.clone())?;
    match verb::run(app.verb, || app::command(Program::OstreeRs), &mut session)
        .and_then(|()| Ok(session.finish()?))
    {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Ok(report(&error, interrupt, session.give_up().as_deref())),
    }
}

/// Says what went wrong, to people and to a program that follows; 130 or 143 if a signal stopped the work, nothing
/// at all if nobody reads the output.
fn report(error: &anyhow::Error, interrupt: &Interrupt, progress: Option<&dyn Report>) -> ExitCode {
    if error.chain().any(terminal::is_stdout_closed) {
        return ExitCode::SUCCESS;
    }
    if error.is::<terminal::Told>() {
        return ExitCode::FAILURE;
    }
    if error.is::<terminal::Nothing>() {
        return ExitCode::from(NOTHING);
    }
    let message = advice::text(error);
    terminal::say(format_args!("{} {message}", terminal::error_label()));
    progress.into_iter().for_each(|progress| progress.failure(&message));
    interrupt.exit_code().map_or(ExitCode::FAILURE, ExitCode::from)
}
