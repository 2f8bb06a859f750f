//! Our program killed at moments spread over its work: the next run of the same command ends it, and nothing is damaged.
//!
//! `OSTREE_RS_KILLS=N` kills each command N times; without it a few times.

mod changes;
mod pulls;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use tempfile::TempDir;

use crate::oracle::run;

const OURS: &str = env!("CARGO_BIN_EXE_ostree-rs");
/// The repository as it is before the command, and the one that it works on.
const BEFORE: &str = "before";
const WORK: &str = "work";

/// A directory with an archive `srv/repo` of two commits on `main`, the tree of the second one, and a repository to be
/// worked on, as it was before and while it is.
struct Place {
    dir: TempDir,
    state: u64,
}

impl Place {
    fn new() -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let place = Self { dir: tempfile::tempdir().unwrap(), state: since.as_nanos() as u64 | 1 };
        fs::create_dir(place.path("srv")).unwrap();
        place.ours(&["init", "--repo=srv/repo", "--mode=archive"]);
        for n in 0..300_u64 {
            place.write(&format!("usr/lib/{}/file{n}", n % 20), &noise(100 + 40 * n as usize, n));
        }
        for n in 0..2 {
            place.write(&format!("usr/large{n}"), &noise(1_500_000, 1000 + n));
        }
        place.commit("2024-01-01");
        for n in 0..150_u64 {
            place.write(&format!("usr/share/{}/new{n}", n % 10), &noise(100 + 60 * n as usize, 2000 + n));
            fs::remove_file(place.path(&format!("tree/usr/lib/{}/file{n}", n % 20))).unwrap();
        }
        let mut large = noise(1_500_000, 1000);
        large.splice(1_000_000..1_000_100, noise(7000, 3000));
        place.write("usr/large0", &large);
        for n in 1..3 {
            place.write(&format!("usr/large{n}"), &noise(1_500_000, 3000 + n));
        }
        place.commit("2024-01-02");
        place.ours(&["summary", "--repo=srv/repo", "-u"]);
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path("tree").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn commit(&self, day: &str) {
        let time = format!("--timestamp={day} 00:00:00 +0000");
        self.ours(&[
            "commit",
            "--repo=srv/repo",
            "-b",
            "main",
            "--canonical-permissions",
            "--tree=dir=tree",
            &time,
        ]);
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(OURS);
        command.args(args).current_dir(self.dir.path()).env_remove("OSTREE_REPO").stdout(Stdio::null());
        command
    }

    fn ours(&self, args: &[&str]) -> String {
        let out = self.command(args).stdout(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    /// The work begins again with what was there before.
    fn reset(&self) {
        let _ = fs::remove_dir_all(self.path(WORK));
        run("cp", &["-a", self.path(BEFORE).to_str().unwrap(), self.path(WORK).to_str().unwrap()]);
    }

    /// Runs a command, kills it somewhere, and runs it to its end, again and again. `after` is called after each kill and
    /// gives what is called after the next run.
    fn kill<T>(&mut self, args: &[&str], mut after: impl FnMut(&Self) -> T, mut end: impl FnMut(&Self, T)) {
        self.reset();
        let began = Instant::now();
        self.ours(args);
        let lasts = began.elapsed();
        let whole = self.content(WORK);
        assert!(whole != self.content(BEFORE) || args[0] == "summary", "{args:?} does nothing");
        drop(after(self));
        for round in 0..kills() {
            self.reset();
            let moment = lasts.mul_f64(self.random());
            let mut child = self.command(args).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(moment);
            child.kill().unwrap();
            child.wait().unwrap();
            let found = after(self);
            self.ours(args);
            let what = format!("{args:?}, {round}: killed after {moment:?} of {lasts:?}");
            for program in [OURS, "ostree"] {
                let fsck = ["fsck", "--quiet", &format!("--repo={}", self.path(WORK).display())];
                let out = Command::new(program).args(fsck).output().unwrap();
                assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
            }
            let content = self.content(WORK);
            let differs = different(&content, &whole);
            assert!(differs.is_empty(), "{what}: {differs:?}");
            assert_eq!(left(&self.path(WORK).join("tmp")), [""; 0], "{what}");
            end(self, found);
        }
    }

    /// A number from 0 to somewhat more than 1.
    fn random(&mut self) -> f64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        f64::from((self.state >> 40) as u32) / f64::from(1 << 24) * 1.05
    }

    /// The files of a repository that have a meaning for others, with the content of those that are the same each time.
    fn content(&self, repo: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        for part in ["objects", "refs", "state", "deltas", "delta-indexes", "summary", "config"] {
            list(&self.path(repo), part, &mut found);
        }
        found
    }
}

/// How often each command is killed.
fn kills() -> u32 {
    std::env::var("OSTREE_RS_KILLS").map_or(4, |number| number.parse().unwrap())
}

/// The names of what only one has, or both in different ways.
fn different<'a>(
    one: &'a BTreeMap<String, Vec<u8>>,
    other: &'a BTreeMap<String, Vec<u8>>,
) -> Vec<&'a String> {
    let of = |a: &'a BTreeMap<String, Vec<u8>>, b: &'a BTreeMap<String, Vec<u8>>| {
        a.iter().filter(|(name, content)| b.get(*name) != Some(*content)).map(|(name, _)| name)
    };
    of(one, other).chain(of(other, one)).collect()
}

/// What nobody needs any more in a repository's `tmp`.
fn left(tmp: &Path) -> Vec<String> {
    let names = fs::read_dir(tmp).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "cache").collect()
}

fn list(repo: &Path, name: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    let path = repo.join(name);
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap().file_name().into_string().unwrap();
            list(repo, &format!("{name}/{entry}"), found);
        }
    } else if path.exists() {
        // Objects have checksums; the others hold the time at which they were made.
        let is_named = ["objects", "summary", "deltas"].iter().any(|part| name.starts_with(part));
        found.insert(name.to_owned(), if is_named { Vec::new() } else { fs::read(&path).unwrap() });
    }
}

/// Bytes that cannot be compressed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}
