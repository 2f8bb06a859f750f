//! A pull by a delta that was killed goes on in the middle of it.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use super::super::front::Front;
use super::super::noise;
use super::{Fixture, pull_arguments, ways};
use crate::proxy::{Faults, Proxy};

/// Bytes in front of what is kept.
const HEAD_BYTES: u64 = 256;

#[test]
fn what_a_killed_pull_had_of_a_delta_is_not_fetched_again() {
    let Some(fixture) = with_large_delta() else { return };
    for (more, damages) in [(&["--format=deltaindex"][..], &[false][..]), (&[], &[false, true])] {
        let bytes = fixture.delta(more);
        for is_damaged in damages {
            goes_on(&fixture, bytes, *is_damaged);
        }
    }
}

fn goes_on(fixture: &Fixture, bytes: u64, is_damaged: bool) {
    fixture.init("bare-user");
    fixture.pull_from(fixture.server.address, 1);
    kill(fixture);
    let [file] = &kept(fixture)[..] else { panic!("{:?}", kept(fixture)) };
    let had = fs::metadata(file).unwrap().len() - HEAD_BYTES;
    assert!(had > 500_000 && had < bytes, "{had} of {bytes}");
    if is_damaged {
        let mut left = fs::read(file).unwrap();
        left[HEAD_BYTES as usize + 300_000..].fill(0x55);
        fs::write(file, left).unwrap();
    }
    let proxy = Proxy::start(fixture.server.address, Faults::default());
    let told = ways(&fixture.pull_from(proxy.address, 2), "delta").1;
    // Beside it come documents and headers.
    let came = proxy.answered();
    match is_damaged {
        false => assert!(told == bytes - had && came < told + 100_000, "{told} {came} {bytes} {had}"),
        true => assert!(told == bytes && came > bytes, "{told} {came} {bytes} {had}"),
    }
    fixture.check();
    assert_eq!(kept(fixture), Vec::<PathBuf>::new());
}

/// Both versions, of which the second one has a new file that nothing is like.
fn with_large_delta() -> Option<Fixture> {
    let compression = ["--compression=gzip"];
    let mut fixture = Fixture::new(&compression)?;
    let mut new = noise(3_000_000);
    new.reverse();
    fs::write(fixture.home.path("tree/usr/lib/new"), new).unwrap();
    fixture.publish(2, &compression);
    Some(fixture)
}

/// Kills a pull of the second version, once there is some of the delta: the line breaks after 1 MB, and whoever asks for the
/// rest waits for it.
fn kill(fixture: &Fixture) {
    let proxy =
        Proxy::start(fixture.server.address, Faults { cut_answer: Some(1_000_000), ..Faults::default() });
    let front = Front::start(proxy.address, |asked| {
        if asked.header("range").is_some_and(|range| !range.starts_with("bytes=0-")) {
            sleep(Duration::from_secs(60));
        }
        None
    });
    let args = pull_arguments(front.address, 2);
    let mut command = fixture.home.command(&args.each_ref().map(String::as_str));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_some = || kept(fixture).iter().any(|file| fs::metadata(file).is_ok_and(|it| it.len() > 600_000));
    while !has_some() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The files with what is kept of deltas.
fn kept(fixture: &Fixture) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixture.home.path("new/tmp")).unwrap().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".delta"))
        .map(|e| e.path())
        .collect()
}
