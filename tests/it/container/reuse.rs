//! Pulls into a repository that has layers from before: what is fetched, and that a wrong hint harms nobody.

use std::fs;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use oci_spec::image::Descriptor;
use ostree_rs::base::{Ctx, ErrorKind, Kind};
use ostree_rs::container::blob::read_layer;
use ostree_rs::container::build::{BuildOptions, Layering, build, replace_detached_metadata};
use ostree_rs::container::image::{DiffId, Image, ImageSource, RawManifest, Result};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{PullOptions, Vouching};
use ostree_rs::format::variant::Dict;
use ostree_rs::format::{CommitId, FileId, ObjectName, ObjectType, RefSpec, RepoMode};
use ostree_rs::repo::Repo;
use ostree_rs::repo::fsck::{FsckOptions, OnCorruption};
use ostree_rs::repo::prune::{PruneOptions, Roots};
use ostree_rs::store::{
    CommitBytes, Completeness, Depth, MemStore, ObjectRead, Reachable, Refusal, TreeEntry, Txn, load_commit,
    lookup, walk_commit,
};
use ostree_rs::tar;
use tempfile::TempDir;

use super::debian::Debian;
use super::{dir, new_layout, pull};
use crate::oracle;

const UNVERIFIED: PullOptions<'static> =
    PullOptions { vouching: Vouching::Nobody, name: None, var: tar::Var::Factory };

/// A layout with an image `old` and, with one package upgraded, `new`; and a repository to pull them into.
struct Fixture {
    temp: TempDir,
    repo: Repo,
    old: CommitId,
    new: CommitId,
}

/// Counts the layers that are asked for.
struct Counting<'a> {
    source: &'a OciLayout,
    image: Image,
    fetched: Mutex<Vec<DiffId>>,
}

impl ImageSource for Counting<'_> {
    fn manifest(&self) -> Result<RawManifest> {
        self.source.manifest()
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let layers = self.image.layers()?;
        let layer = layers.iter().find(|layer| layer.descriptor.digest() == descriptor.digest());
        self.fetched.lock().unwrap().extend(layer.map(|layer| layer.diff_id));
        self.source.blob(descriptor)
    }
}

impl Fixture {
    fn new() -> Self {
        let (temp, store, mut debian) = (tempfile::tempdir().unwrap(), MemStore::new(), Debian::new());
        let layout = temp.path().join("layout");
        let build = |tag, commit: &CommitId, previous| {
            let layering = Layering::Packages { max_layers: NonZeroUsize::new(100).unwrap() };
            let options = BuildOptions { layering, previous, ..BuildOptions::default() };
            let dest = new_layout(&layout, Some(tag));
            build(&store, commit, &dest, &options, &Ctx::default()).unwrap();
            Image::fetch(&dest, &Default::default()).unwrap()
        };
        let old = debian.commit(&store);
        let first = build("old", &old, None);
        debian.upgrade("bash");
        let new = debian.commit(&store);
        build("new", &new, Some(first));
        let repo = temp.path().join("repo");
        fs::create_dir(&repo).unwrap();
        let repo = Repo::create(dir(&repo), RepoMode::BareUser, None).unwrap();
        Self { temp, repo, old, new }
    }

    fn repo_path(&self) -> PathBuf {
        self.temp.path().join("repo")
    }

    fn hint(&self) -> PathBuf {
        self.repo_path().join("tmp/cache/ostree-rs-layers")
    }

    fn layout(&self, tag: &str) -> OciLayout {
        OciLayout::open(dir(&self.temp.path().join("layout")), Some(tag)).unwrap()
    }

    fn layers(&self, tag: &str) -> Vec<DiffId> {
        let image = Image::fetch(&self.layout(tag), &Default::default()).unwrap();
        image.layers().unwrap().iter().map(|layer| layer.diff_id).collect()
    }

    /// What `new` has and `old` has not.
    fn changed(&self) -> Vec<DiffId> {
        let old = self.layers("old");
        let changed: Vec<_> = self.layers("new").into_iter().filter(|layer| !old.contains(layer)).collect();
        assert_eq!((changed.len(), changed[0]), (2, self.layers("new")[0]));
        changed
    }

    /// Pulls an image and lets the ref `TAG` name its commit; gives the layers that were fetched, in order.
    fn pull_with(&self, tag: &str, options: &PullOptions<'_>) -> Result<Vec<DiffId>> {
        let (layout, ctx) = (self.layout(tag), Ctx::default());
        let image = Image::fetch(&layout, &Default::default())?;
        let source = Counting { source: &layout, image, fetched: Mutex::default() };
        let options = PullOptions { name: Some(tag.parse().unwrap()), ..options.clone() };
        let pulled = pull(&source, &self.repo, &options, &ctx)?;
        assert_whole(&self.repo, &pulled.commit);
        let (order, mut fetched) = (self.layers(tag), source.fetched.into_inner().unwrap());
        fetched.sort_by_key(|layer| order.iter().position(|other| other == layer));
        Ok(fetched)
    }

    fn pull(&self, tag: &str) -> Vec<DiffId> {
        self.pull_with(tag, &UNVERIFIED).unwrap()
    }

    fn remove_ref(&self, name: &str) {
        let txn = self.repo.begin(&Ctx::default()).unwrap();
        txn.set_ref(&name.parse::<RefSpec>().unwrap(), None).unwrap();
        txn.commit(&Ctx::default()).unwrap();
    }

    fn prune(&self) {
        let options = PruneOptions { roots: Roots::Refs(Depth::All), ..PruneOptions::default() };
        self.repo.prune(&options, &Ctx::default()).unwrap();
    }

    /// A file of the package that is not upgraded.
    fn libc(&self) -> FileId {
        let root = load_commit(&self.repo, &self.old).unwrap().root;
        let found = lookup(&self.repo, root, "usr/lib/x86_64-linux-gnu/libc.so.6").unwrap();
        let TreeEntry::File(id) = found else { panic!("{found:?}") };
        id
    }

    fn object(&self, name: impl Into<ObjectName>) -> PathBuf {
        self.repo_path().join("objects").join(name.into().loose_path(RepoMode::BareUser))
    }

    /// Both programs find nothing wrong.
    fn assert_sound(&mut self) {
        let report = self.repo.fsck(&FsckOptions::default(), &mut |_| {}, &Ctx::default()).unwrap();
        report.result().unwrap();
        if oracle::need("ostree") {
            oracle::run("ostree", &["fsck", "-q", &format!("--repo={}", self.repo_path().display())]);
        }
    }
}

fn assert_whole(repo: &Repo, commit: &CommitId) {
    walk_commit(repo, commit, &mut Reachable::default(), &mut |name| {
        assert!(repo.contains(&name)?, "{name}");
        Ok(())
    })
    .unwrap();
    assert_eq!(repo.completeness(commit).unwrap(), Completeness::Complete);
}

fn hint_commits(hint: &Path) -> Vec<String> {
    let text = fs::read_to_string(hint).unwrap();
    text.lines().map(|line| line[..64].to_owned()).collect()
}

#[test]
fn only_layers_that_changed_are_fetched() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.pull("old"), fixture.layers("old"));
    assert_eq!(fixture.pull("old"), []);
    assert_eq!(fixture.pull("new"), fixture.changed());
    assert_eq!(fixture.pull("new"), []);
    assert_eq!(fixture.pull("old"), []);
    assert_eq!(hint_commits(&fixture.hint()), [fixture.old, fixture.new].map(|id| id.to_string()));
    // Nothing but the two commits came.
    let mut commits = Vec::new();
    fixture
        .repo
        .for_each_object(&mut |name| {
            commits.extend((name.kind == ObjectType::Commit).then_some(name.checksum));
            Ok(())
        })
        .unwrap();
    assert_eq!(commits.len(), 2);
    fixture.assert_sound();
}

#[test]
fn what_was_pruned_is_fetched_again() {
    let mut fixture = Fixture::new();
    fixture.pull("old");
    fixture.pull("new");
    fixture.remove_ref("old");
    fixture.prune();
    assert!(!fixture.repo.contains(&fixture.old.into()).unwrap());
    assert_eq!(fixture.pull("new"), []);
    assert_eq!(hint_commits(&fixture.hint()), [fixture.new.to_string()]);
    // Its other layers are those of the new one.
    let changed: Vec<_> =
        fixture.layers("old").into_iter().filter(|layer| !fixture.layers("new").contains(layer)).collect();
    assert_eq!(fixture.pull("old"), changed);

    fixture.remove_ref("old");
    fixture.remove_ref("new");
    if oracle::need("ostree") {
        let repo = format!("--repo={}", fixture.repo_path().display());
        oracle::run("ostree", &["prune", "--refs-only", &repo]);
    }
    fixture.prune();
    assert!(fixture.hint().exists());
    assert_eq!(fixture.pull("new"), fixture.layers("new"));
    assert_eq!(hint_commits(&fixture.hint()), [fixture.new.to_string()]);
    fixture.assert_sound();
}

/// Objects that nobody knows to be missing.
#[test]
fn a_wrong_hint_costs_time_only() {
    let mut fixture = Fixture::new();
    fixture.pull("old");
    let libc = fixture.object(fixture.libc());
    fs::remove_file(&libc).unwrap();
    // Layer 0 and a chunk, then all others.
    assert_eq!(fixture.pull("new"), fixture.layers("new"));
    // The same if no layer was to be fetched.
    fs::remove_file(&libc).unwrap();
    assert_eq!(fixture.pull("new"), fixture.layers("new"));
    let tree = load_commit(&fixture.repo, &fixture.new).unwrap().root.tree;
    fs::remove_file(fixture.object(tree)).unwrap();
    // The old one is whole, and tells of the layers that they share.
    assert_eq!(fixture.pull("new"), fixture.changed());
    fixture.assert_sound();

    // A commit of nothing that was pulled says that it has all layers, and the first one, too.
    let (old, new) = (fixture.old, fixture.new);
    fixture.remove_ref("new");
    fixture.prune();
    let all = |layers: Vec<DiffId>| layers.iter().map(|id| format!(" {}", id.checksum())).collect::<String>();
    fs::write(fixture.hint(), format!("{old}{}\n", all(fixture.layers("new")))).unwrap();
    assert_eq!(fixture.pull("new"), fixture.layers("new"));
    assert_eq!(hint_commits(&fixture.hint()), [new, old].map(|id| id.to_string()));
    fixture.assert_sound();
}

#[test]
fn a_hint_that_cannot_be_read_is_none() {
    let mut fixture = Fixture::new();
    fixture.pull("old");
    let (hint, all) = (fixture.hint(), fixture.layers("old"));
    let text = fs::read(&hint).unwrap();
    let garbled = [&text[..text.len() - 1], &[&text[..], b"x"].concat(), b"\xff\n", &text.repeat(3000)];
    for content in garbled {
        fs::write(&hint, content).unwrap();
        assert_eq!(fixture.pull("old"), all);
        assert_eq!(fs::read(&hint).unwrap(), text);
    }
    fs::remove_file(&hint).unwrap();
    fs::create_dir(&hint).unwrap();
    // Nor can it be written.
    assert_eq!(fixture.pull("old"), all);
    assert_eq!(fixture.pull("old"), all);
    fs::remove_dir(&hint).unwrap();
    fs::remove_dir_all(hint.parent().unwrap()).unwrap();
    assert_eq!(fixture.pull("old"), all);
    fixture.assert_sound();
}

#[test]
fn what_is_not_committed_is_not_remembered() {
    let fixture = Fixture::new();
    // A ref that cannot be written, when all layers are there.
    fs::write(fixture.repo_path().join("refs/heads/old"), "").unwrap();
    let options = PullOptions { name: Some("old/below".parse().unwrap()), ..UNVERIFIED };
    pull(&fixture.layout("old"), &fixture.repo, &options, &Ctx::default()).unwrap_err();
    assert!(!fixture.hint().exists());
    fs::remove_file(fixture.repo_path().join("refs/heads/old")).unwrap();
    fixture.pull("old");
    assert!(fixture.hint().exists());
}

#[test]
fn damage_that_fsck_finds_is_repaired() {
    let mut fixture = Fixture::new();
    fixture.pull("old");
    fixture.pull("new");
    let libc = fixture.object(fixture.libc());
    let mut content = fs::read(&libc).unwrap();
    content[1000] ^= 1;
    fs::write(&libc, content).unwrap();
    let options = FsckOptions { corrupt: OnCorruption::Delete, ..FsckOptions::default() };
    fixture.repo.fsck(&options, &mut |_| {}, &Ctx::default()).unwrap().result().unwrap_err();
    assert_eq!(fixture.repo.completeness(&fixture.new).unwrap(), Completeness::PartialByFsck);
    assert_eq!(fixture.pull("new"), fixture.layers("new"));
    // The other one, too, is not whole by what is known of it.
    assert_eq!(hint_commits(&fixture.hint()), [fixture.new.to_string()]);
    assert_eq!(fixture.pull("old").len(), 2);
    fixture.assert_sound();
}

/// Who vouches is asked about a commit that is there as about one that is fetched.
#[test]
fn a_commit_that_is_there_is_vouched_for() {
    let fixture = Fixture::new();
    let mut signed = Dict::new();
    signed.insert("signed", true);
    let dest = new_layout(&fixture.temp.path().join("layout"), Some("signed"));
    let signed = signed.to_bytes();
    replace_detached_metadata(&fixture.layout("old"), &dest, Some(&signed), &Ctx::default()).unwrap();

    let (asked, accepted) = (AtomicUsize::new(0), AtomicBool::new(true));
    let verify = |commit: &CommitBytes<'_>| -> Result<(), Refusal> {
        assert_eq!(commit.id, fixture.old);
        asked.fetch_add(1, Relaxed);
        match accepted.load(Relaxed) && commit.detached == Some(&signed[..]) {
            true => Ok(()),
            false => Err("no".into()),
        }
    };
    let options = PullOptions { vouching: Vouching::By(&verify), ..UNVERIFIED };
    let pull = |tag| fixture.pull_with(tag, &options);
    // Without a signature: refused also if all of it is there.
    fixture.pull("old");
    assert_eq!(pull("old").unwrap_err().kind(), ErrorKind::Refused);
    // The signature is another first layer; and it stays.
    let layers = fixture.layers("signed");
    assert_eq!(pull("signed").unwrap(), layers[..1]);
    asked.store(0, Relaxed);
    assert_eq!(pull("signed").unwrap(), []);
    assert_eq!(asked.load(Relaxed), 1);
    accepted.store(false, Relaxed);
    assert_eq!(pull("signed").unwrap_err().kind(), ErrorKind::Refused);
    accepted.store(true, Relaxed);
    // The image has it, if the repository lost it.
    fixture.repo.set_detached(&fixture.old, &Dict::new()).unwrap();
    assert_eq!(pull("signed").unwrap(), layers[..1]);
    assert_eq!(pull("signed").unwrap(), []);
}

/// Of an image with layers by others the commit's are not fetched again.
#[test]
fn plain_layers_are_always_fetched() {
    let mut fixture = Fixture::new();
    let add = |base: &str, tag: &str, content: &str| {
        let image = Image::fetch(&fixture.layout(base), &Default::default()).unwrap();
        let dest = new_layout(&fixture.temp.path().join("layout"), Some(tag));
        let files = [crate::image_store::file("usr/added", content)];
        crate::image_store::add_layer(&dest, &image, &crate::image_store::layer(&files));
    };
    add("old", "derived", "1");
    add("derived", "twice", "2");
    add("new", "derived-new", "1");
    assert_eq!(fixture.pull("derived"), fixture.layers("derived"));
    assert_eq!(hint_commits(&fixture.hint()), [fixture.old.to_string()]);
    let count = fixture.layers("old").len();
    assert_eq!(fixture.pull("derived"), fixture.layers("derived")[count..]);
    assert_eq!(fixture.pull("twice"), fixture.layers("twice")[count..]);
    assert_eq!(fixture.pull("old"), []);
    let expected = [fixture.changed(), fixture.layers("derived-new")[count..].to_vec()].concat();
    assert_eq!(fixture.pull("derived-new"), expected);

    // A chunk once more, where it is a layer as any other.
    let (old, mut tar) = (fixture.layout("old"), Vec::new());
    let image = Image::fetch(&old, &Default::default()).unwrap();
    let chunk = &image.layers().unwrap()[count - 1];
    read_layer(&old, &chunk.descriptor, &chunk.diff_id, &Ctx::default(), |stream| {
        stream.read_to_end(&mut tar).unwrap();
        Ok(())
    })
    .unwrap();
    let dest = new_layout(&fixture.temp.path().join("layout"), Some("odd"));
    crate::image_store::add_layer(&dest, &image, &tar);
    assert_eq!(fixture.layers("odd")[count..], [chunk.diff_id]);
    assert_eq!(fixture.pull("odd"), [chunk.diff_id]);
    fixture.assert_sound();
}
