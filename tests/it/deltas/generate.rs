//! Static deltas of our making: C ostree applies them, in both byte orders, with all parts or in one file.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use ostree_rs::base::Ctx;
use ostree_rs::delta::{GenerateOptions, generate};
use ostree_rs::format::delta::{ByteOrder, DeltaName};
use ostree_rs::format::{Checksum, Summary};
use ostree_rs::store::{Refs, local_ref};

use super::apply::{check, delta_dir, offline, open, repo_with};
use super::{Fixture, OURS, fixture, text};
use crate::oracle::{need, run};

impl Fixture {
    fn rev(&self, name: &str) -> String {
        text(run("ostree", &[&self.repo, "rev-parse", name])).trim().to_owned()
    }

    /// Makes a delta with our program; gives back its name.
    fn ours(&self, options: &[&str]) -> DeltaName {
        fs::remove_dir_all(self.path().join("deltas")).ok();
        run(OURS, &[&[&self.repo, "static-delta", "generate", "-q"], options, &["--to=new"]].concat());
        match options.contains(&"--empty") {
            true => self.rev("new").parse().unwrap(),
            false => format!("{}-{}", self.rev("old"), self.rev("new")).parse().unwrap(),
        }
    }
}

#[test]
fn the_peer_applies_ours() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    for (number, options) in [
        &["--from=old"][..],
        &["--from=old", "--disable-bsdiff", "--swap-endianness"],
        &["--from=old", "--inline"],
        &["--from=old", "--max-chunk-size=0"],
        &["--empty", "--set-endianness=B"],
        &["--empty", "--inline", "--set-endianness=l", "--min-fallback-size=0"],
    ]
    .iter()
    .enumerate()
    {
        let name = fixture.ours(options);
        // It reads ours as we do.
        if !options.contains(&"--inline") {
            assert_eq!(fixture.show("ostree", &name), fixture.show(OURS, &name), "{options:?}");
        }
        for (program, mode) in [("ostree", "bare-user"), (OURS, "bare-user"), (OURS, "archive")] {
            let from = name.from.map(|from| from.to_string());
            let target = format!("{mode}-{number}-{}", program.len());
            let repo = repo_with(&fixture, &target, mode, from.as_deref());
            let done = offline(program, &repo, &delta_dir(&fixture, &name));
            assert!(done.status.success(), "{options:?} {program}: {}", text(done.stderr));
            check(&repo, &name.to.to_string());
        }
    }
}

/// Which ways a file is made, told by the operations that the peer counts.
#[test]
fn alike_files_are_patched_or_copied() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let count = |options: &[&str], kind: &str| -> u64 {
        let shown = fixture.show("ostree", &fixture.ours(options));
        let line = shown.lines().find(|line| line.starts_with("PartPayloadOps0")).unwrap().to_owned();
        let value = line.split(' ').find_map(|word| word.strip_prefix(kind)).unwrap().to_owned();
        value.trim_start_matches('=').parse().unwrap()
    };
    assert_eq!(count(&["--from=old"], "bspatch"), 2);
    assert_eq!(count(&["--from=old", "--disable-bsdiff"], "bspatch"), 0);
    assert!(count(&["--from=old", "--disable-bsdiff"], "write") > 3);
    assert_eq!(count(&["--from=old", "--max-bsdiff-size=0"], "bspatch"), 0);
    assert_eq!(count(&["--empty"], "bspatch"), 0);
}

/// The largest new file is left out, as by the peer, and said to be.
#[test]
fn large_new_files_are_fallbacks() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let name = fixture.ours(&["--empty", "--min-fallback-size=1"]);
    let ours = fixture.show("ostree", &name);
    let fallbacks = |shown: &str| -> Vec<String> {
        let lines = shown.lines().filter(|line| line.starts_with("  ") || line.contains("Fallback"));
        lines.map(str::to_owned).collect()
    };
    fs::remove_dir_all(fixture.path().join("deltas")).unwrap();
    fixture.generate(&["--empty", "--min-fallback-size=1"]);
    assert_eq!(fallbacks(&ours), fallbacks(&fixture.show("ostree", &name)));
    assert_eq!(fallbacks(&ours).len(), 3, "{ours}");
}

/// A file that is a delta, outside of the repository, and one that is made again.
#[test]
fn files_are_written_where_they_are_asked_for() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let file = fixture.tmp.path().join("update.delta");
    let filename = format!("--filename={}", file.display());
    fixture.ours(&["--from=old", "--inline", &filename]);
    assert!(text(run("ostree", &[&fixture.repo, "static-delta", "list"])).contains("No static deltas"));
    let repo = repo_with(&fixture, "target", "bare-user", Some(&fixture.rev("old")));
    let done = offline("ostree", &repo, file.to_str().unwrap());
    assert!(done.status.success(), "{}", text(done.stderr));
    check(&repo, &fixture.rev("new"));
    let name = fixture.ours(&["--from=old"]);
    let again = text(run(OURS, &[&fixture.repo, "static-delta", "generate", "-n", "--from=old", "new"]));
    assert_eq!(again, format!("Delta {name} already exists.\n"));
    // Without -n it is made anew; parts that it does not have any longer are gone.
    assert!(fixture.path().join(name.part_path(0)).exists());
    run(OURS, &[&fixture.repo, "static-delta", "generate", "-q", "--inline", "--from=old", "new"]);
    assert!(!fixture.path().join(name.part_path(0)).exists());
}

/// What else lies among deltas is passed over, and one that is too large to be fetched is hashed, and deleted.
#[test]
fn what_is_no_delta_is_passed_over() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    fixture.ours(&["--from=old"]);
    fs::create_dir_all(fixture.path().join("deltas/aa/nothing")).unwrap();
    fs::create_dir_all(fixture.path().join("delta-indexes")).unwrap();
    for file in ["deltas/file", "deltas/aa/file", "delta-indexes/file"] {
        fs::write(fixture.path().join(file), "no delta").unwrap();
    }
    let large: DeltaName = fixture.rev("old").parse().unwrap();
    fs::create_dir_all(fixture.path().join(large.dir())).unwrap();
    let superblock = fs::File::create(fixture.path().join(large.superblock_path())).unwrap();
    superblock.set_len((128 << 20) + 1).unwrap();
    let deltas = |program: &str| {
        run(program, &[&fixture.repo, "summary", "-u"]);
        let summary = Summary::parse(&fs::read(fixture.path().join("summary")).unwrap()).unwrap();
        (run(program, &[&fixture.repo, "static-delta", "list"]), summary.static_deltas().unwrap())
    };
    let sorted = |(list, mut deltas): (Vec<u8>, Vec<(String, Checksum)>)| {
        let mut lines: Vec<_> = text(list).lines().map(str::to_owned).collect();
        lines.sort();
        deltas.sort();
        (lines, deltas)
    };
    assert_eq!(sorted(deltas(OURS)), sorted(deltas("ostree")));
    run(OURS, &[&fixture.repo, "static-delta", "reindex"]);
    run(OURS, &[&fixture.repo, "static-delta", "delete", &large.to_string()]);
    assert_eq!(text(run(OURS, &[&fixture.repo, "static-delta", "list"])).lines().count(), 1);
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn threads_change_nothing() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let repo = open(&fixture.path());
    let commit = |name: &str| repo.resolve(&local_ref(name.parse().unwrap())).unwrap().unwrap();
    let made = |jobs: usize| {
        let dir = fixture.tmp.path().join(format!("jobs-{jobs}"));
        fs::create_dir(&dir).unwrap();
        let ctx = Ctx { jobs: NonZeroUsize::new(jobs).unwrap(), ..Ctx::default() };
        let options = GenerateOptions {
            from: Some(commit("old")),
            min_fallback_bytes: 0,
            max_patch_bytes: 1 << 30,
            max_part_bytes: 200_000,
            inline: false,
            order: ByteOrder::Little,
            timestamp_secs: 1,
        };
        let sink = |number: usize, part: &mut fs::File| {
            std::io::copy(part, &mut fs::File::create(dir.join(number.to_string())).unwrap()).unwrap();
            Ok(())
        };
        let made = generate(&repo, &commit("new"), &options, &sink, &tempfile::tempfile, &ctx).unwrap();
        fs::write(dir.join("superblock"), made.superblock).unwrap();
        files(&dir)
    };
    let one = made(1);
    assert!(one.len() > 3, "{:?}", one.keys());
    assert!(one == made(2) && one == made(5));
}

/// What every user may read is a source for others; what is not, is not.
#[test]
fn unreadable_files_are_no_source() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (path, tree) = (tmp.path().join("repo"), tmp.path().join("tree"));
    let repo = format!("--repo={}", path.display());
    run("ostree", &[&repo, "init", "--mode=archive"]);
    fs::create_dir(&tree).unwrap();
    let noise: Vec<u8> = (0..3000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let bspatch = |mode: u32| {
        for content in [&noise[..], &[&noise[..], b"more"].concat()] {
            fs::write(tree.join("file"), content).unwrap();
            let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(tree.join("file"), permissions).unwrap();
            run("ostree", &[&repo, "commit", "-b", "main", &format!("--tree=dir={}", tree.display())]);
        }
        run(OURS, &[&repo, "static-delta", "generate", "-q", "main"]);
        let name = text(run("ostree", &[&repo, "rev-parse", "main^"])).trim().to_owned();
        let name = format!("{name}-{}", text(run("ostree", &[&repo, "rev-parse", "main"])).trim());
        text(run("ostree", &[&repo, "static-delta", "show", &name])).contains("bspatch=1")
    };
    assert!(bspatch(0o644));
    assert!(!bspatch(0o640));
}
