//! What `-v` and `RUST_LOG` make the library tell, line by line on standard error: requests, places, credentials that
//! were found (never these themselves), what was reused.
//!
//! ```text
//! RUST_LOG=debug                      everything; off, error, warn, info, debug, trace
//! RUST_LOG=ostree_rs::net=debug,info  requests, and of the rest what is worth knowing
//! ```
//! Only this crate is heard: what others tell of HTTP has headers in it.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::terminal;

/// The crate whose events are heard.
const OURS: &str = "ostree_rs";

/// Prints events.
struct Lines {
    /// Beginnings of targets, and the level up to which each is heard; the longest that fits counts.
    levels: Vec<(String, Option<Level>)>,
}

/// Lets events be printed from now on, if somebody asked for them.
pub(crate) fn listen(verbose: bool) {
    let given = std::env::var("RUST_LOG").ok().filter(|given| !given.is_empty());
    let words = match (given, verbose) {
        (Some(given), _) => given,
        (None, true) => "debug".to_owned(),
        (None, false) => return,
    };
    // There is one already if verbs are tried under several names.
    let _ = tracing::subscriber::set_global_default(Lines { levels: levels(&words) });
}

/// What `RUST_LOG` says; what is no level is not heard.
fn levels(words: &str) -> Vec<(String, Option<Level>)> {
    let one = |word: &str| {
        let (target, level) = word.split_once('=').unwrap_or(("", word));
        (target.trim().to_owned(), level.trim().parse().ok())
    };
    words.split(',').filter(|word| !word.trim().is_empty()).map(one).collect()
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        let fits = self.levels.iter().filter(|(start, _)| target.starts_with(start));
        let level = fits.max_by_key(|(start, _)| start.len()).and_then(|(_, level)| *level);
        target.starts_with(OURS) && level.is_some_and(|level| *metadata.level() <= level)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let target = event.metadata().target();
        terminal::say(format_args!("{target}: {}{}", line.message, line.fields));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event as text.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read() {
        let found = levels("ostree_rs::net=debug, info,x=nonsense");
        let expected = [("ostree_rs::net", Some(Level::DEBUG)), ("", Some(Level::INFO)), ("x", None)];
        assert_eq!(found, expected.map(|(target, level)| (target.to_owned(), level)));
    }
}
