//! The same commit and options give the same directory, from repositories that C ostree wrote.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::format::{CommitId, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Error, SkipList, load_commit};
use ostree_rs::tree::{
    CheckoutOptions, DirectoryModes, Linking, MissingSubpath, Overwrite, Ownership, PassthroughWhiteouts,
    PlainFiles, Whiteouts, checkout,
};

use super::fixture::{Detail, describe, hard_tree, ready};
use crate::oracle::run;

/// Repositories of one mode, with the refs `base` and `layer`.
struct Oracle {
    dir: tempfile::TempDir,
    mode: RepoMode,
    repo: String,
}

impl Oracle {
    fn new(mode: RepoMode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = format!("--repo={}", dir.path().join("repo").display());
        run("ostree", &[&repo, "init", &format!("--mode={mode}")]);
        let this = Self { dir, mode, repo };
        hard_tree(&this.path("base"));
        layer_tree(&this.path("layer"));
        for name in ["base", "layer"] {
            let tree = format!("--tree=dir={}", this.path(name).display());
            run("ostree", &[&this.repo, "commit", "-b", name, "--fsync=false", &tree]);
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn commit(&self, name: &str) -> CommitId {
        let text = run("ostree", &[&self.repo, "rev-parse", name]);
        String::from_utf8(text).unwrap().trim().parse().unwrap()
    }

    /// Checks out `name` by both programs over what `prepare` made, and compares.
    fn compare(&self, name: &str, args: &[&str], options: &CheckoutOptions, prepare: &dyn Fn(&Path)) {
        let what = format!("{} {args:?} {options:?}", self.mode);
        let dest = self.path("dest");
        let clean = || {
            let _ = fs::remove_dir_all(&dest);
            prepare(&dest);
        };
        clean();
        let dest_arg = dest.to_str().unwrap();
        let all = [&[&*self.repo, "checkout", "--disable-cache"], args, &[name, dest_arg]].concat();
        let theirs = Command::new("ostree").args(&all).output().unwrap();
        let text = String::from_utf8_lossy(&theirs.stderr).into_owned();
        let theirs = theirs.status.success().then(|| describe(&dest, Detail::Links));
        clean();
        let ours = self.ours(name, options);
        match (theirs, ours) {
            (Some(theirs), Ok(())) => {
                let ours = describe(&dest, Detail::Links);
                let differ = |a: &[String], b: &[String]| {
                    a.iter().filter(|line| !b.contains(line)).cloned().collect::<Vec<_>>().join("\n")
                };
                let (left, right) = (differ(&ours, &theirs), differ(&theirs, &ours));
                assert!(left.is_empty() && right.is_empty(), "{what}\nours:\n{left}\ntheirs:\n{right}");
            }
            (None, Err(_)) => {}
            (Some(_), Err(e)) => panic!("{what}: {e}"),
            (None, Ok(())) => panic!("{what}: the oracle says {text}"),
        }
    }

    fn ours(&self, name: &str, options: &CheckoutOptions) -> Result<(), Error> {
        let repo =
            Repo::open(Dir::open_ambient_dir(self.path("repo"), ambient_authority()).unwrap()).unwrap();
        let root = load_commit(&repo, &self.commit(name)).unwrap().root;
        let parent = fs::File::open(self.dir.path()).unwrap();
        let options = options.clone().for_mode(self.mode);
        checkout(&repo, root, &parent, Path::new("dest"), &options, &Ctx::default())
    }
}

fn layer_tree(top: &Path) {
    for dir in ["usr/lib", "usr/bin", "private/a", "empty"] {
        fs::create_dir_all(top.join(dir)).unwrap();
    }
    for (name, content) in [
        ("usr/lib/.wh.same-2", ""),
        ("usr/lib/.wh.modules", ""),
        ("usr/lib/.wh.never-there", ""),
        ("usr/bin/.wh..wh..opq", ""),
        ("usr/bin/new", "new"),
        ("private/a/b", "a file in place of a directory"),
        ("empty/.ostree-wh.gone", ""),
    ] {
        fs::write(top.join(name), content).unwrap();
    }
    symlink("x", top.join("private/a/.wh.link")).unwrap();
    symlink("nowhere", top.join("usr/lib/dot")).unwrap();
}

fn nothing(_: &Path) {}

fn occupied(dest: &Path) {
    fs::create_dir_all(dest.join("usr/lib")).unwrap();
    fs::set_permissions(dest.join("usr"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::write(dest.join("usr/lib/same-1"), "other").unwrap();
    fs::write(dest.join("usr/lib/empty"), "other").unwrap();
    fs::write(dest.join("usr/lib/more"), "more").unwrap();
    symlink("elsewhere", dest.join("usr/lib/dot")).unwrap();
}

/// Nothing but what the commit has.
fn identical(dest: &Path) {
    fs::create_dir_all(dest.join("usr/lib")).unwrap();
    fs::write(dest.join("usr/lib/same-1"), "same").unwrap();
    fs::write(dest.join("usr/lib/empty"), "").unwrap();
    symlink(".", dest.join("usr/lib/dot")).unwrap();
}

fn in_the_way(dest: &Path) {
    fs::create_dir_all(dest.join("usr/lib/same-1/directory")).unwrap();
}

fn a_file_in_the_way(dest: &Path) {
    fs::create_dir_all(dest).unwrap();
    fs::write(dest.join("usr"), "in place of a directory").unwrap();
}

#[test]
fn every_combination_bare() {
    every_combination(RepoMode::Bare);
}

#[test]
fn every_combination_bare_user() {
    every_combination(RepoMode::BareUser);
}

#[test]
fn every_combination_bare_user_only() {
    every_combination(RepoMode::BareUserOnly);
}

#[test]
fn every_combination_archive() {
    every_combination(RepoMode::Archive);
}

fn every_combination(mode: RepoMode) {
    if !ready() {
        return;
    }
    let owners = [(None, Ownership::Commit), (Some("-U"), Ownership::User)];
    let linkings = [(None, Linking::Prefer), (Some("-C"), Linking::Never), (Some("-H"), Linking::Require)];
    let overwrites = [
        (None, Overwrite::Never),
        (Some("--union"), Overwrite::UnionFiles),
        (Some("--union-add"), Overwrite::AddFiles),
        (Some("--union-identical"), Overwrite::UnionIdentical),
    ];
    let oracle = Oracle::new(mode);
    for (owner_arg, ownership) in owners {
        for (linking_arg, linking) in linkings {
            for (overwrite_arg, overwrite) in overwrites {
                if overwrite == Overwrite::UnionIdentical && linking != Linking::Require {
                    continue;
                }
                let args: Vec<&str> = [owner_arg, linking_arg, overwrite_arg].into_iter().flatten().collect();
                let options = CheckoutOptions { ownership, linking, overwrite, ..CheckoutOptions::default() };
                let prepared: &[&dyn Fn(&Path)] = match overwrite {
                    Overwrite::Never => &[&nothing, &identical],
                    _ => &[&occupied, &identical, &in_the_way, &a_file_in_the_way],
                };
                for prepare in prepared {
                    oracle.compare("base", &args, &options, prepare);
                }
            }
        }
    }
}
#[test]
fn parts_of_a_tree() {
    if !ready() {
        return;
    }
    for mode in [RepoMode::Bare, RepoMode::Archive] {
        let oracle = Oracle::new(mode);
        let plain = CheckoutOptions::default;
        let canonical = CheckoutOptions { directory_modes: DirectoryModes::Canonical, ..plain() };
        oracle.compare("base", &["-M"], &canonical, &nothing);
        let skip = "/private/\n/usr/bin/su\n/lib\n/usr/lib/empty\n/empty\n";
        fs::write(oracle.path("skip"), skip).unwrap();
        let arg = format!("--skip-list={}", oracle.path("skip").display());
        let skipping = CheckoutOptions { skip: SkipList::parse(skip), ..plain() };
        oracle.compare("base", &[&arg], &skipping, &nothing);
        for path in
            ["/usr/lib", "usr/bin", "/", "/usr/bin/su", "lib", "/usr/lib/empty", "/none", "usr/bin/su/x"]
        {
            let options = CheckoutOptions { subpath: Some(path.into()), ..plain() };
            oracle.compare("base", &["--subpath", path], &options, &nothing);
        }
        let missing = CheckoutOptions {
            subpath: Some("/none".into()),
            missing_subpath: MissingSubpath::Ignore,
            ..plain()
        };
        oracle.ours("base", &missing).unwrap();
        assert!(!oracle.path("dest").exists());
    }
}

#[test]
fn layers_with_whiteouts() {
    if !ready() {
        return;
    }
    for mode in [RepoMode::Bare, RepoMode::BareUser, RepoMode::Archive] {
        let oracle = Oracle::new(mode);
        let below = |dest: &Path| {
            run("ostree", &[&oracle.repo, "checkout", "base", dest.to_str().unwrap()]);
        };
        let user = mode == RepoMode::BareUser;
        let ownership = if user { Ownership::User } else { Ownership::Commit };
        let owner_arg: &[&str] = if user { &["-U"] } else { &[] };
        for linking in [Linking::Prefer, Linking::Never] {
            let linking_arg: &[&str] = if linking == Linking::Never { &["-C"] } else { &[] };
            let args = [owner_arg, linking_arg].concat();
            let plain = CheckoutOptions { ownership, linking, ..CheckoutOptions::default() };
            let layered = CheckoutOptions {
                whiteouts: Whiteouts::Process,
                overwrite: Overwrite::UnionFiles,
                ..plain.clone()
            };
            let union = [&args[..], &["--union", "--whiteouts"]].concat();
            oracle.compare("layer", &union, &layered, &below);
            let both = CheckoutOptions { passthrough_whiteouts: PassthroughWhiteouts::Process, ..layered };
            let union = [&union[..], &["--process-passthrough-whiteouts"]].concat();
            oracle.compare("layer", &union, &both, &below);
            let alone = CheckoutOptions { whiteouts: Whiteouts::Process, ..plain.clone() };
            oracle.compare("layer", &[&args[..], &["--whiteouts"]].concat(), &alone, &nothing);
            oracle.compare("layer", &args, &plain, &nothing);
        }
    }
}

#[test]
fn an_archive_keeps_plain_files() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new(RepoMode::Archive);
    let (dest, cache) = (oracle.path("dest"), oracle.path("repo/uncompressed-objects-cache"));
    let described = |top: &Path| {
        let mut lines = describe(top, Detail::Plain);
        lines.extend(describe(&dest, Detail::Links).iter().map(|line| line.replace(" old false", "")));
        lines
    };
    run("ostree", &[&oracle.repo, "checkout", "-U", "base", dest.to_str().unwrap()]);
    let theirs = described(&cache);
    fs::remove_dir_all(&dest).unwrap();
    fs::remove_dir_all(&cache).unwrap();
    let options = CheckoutOptions {
        ownership: Ownership::User,
        plain_files: PlainFiles::Link,
        ..CheckoutOptions::default()
    };
    oracle.ours("base", &options).unwrap();
    let ours = described(&cache);
    for (left, right) in ours.iter().zip(&theirs) {
        assert_eq!(left, right);
    }
    assert_eq!(ours.len(), theirs.len());
    // Once more from the cache, and not from it for other checkouts.
    fs::remove_dir_all(&dest).unwrap();
    oracle.ours("base", &options).unwrap();
    assert_eq!(described(&cache), theirs);
    fs::remove_dir_all(&dest).unwrap();
    fs::remove_dir_all(&cache).unwrap();
    oracle.ours("base", &CheckoutOptions { ownership: Ownership::Commit, ..options }).unwrap();
    assert!(!cache.exists());
}

/// As newer versions of C ostree do; Debian's refuses it.
#[test]
fn a_directory_in_place_of_a_file() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new(RepoMode::Bare);
    let dest = oracle.path("dest");
    a_file_in_the_way(&dest);
    let union = CheckoutOptions { overwrite: Overwrite::UnionFiles, ..CheckoutOptions::default() };
    oracle.ours("base", &union).unwrap_err();
    fs::remove_dir_all(&dest).unwrap();
    a_file_in_the_way(&dest);
    let layered = CheckoutOptions { whiteouts: Whiteouts::Process, ..union };
    oracle.ours("base", &layered).unwrap();
    assert_eq!(describe(&dest, Detail::Plain)[1..], describe(&oracle.path("base"), Detail::Plain)[1..]);
}

#[test]
fn nothing_reaches_out() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new(RepoMode::Bare);
    let (outside, dest) = (oracle.path("outside"), oracle.path("dest"));
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(&dest).unwrap();
    symlink(&outside, dest.join("usr")).unwrap();
    let union = CheckoutOptions { overwrite: Overwrite::UnionFiles, ..CheckoutOptions::default() };
    oracle.ours("base", &union).unwrap_err();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);

    // A whiteout that names the directory above.
    let tree = oracle.path("evil");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/.wh..."), "").unwrap();
    let arg = format!("--tree=dir={}", tree.display());
    run("ostree", &[&oracle.repo, "commit", "-b", "evil", &arg]);
    fs::remove_dir_all(&dest).unwrap();
    fs::create_dir_all(dest.join("sub")).unwrap();
    fs::write(dest.join("kept"), "").unwrap();
    let options = CheckoutOptions { whiteouts: Whiteouts::Process, ..union };
    assert!(matches!(oracle.ours("evil", &options), Err(Error::Unsupported(_))));
    assert!(dest.join("kept").exists());
}
