//! How far the work is: bars on a terminal, or JSON lines for a program.
//!
//! ```text
//! --progress=auto   bars if standard error is a terminal, else nothing
//! --progress=none   nothing
//! --progress=json   one JSON object a line on standard error, at most ten a second for each item:
//!   {"event":"phase","name":"Pulling image","objects":null,"bytes":123}     what is done from now on
//!   {"event":"done","objects":7,"bytes":100}                                of the phase, so far
//!   {"event":"chosen","item":"sha256:…","way":"objects","why":"…"}          how a layer is fetched; or "whole"
//!   {"event":"start","id":1,"item":"sha256:…","bytes":123}                  a layer; null: not known
//!   {"event":"advance","id":1,"item":"sha256:…","done":100,"bytes":123}     so far
//!   {"event":"end","id":1,"item":"sha256:…","done":123,"outcome":"done"}    or "reused", "failed"
//!   {"event":"note","text":"…"}                                             worth knowing, no error
//!   {"event":"waiting","host":"quay.io","why":"429 Too Many Requests","seconds":20}   null: not known
//!   {"event":"summary","fetched":1,"reused":0,"bytes":123,"seconds":0.5}    the last line, or else:
//!   {"event":"error","message":"…"}             what went wrong, after the line that says it to people
//! ```
//! `fetched` counts what was moved, in whatever direction; `bytes` are those that were moved for it.

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::terminal::{self, size};
use crate::base::{Event, Outcome, Progress};

/// Lines and bars change no more often than this.
const PAUSE: Duration = Duration::from_millis(100);
/// Further words about the same host within this time say nothing new.
const SAME_WAIT: Duration = Duration::from_secs(2);
/// The characters of an item's name that stand before its bar: `sha256:` and twelve digits.
const SHOWN_NAME: usize = 19;

/// A renderer, and what it says at the end.
pub(crate) trait Report: Progress {
    /// Takes away what is on the screen, before anything else is written there.
    fn clear(&self);

    /// The work succeeded.
    fn summary(&self);

    /// The work failed, and people have been told why.
    fn failure(&self, message: &str);
}

/// Bars, if standard error is a terminal.
pub(crate) fn bars() -> Option<Arc<dyn Report>> {
    io::stderr().is_terminal().then(|| Arc::new(Bars::new()) as Arc<dyn Report>)
}

/// Lines.
pub(crate) fn lines() -> Arc<dyn Report> {
    Arc::new(JsonLines { tally: Tally::new(), state: Mutex::default() })
}

/// What the summary tells.
struct Tally {
    fetched: AtomicU64,
    reused: AtomicU64,
    bytes: AtomicU64,
    began: Instant,
}

impl Tally {
    fn new() -> Self {
        let [fetched, reused, bytes] = [0; 3].map(AtomicU64::new);
        Self { fetched, reused, bytes, began: Instant::now() }
    }

    fn event(&self, event: Event<'_>) {
        match event {
            Event::ItemAdvance { bytes, .. } => self.bytes.fetch_add(bytes, Ordering::Relaxed),
            Event::ItemEnd { outcome: Outcome::Done, .. } => self.fetched.fetch_add(1, Ordering::Relaxed),
            Event::ItemEnd { outcome: Outcome::Reused, .. } => self.reused.fetch_add(1, Ordering::Relaxed),
            _ => return,
        };
    }

    /// Items fetched, items reused, bytes.
    fn counts(&self) -> [u64; 3] {
        [&self.fetched, &self.reused, &self.bytes].map(|count| count.load(Ordering::Relaxed))
    }
}

/// A bar for the phase, and below it one for each item.
struct Bars {
    all: MultiProgress,
    phase: ProgressBar,
    counts_bytes: AtomicBool,
    items: Mutex<HashMap<u64, ProgressBar>>,
    /// The host that was waited for last, and when that was said: many layers may wait for one host.
    waited_for: Mutex<Option<(String, Instant)>>,
    tally: Tally,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
        let phase = all.add(ProgressBar::no_length());
        phase.set_style(Self::phase_style(None, None));
        Self {
            all,
            phase,
            counts_bytes: AtomicBool::new(false),
            items: Mutex::default(),
            waited_for: Mutex::default(),
            tally: Tally::new(),
        }
    }

    fn phase_style(objects: Option<u64>, bytes: Option<u64>) -> ProgressStyle {
        style(match (objects, bytes) {
            (_, Some(_)) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            (Some(_), None) => "{msg} [{bar:30}] {pos}/{len} {eta}",
            (None, None) => "{msg} {human_pos} objects {spinner}",
        })
    }

    fn start(&self, id: u64, name: &str, bytes: Option<u64>) {
        let bar = self.all.add(bytes.map_or_else(ProgressBar::no_length, ProgressBar::new));
        bar.set_style(style(match bytes {
            Some(_) => "  {prefix} [{bar:20}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            None => "  {prefix} {bytes} {bytes_per_sec} {spinner}",
        }));
        bar.set_prefix(name.chars().take(SHOWN_NAME).collect::<String>());
        self.items().insert(id, bar);
    }

    fn waiting(&self, host: &str, why: &str, pause: Option<Duration>) {
        let mut last = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.as_ref().is_some_and(|(who, when)| who == host && when.elapsed() < SAME_WAIT) {
            // A terminal that went away is no reason to stop.
            let _ = self.all.println(waiting(host, why, pause));
            *last = Some((host.to_owned(), Instant::now()));
        }
    }

    fn items(&self) -> MutexGuard<'_, HashMap<u64, ProgressBar>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to tell people who are kept waiting.
pub(super) fn waiting(host: &str, why: &str, pause: Option<Duration>) -> String {
    let pause = pause.map(|pause| format!("{} s ", tenths(pause.as_secs_f64()))).unwrap_or_default();
    format!("waiting {pause}for {host} ({why})")
}

fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

impl Progress for Bars {
    fn event(&self, event: Event<'_>) {
        self.tally.event(event);
        match event {
            Event::Phase { name, objects, bytes } => {
                self.counts_bytes.store(bytes.is_some(), Ordering::Relaxed);
                self.phase.set_style(Self::phase_style(objects, bytes));
                self.phase.set_message(name.to_owned());
                self.phase.reset();
                match bytes.or(objects) {
                    Some(total) => self.phase.set_length(total),
                    None => self.phase.unset_length(),
                }
            }
            Event::Done { objects, bytes } => {
                self.phase.inc(if self.counts_bytes.load(Ordering::Relaxed) { bytes } else { objects });
            }
            Event::Note { .. } | Event::Chosen { .. } => {}
            Event::Warning { text } => self.all.suspend(|| terminal::warn(text)),
            Event::ItemStart { id, name, bytes } => self.start(id, name, bytes),
            Event::ItemAdvance { id, bytes } => {
                if let Some(bar) = self.items().get(&id) {
                    bar.inc(bytes);
                }
            }
            Event::ItemEnd { id, .. } => {
                if let Some(bar) = self.items().remove(&id) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            Event::Waiting { host, why, pause } => self.waiting(host, why, pause),
        }
    }
}

impl Report for Bars {
    fn clear(&self) {
        for (_, bar) in self.items().drain() {
            bar.finish_and_clear();
        }
        self.phase.finish_and_clear();
    }

    fn summary(&self) {
        let ([fetched, reused, bytes], seconds) = (self.tally.counts(), self.tally.began.elapsed());
        if fetched + reused > 0 {
            let seconds = seconds.as_secs_f64();
            let rate = size((bytes as f64 / seconds.max(0.001)) as u64);
            terminal::say(format_args!(
                "{fetched} fetched, {reused} reused, {} in {seconds:.1} s ({rate}/s)",
                size(bytes)
            ));
        }
    }

    fn failure(&self, _: &str) {}
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One JSON object a line.
struct JsonLines {
    tally: Tally,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Objects and bytes of the phase.
    done: [u64; 2],
    said: Option<Instant>,
    items: HashMap<u64, Item>,
}

struct Item {
    name: String,
    bytes: Option<u64>,
    done: u64,
    said: Instant,
}

fn say(line: &serde_json::Value) {
    terminal::say(line);
}

impl Progress for JsonLines {
    fn event(&self, event: Event<'_>) {
        self.tally.event(event);
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Phase { name, objects, bytes } => {
                state.done = [0; 2];
                say(&json!({"event": "phase", "name": name, "objects": objects, "bytes": bytes}));
            }
            Event::Done { objects, bytes } => {
                state.done[0] += objects;
                state.done[1] += bytes;
                if state.said.is_none_or(|said| now.duration_since(said) >= PAUSE) {
                    state.said = Some(now);
                    let [objects, bytes] = state.done;
                    say(&json!({"event": "done", "objects": objects, "bytes": bytes}));
                }
            }
            Event::Note { text } => say(&json!({"event": "note", "text": text})),
            Event::Warning { text } => say(&json!({"event": "warning", "text": text})),
            Event::ItemStart { id, name, bytes } => {
                state.items.insert(id, Item { name: name.into(), bytes, done: 0, said: now });
                say(&json!({"event": "start", "id": id, "item": name, "bytes": bytes}));
            }
            Event::ItemAdvance { id, bytes } => {
                let Some(item) = state.items.get_mut(&id) else { return };
                item.done += bytes;
                if now.duration_since(item.said) >= PAUSE {
                    item.said = now;
                    let Item { name, bytes, done, .. } = item;
                    say(&json!({"event": "advance", "id": id, "item": name, "done": done, "bytes": bytes}));
                }
            }
            Event::ItemEnd { id, name, outcome } => {
                let done = state.items.remove(&id).map(|item| item.done);
                let outcome = match outcome {
                    Outcome::Done => "done",
                    Outcome::Reused => "reused",
                    Outcome::Failed => "failed",
                };
                say(&json!({"event": "end", "id": id, "item": name, "done": done, "outcome": outcome}));
            }
            Event::Chosen { name, way, why } => {
                say(&json!({"event": "chosen", "item": name, "way": way, "why": why}));
            }
            Event::Waiting { host, why, pause } => {
                let seconds = pause.map(|pause| tenths(pause.as_secs_f64()));
                say(&json!({"event": "waiting", "host": host, "why": why, "seconds": seconds}));
            }
        }
    }
}

impl Report for JsonLines {
    fn clear(&self) {}

    fn summary(&self) {
        let ([fetched, reused, bytes], seconds) = (self.tally.counts(), self.tally.began.elapsed());
        let seconds = (seconds.as_secs_f64() * 1000.0).round() / 1000.0;
        say(&json!({"event": "summary", "fetched": fetched, "reused": reused, "bytes": bytes,
                    "seconds": seconds}));
    }

    fn failure(&self, message: &str) {
        say(&json!({"event": "error", "message": message}));
    }
}
