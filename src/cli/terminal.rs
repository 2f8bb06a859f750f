//! What goes to the terminal: output in large writes, and Ctrl-C. Progress is in `progress`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde::Serialize;

use super::progress::{self, Report};
use crate::base::{Cancel, Ctx, Event, Progress, Silent};

/// How a command talks to the user.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// No progress bars.
    pub(crate) quiet: bool,
    /// What to tell of how far the work is.
    pub(crate) progress: ProgressMode,
    /// Say what is being done, line by line.
    pub(crate) verbose: bool,
}

/// What to tell of how far the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars if standard error is a terminal
    #[default]
    Auto,
    /// Nothing
    None,
    /// JSON lines on standard error
    Json,
}

/// Options of every verb that reports item by item.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ProgressOptions {
    /// How to tell how far the work is: bars on a terminal, or JSON lines on standard error
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    progress: ProgressMode,
}

/// Options of every verb with progress bars.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct BarOptions {
    #[command(flatten)]
    _progress: ProgressOptions,
    /// No progress bar
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl ProgressOptions {
    /// The name under which the parser knows the option.
    pub(crate) const ID: &str = "progress";
}

/// What a command works with: where its output goes, and what its long calls are told.
pub(crate) struct Session {
    /// Standard output.
    pub(crate) out: Out,
    /// Progress, Ctrl-C, threads.
    pub(crate) ctx: Ctx,
    /// Says at the end what was done.
    report: Option<Arc<dyn Report>>,
}

/// Standard output, written in large pieces; the first error of it ends the program quietly if nobody reads, unless
/// that loses something.
pub(crate) struct Out {
    file: BufWriter<File>,
    /// Whether it is an archive, or the content of files.
    is_data: bool,
}

/// Whoever read our output went away.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
struct StdoutClosed;

/// Our output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("write standard output: {0}")]
struct StdoutFailed(io::Error);

/// The context of an error that whoever is at the other end of the pipes has been told of.
#[derive(Debug, thiserror::Error)]
#[error("told to the other side")]
pub(crate) struct Told;

/// Says that there was nothing to do, which has been told: the program ends with an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing new")]
pub(crate) struct Nothing;

impl Session {
    /// Takes over standard output; `cancel` stops the work.
    pub(crate) fn new(options: &Options, cancel: Cancel) -> io::Result<Self> {
        let out = io::stdout().as_fd().try_clone_to_owned();
        let out = File::from(out.map_err(StdoutFailed).map_err(io::Error::other)?);
        let report = match options {
            Options { progress: ProgressMode::Json, .. } => Some(progress::lines()),
            Options { verbose: false, quiet: false, progress: ProgressMode::Auto } => progress::bars(),
            Options { .. } => None,
        };
        let progress: Arc<dyn Progress> = match &report {
            Some(report) => Arc::clone(report) as Arc<dyn Progress>,
            None if options.verbose => Arc::new(Lines),
            None => Arc::new(OnlyWarnings),
        };
        let ctx = Ctx { progress, cancel, ..Ctx::default() };
        let out = Out { file: BufWriter::with_capacity(64 * 1024, out), is_data: false };
        Ok(Self { out, ctx, report })
    }

    /// The work succeeded: takes the progress bars away, writes what is still buffered, says what was done.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.ctx.progress = Arc::new(Silent);
        let report = self.report.take();
        report.iter().for_each(|report| report.clear());
        self.out.flush()?;
        report.iter().for_each(|report| report.summary());
        Ok(())
    }

    /// The work failed: takes the progress bars away, writes what is still buffered; gives whom to tell.
    pub(crate) fn give_up(self) -> Option<Arc<dyn Report>> {
        let report = self.report;
        report.iter().for_each(|report| report.clear());
        report
    }
}

/// What stops the work: Ctrl-C, or a wish to end.
#[derive(Default)]
pub(crate) struct Interrupt {
    /// Turned by the signal.
    pub(crate) cancel: Cancel,
    /// The exit code for the signal; 0 as long as none came.
    code: Arc<AtomicUsize>,
}

impl Interrupt {
    /// The program's exit code if a signal stopped the work: 128 and the signal's number, as in shells.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        u8::try_from(self.code.load(Ordering::Relaxed)).ok().filter(|code| *code != 0)
    }
}

/// Ctrl-C and SIGTERM stop the work; the second of them ends the program on the spot.
pub(crate) fn cancel_on_interrupt() -> io::Result<Interrupt> {
    let (flag, code) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for (signal, number) in [(signal_hook::consts::SIGINT, 130), (signal_hook::consts::SIGTERM, 143)] {
        signal_hook::flag::register_conditional_shutdown(signal, number, Arc::clone(&flag))?;
        signal_hook::flag::register_usize(signal, Arc::clone(&code), number as usize)?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    // Without this the signal ends the program, which then says nothing; the write fails in any case.
    signal_hook::flag::register(signal_hook::consts::signal::SIGXFSZ, Arc::default())?;
    Ok(Interrupt { cancel: Cancel::from_flag(flag), code })
}

/// Writes a line to standard error. Nobody may be there to read it: the work goes on.
pub(crate) fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a line about what is probably not as it was meant to be.
pub(crate) fn warn(text: &str) {
    say(format_args!("warning: {text}"));
}

/// `error:`, in red on a terminal.
pub(crate) fn error_label() -> &'static str {
    if io::stderr().is_terminal() { "\x1b[31m\x1b[1merror:\x1b[0m" } else { "error:" }
}

impl Out {
    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut *self, value)?;
        Ok(writeln!(self)?)
    }

    /// For an archive, or the content of files: whoever reads has to read all of it.
    pub(crate) fn data(&mut self) -> &mut Self {
        self.is_data = true;
        self
    }

    fn failed(&self, error: io::Error) -> io::Error {
        match error.kind() {
            kind @ io::ErrorKind::BrokenPipe if !self.is_data => io::Error::new(kind, StdoutClosed),
            kind => io::Error::new(kind, StdoutFailed(error)),
        }
    }
}

impl Write for Out {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buf);
        written.map_err(|error| self.failed(error))
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        flushed.map_err(|error| self.failed(error))
    }
}

/// Whether `error` says that nobody reads standard output any more.
pub(crate) fn is_stdout_closed(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = |e: &io::Error| e.get_ref().is_some_and(|inner| inner.is::<StdoutClosed>());
    error.downcast_ref::<io::Error>().is_some_and(inner)
}

/// Formats bytes as GLib does: powers of 1000, a no-break space before the unit.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" });
    }
    let power = (bytes.ilog10() / 3).min(6);
    format!("{:.1}\u{a0}{}", bytes as f64 / 1000f64.powi(power as i32), UNITS[power as usize - 1])
}

/// One line on standard error for each phase, and whenever somebody lets us wait.
struct Lines;

impl Progress for Lines {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::Phase { name: text, .. } | Event::Note { text } => say(format_args!("OT: {text}")),
            Event::Waiting { host, why, pause } => {
                say(format_args!("OT: {}", progress::waiting(host, why, pause)));
            }
            Event::Warning { text } => warn(text),
            _ => {}
        }
    }
}

/// Warnings, whoever wants to hear nothing else.
struct OnlyWarnings;

impl Progress for OnlyWarnings {
    fn event(&self, event: Event<'_>) {
        if let Event::Warning { text } = event {
            warn(text);
        }
    }
}
