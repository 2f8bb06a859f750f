//! SELinux labels of layered images: those of the policy in the image, whatever the layers have.

use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::Image;
use ostree_rs::container::store;
use ostree_rs::format::{CommitId, RootDir};
use ostree_rs::store::{
    MemStore, ObjectRead, Reachable, Refs, TreeEntry, load_commit, load_dirmeta, lookup, walk_commit,
};

use super::{Item, dir, file, layer, name, new_layout, pull, pull_layers};

const CONFIG: &str = "SELINUX=enforcing\nSELINUXTYPE=targeted\n";
const CONTEXTS: &str = "/.*\tany\n/usr/bin(/.*)?\tbin\n/etc(/.*)?\tetc\n";
const SUBS: &str = "/usr/etc /etc\n";

fn policy(contexts: &str) -> Vec<Item> {
    let files = "etc/selinux/targeted/contexts/files/file_contexts";
    vec![file("etc/selinux/config", CONFIG), file(files, contexts), file(&format!("{files}.subs_dist"), SUBS)]
}

fn label(store: &MemStore, commit: &CommitId, path: &str) -> Option<String> {
    let root: RootDir = load_commit(store, commit).unwrap().root;
    let xattrs = match lookup(store, root, path).unwrap() {
        TreeEntry::File(id) => store.open_file(&id).unwrap().unwrap().header.xattrs,
        TreeEntry::Dir(dir) => load_dirmeta(store, &dir.meta).unwrap().xattrs,
    };
    let value = xattrs.get(b"security.selinux")?;
    Some(String::from_utf8(value.strip_suffix(b"\0").unwrap().to_vec()).unwrap())
}

fn layer_commits(store: &MemStore) -> Vec<CommitId> {
    let all = store.list().unwrap();
    all.iter().filter(|(name, _)| name.to_string().contains("container/blob")).map(|(_, id)| *id).collect()
}

/// No object of a layer's commit is there with one label in the layer and another in the image.
fn assert_shared(store: &MemStore, merged: &CommitId) {
    let mut seen = Reachable::default();
    walk_commit(store, merged, &mut seen, &mut |_| Ok(())).unwrap();
    for layer in layer_commits(store) {
        let mut of_layer = Reachable::default();
        walk_commit(store, &layer, &mut of_layer, &mut |_| Ok(())).unwrap();
        let strange: Vec<_> = of_layer.files.difference(&seen.files).collect();
        assert!(strange.is_empty(), "{strange:?}");
    }
}

#[test]
fn by_the_policy_in_the_image() {
    let labelled = Item { xattrs: vec![("security.selinux", b"old\0")], ..file("usr/bin/a", "a") };
    let (store, pulled) =
        pull_layers(&[&[dir("usr", 0o755), labelled], &policy(CONTEXTS), &[file("etc/new", "n")]]);
    let of = |path| label(&store, &pulled.commit, path);
    assert_eq!(of("usr/bin/a").as_deref(), Some("bin"));
    assert_eq!(of("usr/bin").as_deref(), Some("bin"));
    assert_eq!(of("usr/etc/new").as_deref(), Some("etc"));
    assert_eq!(of("usr").as_deref(), Some("any"));
    assert_eq!(of("").as_deref(), Some("any"));
    assert_shared(&store, &pulled.commit);
}

#[test]
fn without_a_policy_labels_stay() {
    let labelled = Item { xattrs: vec![("security.selinux", b"old\0")], ..file("usr/a", "a") };
    let (store, pulled) = pull_layers(&[&[labelled], &[file("usr/b", "b")]]);
    assert_eq!(label(&store, &pulled.commit, "usr/a").as_deref(), Some("old"));
    assert_eq!(label(&store, &pulled.commit, "usr/b"), None);
}

/// A layer on top of a commit is labeled as the commit says, or as the layer itself changes that.
#[test]
fn on_top_of_a_commit() {
    let (origin, system) = pull_layers(&[&policy(CONTEXTS), &[file("usr/bin/base", "b")]]);
    let temp = tempfile::tempdir().unwrap();
    for (n, (top, expected)) in [
        (vec![file("usr/bin/new", "n")], "bin"),
        (policy("/.*\tother\n").into_iter().chain([file("usr/bin/new", "n")]).collect(), "other"),
    ]
    .into_iter()
    .enumerate()
    {
        let layout = new_layout(&temp.path().join(n.to_string()));
        build(&origin, &system.commit, &layout, &BuildOptions::default(), &Ctx::default()).unwrap();
        let base = Image::fetch(&layout, &Default::default()).unwrap();
        super::add_layer(&layout, &base, &layer(&top));
        let store = MemStore::new();
        let pulled = pull(&layout, &store, "oci:x").unwrap();
        for path in ["usr/bin/new", "usr/bin/base"] {
            assert_eq!(label(&store, &pulled.commit, path).as_deref(), Some(expected), "{path}");
        }
        let stored = store::require(&store, &name("oci:x")).unwrap();
        assert_eq!(stored.base_commit(&store).unwrap(), system.commit);
    }
}
