//! The same directory and options give the same commit id.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ostree_rs::base::Ctx;
use ostree_rs::format::variant::{Dict, Value};
use ostree_rs::format::{CommitId, RefSpec};
use ostree_rs::store::{
    Attributes, Decision, Error, Executables, MemStore, Modifier, MutableTree, Permissions, SkipList,
    StatOverrides, TreeFilter, XattrPolicy, load_commit,
};
use ostree_rs::tree::{
    Bootable, CommitOptions, DirOptions, RefBindings, Sealing, SourceFate, add_commit, add_dir, write_commit,
};

use super::fixture::{Detail, describe, hard_tree, ready, set_xattr};
use crate::oracle::run;

const TIME: &str = "--timestamp=2024-01-02 03:04:05 +0000";
const TIME_SECS: u64 = 1_704_164_645;

struct Oracle {
    dir: tempfile::TempDir,
    repo: String,
}

impl Oracle {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = format!("--repo={}", dir.path().join("repo").display());
        run("ostree", &[&repo, "init", "--mode=archive"]);
        let oracle = Self { dir, repo };
        hard_tree(&oracle.path("tree"));
        oracle
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `ostree commit` makes of `args`.
    fn commit(&self, args: &[&str]) -> CommitId {
        let all = [&[&self.repo, "commit", "-b", "x", "--parent=none", "--fsync=false", TIME], args].concat();
        String::from_utf8(run("ostree", &all)).unwrap().trim().parse().unwrap()
    }

    fn dir_arg(&self, name: &str) -> String {
        format!("--tree=dir={}", self.path(name).display())
    }
}

/// What some options of C ostree do, as a caller's own decision.
#[derive(Debug)]
struct AsOptions {
    skip: SkipList,
}

impl TreeFilter for AsOptions {
    fn decide(&self, path: &str, attributes: &mut Attributes) -> Decision {
        attributes.uid = 7;
        if self.skip.contains(path) { Decision::Skip } else { Decision::Take }
    }

    fn keeps_xattr(&self, _path: &str, _name: &[u8]) -> bool {
        false
    }
}

fn open(path: &Path) -> OwnedFd {
    fs::File::open(path).unwrap().into()
}

fn options() -> CommitOptions {
    let refs = vec!["x".parse::<RefSpec>().unwrap()];
    let bindings = Some(RefBindings { refs, collection: None });
    CommitOptions { timestamp: TIME_SECS, bindings, ..CommitOptions::default() }
}

/// What we make of the directories, laid over each other.
fn commit(store: &MemStore, dirs: &[&Path], modifier: &mut Modifier, options: &CommitOptions) -> CommitId {
    let mut tree = MutableTree::new();
    for dir in dirs {
        let sealing = if dirs.len() == 1 { Sealing::AsFinished } else { Sealing::AtTheEnd };
        let dir_options = DirOptions { sealing, ..DirOptions::default() };
        add_dir(store, &mut tree, open(dir), modifier, &dir_options, &Ctx::default()).unwrap();
    }
    modifier.check_matched().unwrap();
    let root = tree.write(store).unwrap();
    write_commit(store, root, options).unwrap()
}

#[test]
fn every_modifier() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new();
    let overrides =
        "=511 /private\n2048 /usr/lib/same-1\n=0x1ff /usr/lib/same-2\n1024 /\n3072 /empty\n=1 /none\n";
    let skip = "/private\n/usr/bin/su\n/lib\n";
    fs::write(oracle.path("overrides"), overrides).unwrap();
    fs::write(oracle.path("skip"), skip).unwrap();
    let overrides_arg = format!("--statoverride={}", oracle.path("overrides").display());
    let skip_arg = format!("--skip-list={}", oracle.path("skip").display());
    let stat_overrides = StatOverrides::parse(overrides).unwrap();
    let skip = SkipList::parse(skip);
    let canonical = Modifier { permissions: Permissions::Canonical, ..Modifier::default() };
    let cases = [
        (vec![], Modifier::default()),
        (vec!["--owner-uid=7"], Modifier { uid: Some(7), ..Modifier::default() }),
        (vec!["--owner-gid=8"], Modifier { gid: Some(8), ..Modifier::default() }),
        (vec!["--canonical-permissions"], canonical.clone()),
        (
            vec!["--mode-ro-executables"],
            Modifier { executables: Executables::ReadOnly, ..Modifier::default() },
        ),
        (vec!["--no-xattrs"], Modifier { xattrs: XattrPolicy::Drop, ..Modifier::default() }),
        (vec![&*overrides_arg], Modifier { stat_overrides: stat_overrides.clone(), ..Modifier::default() }),
        (vec![&*skip_arg], Modifier { skip: skip.clone(), ..Modifier::default() }),
        (
            vec!["--owner-uid=7", "--no-xattrs", &*skip_arg],
            Modifier { filter: Some(Arc::new(AsOptions { skip })), ..Modifier::default() },
        ),
        (
            vec!["--mode-ro-executables", "--canonical-permissions", &overrides_arg],
            Modifier { executables: Executables::ReadOnly, stat_overrides, ..canonical },
        ),
    ];
    let dir = oracle.dir_arg("tree");
    for (args, modifier) in cases {
        let theirs = oracle.commit(&[&args[..], &[&*dir]].concat());
        let ours = commit(&MemStore::new(), &[&oracle.path("tree")], &mut modifier.clone(), &options());
        assert_eq!(ours, theirs, "{args:?}");

        // The same from a commit that holds everything.
        let theirs = oracle.commit(&[&*dir]);
        let theirs = oracle.commit(&[&args[..], &[&*format!("--tree=ref={theirs}")]].concat());
        let store = MemStore::new();
        let base = commit(&store, &[&oracle.path("tree")], &mut Modifier::default(), &options());
        let (mut tree, base) = (MutableTree::new(), load_commit(&store, &base).unwrap().root);
        add_commit(&store, &mut tree, base, &mut modifier.clone(), &Ctx::default()).unwrap();
        let root = tree.write(&store).unwrap();
        assert_eq!(write_commit(&store, root, &options()).unwrap(), theirs, "--tree=ref {args:?}");
    }
}

#[test]
fn trees_over_each_other() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new();
    let (tree, other) = (oracle.path("tree"), oracle.path("other"));
    fs::create_dir_all(other.join("usr/lib/new")).unwrap();
    fs::write(other.join("usr/lib/same-1"), "replaced").unwrap();
    set_xattr(&other, "usr", "user.other", b"replaced");
    let store = MemStore::new();
    let ours = commit(&store, &[&tree, &other], &mut Modifier::default(), &options());
    assert_eq!(ours, oracle.commit(&[&oracle.dir_arg("tree"), &oracle.dir_arg("other")]));

    // A commit over a directory.
    let theirs = oracle.commit(&[&oracle.dir_arg("other")]);
    let theirs = oracle.commit(&[&oracle.dir_arg("tree"), &format!("--tree=ref={theirs}")]);
    let over = commit(&store, &[&other], &mut Modifier::default(), &options());
    let mut tree = MutableTree::new();
    let (ctx, none) = (Ctx::default(), &mut Modifier::default());
    add_dir(&store, &mut tree, open(&oracle.path("tree")), none, &DirOptions::default(), &ctx).unwrap();
    add_commit(&store, &mut tree, load_commit(&store, &over).unwrap().root, none, &ctx).unwrap();
    let root = tree.write(&store).unwrap();
    assert_eq!(write_commit(&store, root, &options()).unwrap(), theirs);

    // What cannot be laid over each other.
    fs::create_dir_all(other.join("lib")).unwrap();
    let clash = add_dir(&store, &mut tree, open(&other), none, &DirOptions::default(), &ctx);
    assert!(matches!(clash, Err(Error::Usage(why)) if why == "Can't replace file with directory: lib"));
}

#[test]
fn metadata_in_order() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new();
    let tree = oracle.path("tree");
    let args = [
        "--add-metadata=z.list=['b','a']",
        "--add-metadata-string=version=1.0",
        "--add-metadata=a.number=uint64 7",
        "--bind-ref=b/z",
        "--bind-ref=a/z",
        "-s",
        "Subject",
        "-m",
        "Body\nof text",
    ];
    let metadata: Dict = [
        ("version".to_owned(), Value::from("1.0")),
        ("z.list".to_owned(), Value::strv(["b", "a"])),
        ("a.number".to_owned(), Value::from(7u64)),
    ]
    .into_iter()
    .collect();
    let store = MemStore::new();
    let mut options =
        CommitOptions { subject: "Subject".into(), body: "Body\nof text".into(), metadata, ..options() };
    for name in ["b/z", "a/z"] {
        options.bindings.as_mut().unwrap().refs.push(name.parse().unwrap());
    }
    let dir = oracle.dir_arg("tree");
    let plain = oracle.commit(&[&args[..], &[&*dir]].concat());
    assert_eq!(commit(&store, &[&tree], &mut Modifier::default(), &options), plain);

    options.bootable = Bootable::FromKernel;
    let bootable = oracle.commit(&[&args[..], &["--bootable", &*dir]].concat());
    assert_eq!(commit(&store, &[&tree], &mut Modifier::default(), &options), bootable);

    // Kept from the parent, without bindings.
    let parent = format!("--parent={bootable}");
    let keep = ["--keep-metadata=ostree.linux", "--keep-metadata=version", "--no-bindings"];
    let theirs = oracle.commit(&[&keep[..], &[&*parent, &*dir]].concat());
    let kept = CommitOptions {
        parent: Some(bootable),
        keep_metadata: vec!["ostree.linux".into(), "version".into()],
        timestamp: TIME_SECS,
        ..CommitOptions::default()
    };
    assert_eq!(commit(&store, &[&tree], &mut Modifier::default(), &kept), theirs);
}

#[test]
fn what_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ctx) = (MemStore::new(), Ctx::default());
    let try_dir = |modifier: &mut Modifier| {
        let mut tree = MutableTree::new();
        add_dir(&store, &mut tree, open(dir.path()), modifier, &DirOptions::default(), &ctx)
    };
    let list = SkipList::parse("/no\n/sub\n");
    let mut modifier = Modifier { skip: list, ..Modifier::default() };
    fs::create_dir(dir.path().join("sub")).unwrap();
    try_dir(&mut modifier).unwrap();
    assert_eq!(modifier.skip.unmatched().collect::<Vec<_>>(), ["/no"]);
    assert!(matches!(modifier.check_matched(), Err(Error::Usage(why)) if why == "Unmatched skip-list paths"));
    let stat_overrides = StatOverrides::parse("=7 /no\n8 /sub\n9 /nothing\n").unwrap();
    let mut modifier = Modifier { stat_overrides, ..Modifier::default() };
    try_dir(&mut modifier).unwrap();
    assert_eq!(modifier.stat_overrides.unmatched().collect::<Vec<_>>(), ["/nothing"]);
    assert!(
        matches!(modifier.check_matched(), Err(Error::Usage(why)) if why == "Unmatched statoverride paths")
    );
    assert!(StatOverrides::parse("=7 /a\n\n12\n").is_err_and(|e| e.offset == 7));

    run("mkfifo", &[dir.path().join("sub/pipe").to_str().unwrap()]);
    let result = try_dir(&mut Modifier::default());
    let text = "Not a regular file or symlink: /sub/pipe";
    assert!(matches!(result, Err(Error::Unsupported(why)) if why == text));

    ctx.cancel.cancel();
    assert!(matches!(try_dir(&mut Modifier::default()), Err(Error::Cancelled(_))));
}

#[test]
fn a_directory_is_consumed() {
    if !ready() {
        return;
    }
    let oracle = Oracle::new();
    let theirs = oracle.commit(&["--owner-uid=3", &oracle.dir_arg("tree")]);
    let (store, mut tree) = (MemStore::new(), MutableTree::new());
    let options_dir =
        DirOptions { source: SourceFate::Consume, sealing: Sealing::AsFinished, ..DirOptions::default() };
    let mut modifier = Modifier { uid: Some(3), ..Modifier::default() };
    let top = oracle.path("tree");
    let stats = add_dir(&store, &mut tree, open(&top), &mut modifier, &options_dir, &Ctx::default()).unwrap();
    assert_eq!((stats.dirs, stats.files), (14, 26));
    let root = tree.write(&store).unwrap();
    assert_eq!(write_commit(&store, root, &options()).unwrap(), theirs);
    assert_eq!(describe(&top, Detail::Plain).len(), 1);
}
