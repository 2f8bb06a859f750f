//! Pulls that are killed between two requests, and what the next one asks for.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Fixture, Xattrs};
use crate::oracle;
use crate::registry::front::{Asked, Front};

/// Content objects that are staged, by a pull under way or one that was killed.
fn staged(fixture: &Fixture) -> usize {
    let out = oracle::run("find", &[fixture.home.path("new/tmp").to_str().unwrap(), "-name", "*.filez"]);
    String::from_utf8(out).unwrap().lines().count()
}

/// The first byte that a request is about, if it asks for a part.
fn start_of(asked: &Asked) -> Option<u64> {
    let range = asked.header("range")?.strip_prefix("bytes=")?;
    range.split_once('-')?.0.parse().ok()
}

/// Which parts of the layer get no answer: from a place on, up to the index of objects, which lies behind all of them.
#[derive(Clone, Default)]
struct Gap {
    start: Arc<AtomicU64>,
    end: Arc<AtomicU64>,
    /// Whether a request waits.
    is_met: Arc<AtomicBool>,
}

impl Gap {
    fn set(&self, start: u64, end: u64) {
        self.start.store(start, Ordering::SeqCst);
        self.end.store(end, Ordering::SeqCst);
        self.is_met.store(false, Ordering::SeqCst);
    }

    fn hold(&self, place: u64) {
        while (self.start.load(Ordering::SeqCst)..self.end.load(Ordering::SeqCst)).contains(&place) {
            self.is_met.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_killed_pull_goes_on_where_it_was() {
    let Some(fixture) = Fixture::new(Xattrs::None, &[]) else { return };
    let gap = Gap::default();
    let held = gap.clone();
    let front = Front::start(fixture.server.address, move |asked| {
        start_of(asked).into_iter().for_each(|place| held.hold(place));
        None
    });
    fixture.init("archive");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    let before = front.asked().len();
    let whole = fixture.pull(&front, 2).asked.iter().flatten().sum::<u64>();
    let mut starts: Vec<u64> = front.asked()[before..].iter().filter_map(start_of).collect();
    starts.sort_unstable();
    let index = starts.pop().unwrap();
    let mut went_on = 0;
    for start in [starts[0], starts[starts.len() / 2], starts[starts.len() - 2], starts[starts.len() - 1]] {
        fixture.copy("first", "new");
        gap.set(start, index);
        let args = Fixture::args(&front, 2);
        let mut pull = fixture.home.command(&args.each_ref().map(String::as_str));
        let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (began, mut before) = (Instant::now(), (0, Instant::now()));
        // Until it waits for what does not come.
        while before.1.elapsed() < Duration::from_millis(700) && began.elapsed() < Duration::from_secs(60) {
            let now = staged(&fixture);
            if now != before.0 || !gap.is_met.load(Ordering::SeqCst) {
                before = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        pull.kill().unwrap();
        pull.wait().unwrap();
        let there = staged(&fixture) as u64;
        gap.set(0, 0);
        std::thread::sleep(Duration::from_millis(50));
        let pulled = fixture.pull(&front, 2);
        let asked = pulled.asked.iter().flatten().sum::<u64>();
        // Nothing that was staged is asked for again.
        assert!(asked + there * 20_000 <= whole + 1000, "{start}: {asked} of {whole} bytes, {there} staged");
        went_on += there;
        fixture.check();
    }
    assert!(went_on > 20, "{went_on} objects were staged by pulls that were killed");
}
