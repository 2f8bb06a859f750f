//! Pulls that are killed between two requests, and what the next one asks for.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Fixture, Xattrs};
use crate::oracle;
use crate::registry::front::Front;

/// Content objects that are staged, by a pull under way or one that was killed.
fn staged(fixture: &Fixture) -> usize {
    let out = oracle::run("find", &[fixture.home.path("new/tmp").to_str().unwrap(), "-name", "*.filez"]);
    String::from_utf8(out).unwrap().lines().count()
}

#[test]
fn a_killed_pull_goes_on_where_it_was() {
    let Some(fixture) = Fixture::new(Xattrs::None, &[]) else { return };
    let (answered, room) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (count, limit) = (Arc::clone(&answered), Arc::clone(&room));
    let front = Front::start(fixture.server.address, move |asked| {
        if asked.header("range").is_some() {
            let number = count.fetch_add(1, Ordering::SeqCst);
            while number >= limit.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        None
    });
    fixture.init("archive");
    fixture.pull(&front, 1);
    fixture.copy("new", "first");
    let asked = fixture.pull(&front, 2).asked;
    let (all, whole) = (asked.len(), asked.iter().flatten().sum::<u64>());
    let mut saved = 0;
    for requests in [1, all / 2, all - 2, all - 1] {
        fixture.copy("first", "new");
        room.store(answered.load(Ordering::SeqCst) + requests, Ordering::SeqCst);
        let args = Fixture::args(&front, 2);
        let mut pull = fixture.home.command(&args.each_ref().map(String::as_str));
        let mut pull = pull.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (began, mut before) = (Instant::now(), (0, Instant::now()));
        // Until it waits for what does not come.
        while before.1.elapsed() < Duration::from_millis(700) && began.elapsed() < Duration::from_secs(60) {
            let now = staged(&fixture);
            if now != before.0 || answered.load(Ordering::SeqCst) <= room.load(Ordering::SeqCst) {
                before = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        pull.kill().unwrap();
        pull.wait().unwrap();
        let there = staged(&fixture) as u64;
        room.store(usize::MAX, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        let pulled = fixture.pull(&front, 2);
        let asked = pulled.asked.iter().flatten().sum::<u64>();
        // Nothing that was staged is asked for again.
        assert!(
            asked + there * 20_000 <= whole + 1000,
            "{requests}: {asked} of {whole} bytes, {there} staged"
        );
        saved += whole.saturating_sub(asked);
        fixture.check();
    }
    // How much that is depends on which of the requests under way was the one without an answer: objects are taken in
    // the order of the layer.
    assert!(saved > 0, "nothing of what was killed was of use");
}
