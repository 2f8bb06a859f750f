//! Checks of repositories that C ostree wrote and that were then damaged.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::{Ctx, WithCauses};
use ostree_rs::format::{CommitId, ObjectName, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::repo::fsck::{
    BindingChecks, FsckError, FsckOptions, FsckReport, FsckStep, MissingParents, OnCorruption,
};
use ostree_rs::store::{Completeness, Reachable, resolve_rev, walk_commit};

use crate::oracle::{need, run};

/// A repository with two commits of `x`, the second one without a file of the first.
struct Fixture {
    tmp: tempfile::TempDir,
    mode: RepoMode,
    arg: String,
}

const MODES: [RepoMode; 4] = [RepoMode::Bare, RepoMode::BareUser, RepoMode::BareUserOnly, RepoMode::Archive];

impl Fixture {
    fn new(mode: RepoMode) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let tree = tmp.path().join("tree");
        fs::create_dir_all(tree.join("sub/deep")).unwrap();
        for name in ["both", "sub/deep/first", "sub/deep/second"] {
            fs::write(tree.join(name), name).unwrap();
            fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        symlink("both", tree.join("link")).unwrap();
        let arg = format!("--repo={}", tmp.path().join("repo").display());
        run("ostree", &[&arg, "init", &format!("--mode={mode}")]);
        let tree_arg = format!("--tree=dir={}", tree.display());
        let commit = ["commit", "-b", "x", "--canonical-permissions", &tree_arg];
        run("ostree", &[&[&*arg], &commit[..]].concat());
        fs::remove_file(tree.join("sub/deep/first")).unwrap();
        run("ostree", &[&[&*arg], &commit[..]].concat());
        Self { tmp, mode, arg }
    }

    fn path(&self) -> PathBuf {
        self.tmp.path().join("repo")
    }

    fn repo(&self) -> Repo {
        Repo::open(Dir::open_ambient_dir(self.path(), ambient_authority()).unwrap()).unwrap()
    }

    fn rev(&self, text: &str) -> CommitId {
        resolve_rev(&self.repo(), &text.parse().unwrap()).unwrap()
    }

    fn object(&self, name: &ObjectName) -> PathBuf {
        self.path().join("objects").join(name.loose_path(self.mode))
    }

    fn objects(&self, commit: &CommitId) -> Vec<ObjectName> {
        let mut names = Vec::new();
        walk_commit(&self.repo(), commit, &mut Reachable::default(), &mut |name| {
            names.push(name);
            Ok(())
        })
        .unwrap();
        names
    }

    /// What is printed, what is reported.
    fn fsck(&self, options: &FsckOptions) -> (Vec<String>, Result<FsckReport, FsckError>) {
        let mut lines = Vec::new();
        let report = self.repo().fsck(
            options,
            &mut |step| match step {
                FsckStep::Found(finding) => lines.push(finding.to_string()),
                FsckStep::MarkedPartial(id) => lines.push(format!("Marking commit as partial: {id}")),
                FsckStep::AddedTombstone(id) => lines.push(format!("Adding tombstone for commit {id}")),
                _ => {}
            },
            &Ctx::default(),
        );
        (lines, report)
    }

    /// The lines that C ostree prints to standard error, without progress.
    fn theirs(&self, args: &[&str]) -> Vec<String> {
        let out = Command::new("ostree").args(["fsck", "-q", &self.arg]).args(args).output().unwrap();
        String::from_utf8(out.stderr).unwrap().lines().map(str::to_owned).collect()
    }
}

fn with(corrupt: OnCorruption) -> FsckOptions {
    FsckOptions { corrupt, ..FsckOptions::default() }
}

/// Replaces a file, which may be shared or read-only.
fn overwrite(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn what_is_intact() {
    if !need("ostree") {
        return;
    }
    for mode in MODES {
        let fixture = Fixture::new(mode);
        let (lines, report) = fixture.fsck(&FsckOptions::default());
        let report = report.unwrap();
        report.result().unwrap();
        assert_eq!(lines, Vec::<String>::new());
        assert_eq!(report.commits, 2);
        let mut names = [fixture.objects(&fixture.rev("x")), fixture.objects(&fixture.rev("x^"))].concat();
        names.sort_unstable();
        names.dedup();
        assert_eq!(report.objects, names.len() as u64, "{mode}");
    }
}

#[test]
fn a_flipped_byte_in_any_object() {
    if !need("ostree") {
        return;
    }
    for mode in MODES {
        let fixture = Fixture::new(mode);
        for name in fixture.objects(&fixture.rev("x^")) {
            let path = fixture.object(&name);
            if path.is_symlink() {
                continue;
            }
            let good = fs::read(&path).unwrap();
            let xattrs = ostree_rs::base::read_xattrs(fs::File::open(&path).unwrap()).unwrap();
            if good.is_empty() {
                continue;
            }
            for at in [0, good.len() / 2, good.len() - 1] {
                let mut bad = good.clone();
                bad[at] ^= 0x20;
                // In place, so that attributes stay.
                fs::write(&path, &bad).unwrap();
                let (_, report) = fixture.fsck(&with(OnCorruption::Report));
                match report {
                    // Bits behind the end of a deflate stream mean nothing.
                    Ok(report) if report.findings.is_empty() => {
                        assert!(mode == RepoMode::Archive && at + 1 == good.len(), "{mode} {name} byte {at}");
                    }
                    Ok(report) => {
                        assert_eq!(report.findings.len(), 1, "{mode} {name} byte {at}");
                        assert_eq!(report.findings[0].name, name);
                        assert!(matches!(report.result(), Err(FsckError::Corruption)));
                    }
                    Err(FsckError::Ref { .. } | FsckError::Corrupt(_)) => {
                        assert_eq!(name, fixture.rev("x").into());
                    }
                    other => panic!("{mode} {name} byte {at}: {other:?}"),
                }
            }
            fs::write(&path, &good).unwrap();
            assert_eq!(ostree_rs::base::read_xattrs(fs::File::open(&path).unwrap()).unwrap(), xattrs);
        }
        fixture.fsck(&FsckOptions::default()).1.unwrap().result().unwrap();
    }
}

#[test]
fn the_words_of_the_c_program() {
    if !need("ostree") {
        return;
    }
    for mode in [RepoMode::Bare, RepoMode::Archive] {
        let fixture = Fixture::new(mode);
        let (old, new) = (fixture.rev("x^"), fixture.rev("x"));
        let of_both: Vec<_> =
            fixture.objects(&new).into_iter().filter(|n| fixture.objects(&old).contains(n)).collect();
        let file = *of_both
            .iter()
            .find(|n| n.kind.extension() == "file" && !fixture.object(n).is_symlink())
            .unwrap();
        let good = fs::read(fixture.object(&file)).unwrap();

        // Other content, so that it can be read and has another checksum.
        if mode == RepoMode::Bare {
            fs::write(fixture.object(&file), "corrupted").unwrap();
            let Err(error) = fixture.fsck(&FsckOptions::default()).1 else { panic!("not found") };
            let commits = |text: &str| -> Vec<String> {
                // Theirs stand in no order.
                let text = text.replace("error: ", "");
                let mut words: Vec<_> = text.split([' ', ',', ':']).map(str::to_owned).collect();
                words.sort();
                words
            };
            let ours = WithCauses(&error).to_string();
            // The path is told by us alone.
            let (line, path) = ours.split_once(" (at ").unwrap();
            assert!(["/both)", "/sub/deep/second)"].contains(&path), "{ours}");
            assert_eq!(commits(line), commits(&fixture.theirs(&[])[0]));
            assert_eq!(fixture.repo().completeness(&new).unwrap(), Completeness::Complete);
            let FsckError::Corrupt(finding) = error else { panic!("{error}") };
            assert_eq!(finding.commits.len(), 2);
            assert!(["/both", "/sub/deep/second"].contains(&finding.path.as_deref().unwrap()));
        }

        overwrite(&fixture.object(&file), b"whoops\n");
        let (lines, report) = fixture.fsck(&with(OnCorruption::Delete));
        assert!(matches!(report.unwrap().result(), Err(FsckError::Corruption)));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("In commits "), "{lines:?}");
        assert!(!fixture.object(&file).exists());
        for commit in [old, new] {
            assert_eq!(fixture.repo().completeness(&commit).unwrap(), Completeness::PartialByFsck);
        }
        let error = fixture.fsck(&FsckOptions::default()).1.unwrap().result().unwrap_err();
        assert_eq!(fixture.theirs(&[]), [format!("error: {}", WithCauses(&error))]);

        // It is missing now.
        fs::remove_dir_all(fixture.path().join("state")).unwrap();
        fs::create_dir(fixture.path().join("state")).unwrap();
        let (lines, _) = fixture.fsck(&FsckOptions::default());
        assert!(lines[0].starts_with("Object missing in commits "), "{lines:?}");
        assert!(lines[0].contains(&format!(": {file} (at /")), "{lines:?}");
        assert!(lines.contains(&format!("Marking commit as partial: {new}")));
        fs::write(fixture.object(&file), good).unwrap();
    }
}

/// What cannot be read at all is told with its commits and path, too.
#[test]
fn a_directory_in_the_place_of_an_object() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let objects = fixture.path().join("objects").display().to_string();
    let found = run("find", &[&objects, "-name", "*.dirtree", "-print", "-quit"]);
    let object = PathBuf::from(String::from_utf8(found).unwrap().trim());
    fs::remove_file(&object).unwrap();
    fs::create_dir(&object).unwrap();
    let Err(FsckError::Corrupt(finding)) = fixture.fsck(&FsckOptions::default()).1 else { panic!() };
    assert!(!finding.commits.is_empty() && finding.path.is_some(), "{finding}");
    assert!(fixture.theirs(&[])[0].starts_with("error: "));
}

#[test]
fn a_missing_or_empty_commit() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Bare);
    let path = fixture.object(&fixture.rev("x").into());
    fs::write(&path, "").unwrap();
    let error = fixture.fsck(&FsckOptions::default()).1.unwrap_err();
    assert_eq!(fixture.theirs(&[]), [format!("error: {}", WithCauses(&error))]);
    fs::remove_file(&path).unwrap();
    let (lines, report) = fixture.fsck(&FsckOptions::default());
    let error = report.unwrap_err();
    let theirs = fixture.theirs(&[]);
    assert_eq!(theirs[0], lines[0]);
    assert_eq!(format!("error: {}", WithCauses(&error)), theirs[1]);
}

#[test]
fn bindings() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let check = FsckOptions { bindings: BindingChecks::Check, ..FsckOptions::default() };
    fixture.fsck(&check).1.unwrap().result().unwrap();
    run("ostree", &[&fixture.arg, "refs", "--create=other", "x"]);
    let error = fixture.fsck(&check).1.unwrap_err();
    assert_eq!(fixture.theirs(&["--verify-bindings"]), [format!("error: {}", WithCauses(&error))]);
    run("ostree", &[&fixture.arg, "refs", "--delete", "other"]);

    let back = FsckOptions { bindings: BindingChecks::CheckBack, ..FsckOptions::default() };
    let error = fixture.fsck(&back).1.unwrap_err();
    assert!(matches!(error, FsckError::BackRefElsewhere { .. }));
    assert_eq!(fixture.theirs(&["--verify-back-refs"]), [format!("error: {}", WithCauses(&error))]);
    fs::remove_file(fixture.path().join("refs/heads/x")).unwrap();
    let error = fixture.fsck(&back).1.unwrap_err();
    assert!(error.to_string().starts_with("Ref ‘x’ in bindings for commit "), "{error}");
    assert!(error.to_string().ends_with(" does not exist"), "{error}");
}

#[test]
fn tombstones_for_missing_parents() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let (old, new) = (fixture.rev("x^"), fixture.rev("x"));
    run("ostree", &[&fixture.arg, "prune", "--refs-only", "--depth=0"]);
    let options = FsckOptions { missing_parents: MissingParents::AddTombstones, ..FsckOptions::default() };
    let (lines, report) = fixture.fsck(&options);
    report.unwrap().result().unwrap();
    assert_eq!(lines, [format!("Adding tombstone for commit {old}")]);
    assert!(fixture.object(&new.into()).exists());
    let config = fs::read_to_string(fixture.path().join("config")).unwrap();
    assert!(config.contains("tombstone-commits=true"), "{config}");
    assert_eq!(fixture.fsck(&options).0, Vec::<String>::new());
    run("ostree", &["fsck", "-q", &fixture.arg]);
}

/// What was damaged or deleted comes back from a directory, a remote behind a web server or an image, and nothing else is
/// fetched.
#[test]
fn what_is_damaged_is_brought_back() {
    if !need("ostree") {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let (at, ours) = (|path: &str| tmp.path().join(path).display().to_string(), crate::cli::OURS);
    fs::create_dir(tmp.path().join("tree")).unwrap();
    for name in ["one", "two", "three"] {
        fs::write(tmp.path().join("tree").join(name), name.repeat(100)).unwrap();
    }
    let whole = format!("--repo={}", at("whole"));
    run("ostree", &["init", &whole, "--mode=archive"]);
    run("ostree", &["commit", &whole, "-b", "main", "--canonical-permissions", &at("tree")]);
    run(ours, &["container", "build", &whole, "--ref=main", "--oci-dir", &at("oci")]);
    let remote = format!("file://{}", at("whole"));
    let kinds = ["commit", "dirtree", "dirmeta", "filez"];
    for from in [at("whole"), "origin".into(), format!("oci:{}", at("oci"))] {
        let repo = format!("--repo={}", at("new"));
        let _ = fs::remove_dir_all(at("new"));
        run("ostree", &["init", &repo, "--mode=archive"]);
        run("ostree", &["remote", "add", &repo, "--no-gpg-verify", "origin", &remote]);
        run("ostree", &["pull-local", &repo, &at("whole"), "main"]);
        for kind in kinds {
            let find = ["-name".to_owned(), format!("*.{kind}"), "-print".into(), "-quit".into()];
            let find: Vec<&str> = find.iter().map(String::as_str).collect();
            let found = run("find", &[&[&*at("new/objects")], &find[..]].concat());
            let object = PathBuf::from(String::from_utf8(found).unwrap().trim());
            let good = fs::read(&object).unwrap();
            for damage in [true, false] {
                match damage {
                    true => overwrite(&object, b"damaged"),
                    false => fs::remove_file(&object).unwrap(),
                }
                run(ours, &["fsck", &repo, "--repair", &from]);
                run("ostree", &["fsck", "-q", &repo]);
                // Another program may have compressed it otherwise.
                let is_same = fs::read(&object).unwrap() == good;
                assert!(is_same || kind == "filez", "{from} {kind} {damage}");
            }
        }
    }
    // What cannot be had is said, and nothing is lost.
    let repo = format!("--repo={}", at("new"));
    let main = String::from_utf8(run("ostree", &["rev-parse", &repo, "main"])).unwrap();
    run("ostree", &["init", &format!("--repo={}", at("empty")), "--mode=archive"]);
    let object = run("find", &[&at("new/objects"), "-name", "*.filez", "-print", "-quit"]);
    fs::remove_file(String::from_utf8(object).unwrap().trim()).unwrap();
    for from in [at("empty"), "nothing/at/all".into()] {
        let out = std::process::Command::new(ours).args(["fsck", &repo, "--repair", &from]).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(String::from_utf8(run("ostree", &["rev-parse", &repo, "main"])).unwrap(), main);
    }
}
