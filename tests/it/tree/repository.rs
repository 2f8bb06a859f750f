//! Commits into repositories of every mode: C ostree finds the same objects, and hard links save the reading.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::format::{CommitId, RefName, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::store::{Modifier, MutableTree, Txn, local_ref};
use ostree_rs::tree::{
    CommitOptions, DevInoTrust, DirOptions, RefBindings, Sealing, TreeStats, add_dir, write_commit,
};

use super::fixture::{hard_tree, ready};
use crate::oracle::run;

const TIME: &str = "--timestamp=2024-01-02 03:04:05 +0000";
const MODES: [RepoMode; 4] = [RepoMode::Bare, RepoMode::BareUser, RepoMode::BareUserOnly, RepoMode::Archive];

struct Pair {
    dir: tempfile::TempDir,
}

/// Whether the cache of hard links is used, and how far it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speedup {
    None,
    Links(DevInoTrust),
}

impl Pair {
    fn new(mode: RepoMode) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let this = Self { dir };
        for repo in ["ours", "theirs"] {
            run("ostree", &[&this.arg(repo), "init", &format!("--mode={mode}")]);
        }
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn arg(&self, repo: &str) -> String {
        format!("--repo={}", self.path(repo).display())
    }

    fn theirs(&self, tree: &Path, args: &[&str]) -> (CommitId, u64) {
        let (repo, tree) = (self.arg("theirs"), format!("--tree=dir={}", tree.display()));
        let all =
            [&[&*repo, "commit", "-b", "x", "--parent=none", TIME, "--table-output", &tree], args].concat();
        let text = String::from_utf8(run("ostree", &all)).unwrap();
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        (field("Commit:").parse().unwrap(), field("Content Cache Hits:").parse().unwrap())
    }

    fn ours(&self, tree: &Path, mut modifier: Modifier, speedup: Speedup) -> (CommitId, TreeStats) {
        let dir = Dir::open_ambient_dir(self.path("ours"), ambient_authority()).unwrap();
        let (repo, ctx) = (Repo::open(dir).unwrap(), Ctx::default());
        let cache = repo.devino_cache().unwrap();
        let mut options = DirOptions { sealing: Sealing::AsFinished, ..DirOptions::default() };
        if let Speedup::Links(trust) = speedup {
            options = DirOptions { devino: Some(&cache), trust, ..options };
        }
        let (txn, mut mutable) = (repo.begin(&ctx).unwrap(), MutableTree::new());
        let top = fs::File::open(tree).unwrap().into();
        let stats = add_dir(&txn, &mut mutable, top, &mut modifier, &options, &ctx).unwrap();
        let root = mutable.write(&txn).unwrap();
        let name: RefName = "x".parse().unwrap();
        let bindings = Some(RefBindings { refs: vec![name.clone().into()], collection: None });
        let options = CommitOptions { timestamp: 1_704_164_645, bindings, ..CommitOptions::default() };
        let id = write_commit(&txn, root, &options).unwrap();
        txn.set_ref(&local_ref(name), Some(id)).unwrap();
        txn.commit(&ctx).unwrap();
        (id, stats)
    }
}

/// Name, size, owner and mode of every object.
fn objects(repo: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for dir in fs::read_dir(repo.join("objects")).unwrap() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let meta = fs::symlink_metadata(file.path()).unwrap();
            // The two compress differently.
            let len = if repo_is_archive(&file.path()) { 0 } else { meta.len() };
            let path = file.path().strip_prefix(repo).unwrap().to_owned();
            let (mode, old) = (meta.mode(), meta.mtime() == 0);
            out.push(format!("{} {len} {mode:o} {}:{} {old}", path.display(), meta.uid(), meta.gid()));
        }
    }
    out.sort();
    out
}

fn repo_is_archive(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "filez")
}

#[test]
fn every_mode_keeps_the_same_objects() {
    if !ready() {
        return;
    }
    for mode in MODES {
        let pair = Pair::new(mode);
        let tree = pair.path("tree");
        hard_tree(&tree);
        let (theirs, _) = pair.theirs(&tree, &[]);
        let (ours, _) = pair.ours(&tree, Modifier::default().for_mode(mode), Speedup::None);
        assert_eq!(ours, theirs, "{mode}");
        assert_eq!(objects(&pair.path("ours")), objects(&pair.path("theirs")), "{mode}");
        run("ostree", &[&pair.arg("ours"), "fsck"]);
    }
}

#[test]
fn hard_links_are_not_read() {
    if !ready() {
        return;
    }
    let with_owner = Modifier { uid: Some(9), ..Modifier::default() };
    for mode in [RepoMode::Bare, RepoMode::BareUser] {
        let pair = Pair::new(mode);
        let tree = pair.path("tree");
        hard_tree(&tree);
        pair.theirs(&tree, &[]);
        pair.ours(&tree, Modifier::default(), Speedup::None);
        let user: &[&str] = if mode == RepoMode::BareUser { &["-U"] } else { &[] };
        for repo in ["ours", "theirs"] {
            let dest = pair.path(&format!("{repo}-checkout"));
            run("ostree", &[&[&*pair.arg(repo), "checkout", "x", dest.to_str().unwrap()], user].concat());
            fs::write(dest.join("usr/lib/new"), "new").unwrap();
            fs::remove_file(dest.join("usr/lib/same-1")).unwrap();
            fs::write(dest.join("usr/lib/same-1"), "changed").unwrap();
        }
        let cases = [
            (vec!["--link-checkout-speedup"], Modifier::default(), DevInoTrust::Content),
            (vec!["-I"], Modifier::default(), DevInoTrust::Everything),
            (vec!["--link-checkout-speedup", "--owner-uid=9"], with_owner.clone(), DevInoTrust::Content),
            (vec!["-I", "--owner-uid=9"], with_owner.clone(), DevInoTrust::Everything),
        ];
        for (args, modifier, trust) in cases {
            let (theirs, hits) = pair.theirs(&pair.path("theirs-checkout"), &args);
            let (ours, stats) = pair.ours(&pair.path("ours-checkout"), modifier, Speedup::Links(trust));
            assert_eq!((ours, stats.cache_hits), (theirs, hits), "{mode} {args:?}");
        }
        // And without the cache nothing but the reading is different.
        if mode == RepoMode::Bare {
            let (slow, stats) = pair.ours(&pair.path("ours-checkout"), with_owner.clone(), Speedup::None);
            assert_eq!(stats.cache_hits, 0);
            let links = Speedup::Links(DevInoTrust::Content);
            assert_eq!(pair.ours(&pair.path("ours-checkout"), with_owner.clone(), links).0, slow);
        }
    }
}
