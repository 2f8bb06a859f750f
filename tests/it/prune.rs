//! What is deleted, compared with what C ostree deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{CommitId, ObjectName, ObjectType, RefSpec, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::repo::prune::{Action, Keep, PruneOptions, RefRules, Roots, Scope};
use ostree_rs::repo::summary::SummaryOptions;
use ostree_rs::store::{Depth, Error, ObjectRead, Refs, Txn, resolve_rev};
use ostree_rs::transfer;

use crate::oracle::{need, run};

/// A repository with six commits on each of two branches, three of them old.
struct Fixture {
    tmp: tempfile::TempDir,
}

fn arg(path: &Path) -> String {
    format!("--repo={}", path.display())
}

fn open(path: &Path) -> Repo {
    Repo::open(Dir::open_ambient_dir(path, ambient_authority()).unwrap()).unwrap()
}

fn objects(repo: &Path) -> BTreeSet<String> {
    let out =
        Command::new("find").arg(repo.join("objects")).args(["-type", "f", "-o", "-type", "l"]).output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    text.lines().map(|line| line.rsplit("/objects/").next().unwrap().to_owned()).collect()
}

impl Fixture {
    fn new(mode: RepoMode) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let tree = tmp.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let repo = arg(&tmp.path().join("orig"));
        run("ostree", &[&repo, "init", &format!("--mode={mode}")]);
        let tree_arg = format!("--tree=dir={}", tree.display());
        for n in 0..6 {
            for branch in ["stable", "dev"] {
                fs::write(tree.join("file"), format!("{branch} {n}")).unwrap();
                let year = if n < 3 { 1985 } else { 2025 };
                let time = format!("--timestamp={year}-10-0{} 00:00:00 +0000", n + 1);
                run("ostree", &[&repo, "commit", "-b", branch, &time, &tree_arg]);
            }
        }
        Self { tmp }
    }

    fn copy(&self, name: &str) -> PathBuf {
        let to = self.tmp.path().join(name);
        let _ = fs::remove_dir_all(&to);
        let from = self.tmp.path().join("orig");
        run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
        to
    }

    /// Prunes one copy here and one with C ostree; returns the objects left.
    fn same(&self, args: &[&str], options: &PruneOptions) -> BTreeSet<String> {
        let (ours, theirs) = (self.copy("ours"), self.copy("theirs"));
        let said = run("ostree", &[&[&*arg(&theirs), "prune"], args].concat());
        let stats = open(&ours).prune(options, &Ctx::default()).unwrap();
        let left = objects(&ours);
        assert_eq!(left, objects(&theirs), "{args:?}");
        let said = String::from_utf8(said).unwrap();
        let total = said.lines().find_map(|line| line.rsplit_once("objects: ")?.1.parse().ok());
        assert_eq!(total, Some(stats.objects), "{said}");
        let expected = match (stats.deleted_objects, options.action) {
            (0, _) => "No unreachable objects".to_owned(),
            (n, Action::Delete) => format!("Deleted {n} objects, "),
            (n, Action::Count) => format!("Would delete: {n} objects, "),
        };
        assert!(said.contains(&expected), "{said}\n{expected}");
        run("ostree", &["fsck", "-q", &arg(&ours)]);
        left
    }
}

fn refspec(text: &str) -> RefSpec {
    text.parse().unwrap()
}

fn refs(depth: Depth) -> PruneOptions {
    PruneOptions { roots: Roots::Refs(depth), ..PruneOptions::default() }
}

/// 2010, between the old and the new commits.
const SOME_TIME_AGO: i64 = 1_262_304_000;

#[test]
fn the_same_objects_are_deleted() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    fixture.same(&[], &PruneOptions::default());
    for depth in 0..4 {
        fixture.same(&["--refs-only", &format!("--depth={depth}")], &refs(Depth::Parents(depth)));
    }
    let count = PruneOptions { action: Action::Count, ..refs(Depth::Parents(1)) };
    fixture.same(&["--refs-only", "--depth=1", "--no-prune"], &count);
    let commits = PruneOptions { scope: Scope::CommitsOnly, ..refs(Depth::Parents(1)) };
    fixture.same(&["--refs-only", "--depth=1", "--commit-only"], &commits);

    let rules = |retain: &[(&str, Depth)], only: &[&str], others| PruneOptions {
        roots: Roots::Rules(RefRules {
            retain: retain.iter().map(|(name, depth)| (refspec(name), *depth)).collect::<BTreeMap<_, _>>(),
            only: only.iter().map(|name| refspec(name)).collect(),
            others,
        }),
        ..PruneOptions::default()
    };
    let young = Keep::YoungerThan { secs: SOME_TIME_AGO };
    let young_arg = "--keep-younger-than=2010-01-01 00:00:00 +0000";
    fixture.same(&[young_arg], &rules(&[], &[], young));
    fixture
        .same(&[young_arg, "--retain-branch-depth=stable=-1"], &rules(&[("stable", Depth::All)], &[], young));
    fixture.same(
        &[young_arg, "--retain-branch-depth=stable=4"],
        &rules(&[("stable", Depth::Parents(4))], &[], young),
    );
    fixture.same(&[young_arg, "--only-branch=stable"], &rules(&[], &["stable"], young));
    let none = Keep::Depth(Depth::Parents(0));
    fixture.same(&["--only-branch=dev", "--depth=0"], &rules(&[], &["dev"], none));
    fixture.same(
        &["--only-branch=dev", "--depth=0", "--retain-branch-depth=stable=2"],
        &rules(&[("stable", Depth::Parents(2))], &["dev"], none),
    );
    // C ostree takes `--retain-branch-depth=dev=0` for no rule, but can say the same otherwise.
    fixture.same(
        &["--only-branch=dev", "--depth=0"],
        &rules(&[("dev", Depth::Parents(0))], &[], Keep::Depth(Depth::All)),
    );
    let error =
        open(&fixture.copy("ours")).prune(&rules(&[], &["BACON"], none), &Ctx::default()).unwrap_err();
    assert_eq!(error.to_string(), "Refspec 'BACON' not found");
}

#[test]
fn a_commit_reached_twice_gets_the_larger_depth() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let path = fixture.copy("ours");
    // "before" and "stable" are the same commit in different depth: whichever comes first, three parents stay.
    let rev = String::from_utf8(run("ostree", &[&arg(&path), "rev-parse", "stable"])).unwrap();
    for name in ["before", "zlast"] {
        run("ostree", &[&arg(&path), "refs", &format!("--create={name}"), rev.trim()]);
    }
    let rules = RefRules {
        retain: [("before", 0), ("stable", 3), ("zlast", 1)]
            .map(|(name, depth)| (refspec(name), Depth::Parents(depth)))
            .into_iter()
            .collect(),
        only: BTreeSet::new(),
        others: Keep::Depth(Depth::Parents(0)),
    };
    let options = PruneOptions { roots: Roots::Rules(rules), ..PruneOptions::default() };
    open(&path).prune(&options, &Ctx::default()).unwrap();
    let commits = objects(&path).into_iter().filter(|name| name.ends_with(".commit")).count();
    assert_eq!(commits, 4 + 1);
}

#[test]
fn a_deleted_commit_leaves_a_tombstone() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::BareUser);
    let (ours, theirs) = (fixture.copy("ours"), fixture.copy("theirs"));
    let mut repo = open(&ours);
    let id = |text: &str| resolve_rev(&open(&theirs), &text.parse().unwrap());
    let (head, old) = (id("dev").unwrap(), id("dev^^^^^").unwrap());
    let error = repo.delete_commit(&head, &Ctx::default()).unwrap_err();
    assert_eq!(error.to_string(), format!("Commit '{head}' is referenced by 'dev'"));
    repo.delete_commit(&old, &Ctx::default()).unwrap();
    repo.prune(&PruneOptions::default(), &Ctx::default()).unwrap();
    run("ostree", &[&arg(&theirs), "prune", &format!("--delete-commit={old}")]);
    assert_eq!(objects(&ours), objects(&theirs));
    assert_eq!(fs::read(ours.join("config")).unwrap(), fs::read(theirs.join("config")).unwrap());
    let tombstone = ObjectName::new(*old.checksum(), ObjectType::TombstoneCommit);
    let tombstone = format!("objects/{}", tombstone.loose_path(RepoMode::BareUser));
    assert_eq!(fs::read(ours.join(&tombstone)).unwrap(), fs::read(theirs.join(&tombstone)).unwrap());
}

#[test]
fn what_belongs_to_nothing_goes_too() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Bare);
    let source = open(&fixture.tmp.path().join("orig"));
    let path = fixture.tmp.path().join("split");
    fs::create_dir(&path).unwrap();
    let dir = Dir::open_ambient_dir(&path, ambient_authority()).unwrap();
    let repo = Repo::create(dir, RepoMode::BareSplitXattrs, None).unwrap();
    let ctx = Ctx::default();
    let head = source.resolve(&refspec("dev")).unwrap().unwrap();
    let txn = repo.begin(&ctx).unwrap();
    transfer::copy(&source, &txn, &[head], &transfer::TransferOptions::default(), &ctx).unwrap();
    txn.set_ref(&refspec("dev"), Some(head)).unwrap();
    // Detached metadata of a commit that is nowhere.
    let mut detached = Dict::new();
    detached.insert("a", "b");
    txn.set_detached(&CommitId::new(ostree_rs::format::Checksum::EMPTY), &detached).unwrap();
    txn.commit(&ctx).unwrap();
    let stats = repo.prune(&PruneOptions::default(), &ctx).unwrap();
    assert_eq!((stats.objects, stats.deleted_objects, stats.deleted_companions), (4, 0, 1));
    assert!(objects(&path).iter().any(|name| name.ends_with(".file-xattrs-link")));
    repo.set_ref(&refspec("dev"), None).unwrap();
    let stats = repo.prune(&refs(Depth::All), &ctx).unwrap();
    assert_eq!((stats.objects, stats.deleted_objects, stats.deleted_companions), (4, 4, 2));
    assert_eq!(objects(&path), BTreeSet::new());
}

#[test]
fn a_commit_without_its_objects_stops_everything() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let path = fixture.copy("ours");
    let repo = open(&path);
    let head = repo.resolve(&refspec("dev")).unwrap().unwrap();
    let tree = ostree_rs::store::load_commit(&repo, &head).unwrap().root.tree;
    fs::remove_file(path.join("objects").join(ObjectName::from(tree).loose_path(RepoMode::Archive))).unwrap();
    let before = objects(&path);
    let error = repo.prune(&refs(Depth::Parents(0)), &Ctx::default()).unwrap_err();
    assert!(matches!(error, Error::NotFound(name) if name == tree.into()));
    assert_eq!(objects(&path), before);
    assert!(!repo.contains(&tree.into()).unwrap());
}

#[test]
fn static_deltas_go_with_their_commits() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let path = fixture.copy("ours");
    run("ostree", &[&arg(&path), "static-delta", "generate", "dev"]);
    run("ostree", &[&arg(&path), "static-delta", "generate", "--empty", "--to=stable"]);
    let repo = open(&path);
    repo.prune(&PruneOptions::default(), &Ctx::default()).unwrap();
    let list = || String::from_utf8(run("ostree", &[&arg(&path), "static-delta", "list"])).unwrap();
    assert_eq!(list().lines().count(), 2);
    repo.set_ref(&refspec("dev"), None).unwrap();
    repo.prune(&refs(Depth::All), &Ctx::default()).unwrap();
    assert_eq!(list().lines().count(), 1);
    let stable = repo.resolve(&refspec("stable")).unwrap().unwrap();
    repo.delete_deltas_to(&stable, &Ctx::default()).unwrap();
    assert_eq!(list().trim(), "(No static deltas)");
}

#[test]
fn summaries_are_the_same() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let path = fixture.copy("ours");
    run("ostree", &[&arg(&path), "static-delta", "generate", "dev"]);
    let repo = open(&path);
    run("ostree", &[&arg(&path), "summary", "-u", "-m", "some.key=uint64 7"]);
    let theirs = fs::read(path.join("summary")).unwrap();
    let read = repo.read_summary().unwrap().unwrap();
    assert_eq!(read.signatures, None);
    let options = SummaryOptions { now_secs: read.summary.last_modified_secs(), ..SummaryOptions::default() };
    let mut additional = Dict::new();
    additional.insert("some.key", 7_u64);
    fs::write(path.join("summary.sig"), "").unwrap();
    repo.update_summary(&additional, &options, &Ctx::default()).unwrap();
    assert_eq!(fs::read(path.join("summary")).unwrap(), theirs);
    assert!(!path.join("summary.sig").exists());

    // With a collection, and refs of others.
    run("ostree", &[&arg(&path), "config", "set", "core.collection-id", "org.example.Main"]);
    run("ostree", &[&arg(&path), "refs", "--collections", "--create=org.example.Other:mirrored", "dev"]);
    let repo = open(&path);
    repo.update_summary(&additional, &options, &Ctx::default()).unwrap();
    let ours = repo.read_summary().unwrap().unwrap().summary;
    assert_eq!(ours.collections().unwrap().len(), 1);
    let metadata = repo.resolve(&refspec("ostree-metadata")).unwrap().unwrap();
    let raw = String::from_utf8(run("ostree", &[&arg(&path), "show", "--raw", "ostree-metadata"])).unwrap();
    for part in
        ["'ostree.ref-binding': <['ostree-metadata']>", "'ostree.collection-binding': <'org.example.Main'>"]
    {
        assert!(raw.contains(part), "{raw}");
    }
    run("ostree", &["fsck", "-q", &arg(&path)]);
    run("ostree", &[&arg(&path), "summary", "-u", "-m", "some.key=uint64 7"]);
    let theirs = repo.read_summary().unwrap().unwrap().summary;
    assert_ne!(repo.resolve(&refspec("ostree-metadata")).unwrap(), Some(metadata));
    let others = |refs: &[ostree_rs::format::SummaryRef]| {
        refs.iter().filter(|r| r.name.as_str() != "ostree-metadata").cloned().collect::<Vec<_>>()
    };
    assert_eq!(others(&ours.refs), others(&theirs.refs));
    assert_eq!(
        ours.metadata.iter().map(|(k, _)| k).collect::<Vec<_>>(),
        theirs.metadata.iter().map(|(k, _)| k).collect::<Vec<_>>()
    );
}

#[test]
fn the_summary_follows_refs_if_asked() {
    if !need("ostree") {
        return;
    }
    let fixture = Fixture::new(RepoMode::Archive);
    let path = fixture.copy("ours");
    run("ostree", &[&arg(&path), "config", "set", "core.auto-update-summary", "true"]);
    let repo = open(&path);
    let head = repo.resolve(&refspec("dev")).unwrap();
    repo.set_ref(&refspec("another"), head).unwrap();
    let summary = repo.read_summary().unwrap().unwrap().summary;
    assert_eq!(
        summary.refs.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(),
        ["another", "dev", "stable"]
    );
}
