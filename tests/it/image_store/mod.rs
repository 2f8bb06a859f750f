//! The image store: layered images into repositories, beside ostree-ext's results and those of umoci.

mod archives;
mod buildah;
mod claims;
mod convert;
mod documents;
mod fixtures;
mod labels;
mod layer_links;
mod layers;
mod maintain;
mod modes;
mod podman;
mod podman_clones;
mod reexport;
mod umoci;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use oci_spec::image::{
    ConfigBuilder, ImageConfigurationBuilder, ImageManifestBuilder, MediaType, RootFsBuilder,
};
use ostree_rs::base::Ctx;
use ostree_rs::container::blob::write_layer;
use ostree_rs::container::image::{
    Compression, Digest, Image, ImageDest, ImageReference, ImageSource, RawManifest, Result, put_json,
};
use ostree_rs::container::place::OciLayout;
use ostree_rs::container::pull::{self, PullOptions, PulledImage, StoreOptions, Vouching};
use ostree_rs::container::trust::Admitted;
use ostree_rs::format::{CommitId, FileKind, RootDir};
use ostree_rs::store::{MemStore, ObjectRead, load_commit, load_dirmeta, load_dirtree};
use tempfile::TempDir;

/// One entry of a layer.
#[derive(Clone)]
pub(super) struct Item {
    path: String,
    kind: tar::EntryType,
    mode: u32,
    owner: u64,
    link: String,
    content: Vec<u8>,
    mtime: u64,
    xattrs: Vec<(&'static str, &'static [u8])>,
}

fn item(path: &str, kind: tar::EntryType, mode: u32) -> Item {
    let (path, link, content, xattrs) = (path.to_owned(), String::new(), Vec::new(), Vec::new());
    Item { path, kind, mode, owner: 0, link, content, mtime: 1_700_000_000, xattrs }
}

pub(super) fn dir(path: &str, mode: u32) -> Item {
    item(path, tar::EntryType::Directory, mode)
}

pub(super) fn file(path: &str, content: &str) -> Item {
    Item { content: content.into(), ..item(path, tar::EntryType::Regular, 0o644) }
}

pub(super) fn link(path: &str, target: &str) -> Item {
    Item { link: target.into(), ..item(path, tar::EntryType::Link, 0o644) }
}

pub(super) fn symlink(path: &str, target: &str) -> Item {
    Item { link: target.into(), ..item(path, tar::EntryType::Symlink, 0o777) }
}

/// The stream of a layer.
pub(super) fn layer(items: &[Item]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for item in items {
        let records: Vec<_> =
            item.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), *value)).collect();
        if !records.is_empty() {
            tar.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), *value))).unwrap();
        }
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(item.kind);
        header.set_mode(item.mode);
        header.set_uid(item.owner);
        header.set_gid(item.owner);
        header.set_mtime(item.mtime);
        header.set_size(item.content.len() as u64);
        if item.kind == tar::EntryType::Char {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        match item.link.as_str() {
            "" => tar.append_data(&mut header, &item.path, &*item.content).unwrap(),
            // The path may be longer than the header's field; the target is kept as it is.
            target => {
                tar.append_link(&mut header, &item.path, target).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

/// The stream of a layer with everything that is special in layers.
pub(crate) fn hard_layer() -> Vec<u8> {
    let object = format!("sysroot/ostree/repo/objects/ab/{}.file", "cd".repeat(31));
    layer(&[
        dir("usr", 0o755),
        link("usr/a", "/usr/z"),
        link("usr/object", &object),
        file(&object, "changed"),
        file("usr/z", "z"),
        file("usr/.wh.x", ""),
        file("usr/o/.wh..wh..opq", ""),
        file("etc/conf", "c"),
        file("var/state", "s"),
        file("opt/app", "a"),
        link("usr/lower", "usr/elsewhere"),
        symlink("usr/s", "z"),
    ])
}

/// Writes an image of these layers into a layout.
pub(super) fn put_image(dest: &dyn ImageDest, layers: &[Vec<u8>], labels: &[(&str, &str)]) -> Digest {
    let compression = Compression::GZIP;
    let written: Vec<_> = layers
        .iter()
        .map(|tar| {
            let write = |out: &mut dyn std::io::Write| -> Result<()> {
                out.write_all(tar).unwrap();
                Ok(())
            };
            write_layer(dest, compression, &Ctx::default(), write).unwrap().1
        })
        .collect();
    let diff_ids: Vec<_> = written.iter().map(|layer| layer.diff_id.to_string()).collect();
    let labels: std::collections::HashMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let config = ImageConfigurationBuilder::default()
        .architecture(oci_spec::image::Arch::default())
        .os("linux")
        .created("2024-05-06T07:08:09Z")
        .config(ConfigBuilder::default().labels(labels).build().unwrap())
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().unwrap())
        .build()
        .unwrap();
    let config = put_json(dest, MediaType::ImageConfig, &config).unwrap();
    let entries: Vec<_> = written
        .iter()
        .map(|layer| layer.digest.descriptor(compression.media_type(), layer.size_bytes).unwrap())
        .collect();
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(entries)
        .build()
        .unwrap();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, None).unwrap();
    digest
}

/// Puts a layer on top of an image, as builds do.
pub(super) fn add_layer(dest: &dyn ImageDest, base: &Image, tar: &[u8]) {
    let write = |out: &mut dyn std::io::Write| -> Result<()> {
        out.write_all(tar).unwrap();
        Ok(())
    };
    let ((), written) = write_layer(dest, Compression::GZIP, &Ctx::default(), write).unwrap();
    let (mut manifest, mut config) = (base.manifest.clone(), base.config.clone());
    config.rootfs_mut().diff_ids_mut().push(written.diff_id.to_string());
    manifest.set_config(put_json(dest, MediaType::ImageConfig, &config).unwrap());
    let layer = written.digest.descriptor(MediaType::ImageLayerGzip, written.size_bytes).unwrap();
    manifest.layers_mut().push(layer);
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes);
    dest.put_manifest(&RawManifest { bytes, media_type: MediaType::ImageManifest, digest }, None).unwrap();
}

pub(super) fn new_layout(path: &Path) -> OciLayout {
    std::fs::create_dir_all(path).unwrap();
    OciLayout::create(crate::container::dir(path), Some("x")).unwrap()
}

pub(super) fn name(text: &str) -> ImageReference {
    text.parse().unwrap()
}

pub(super) fn unverified() -> StoreOptions<'static> {
    let pull = PullOptions { vouching: Vouching::Nobody, ..PullOptions::default() };
    StoreOptions { pull, ..StoreOptions::default() }
}

/// Pulls what a layout has into a store in memory.
pub(super) fn pull(source: &dyn ImageSource, into: &MemStore, target: &str) -> Result<PulledImage> {
    pull::pull_image(&Admitted::unjudged(source)?, into, &name(target), &unverified(), &Ctx::default())
}

/// Pulls an image of these plain layers.
pub(super) fn pull_layers(layers: &[&[Item]]) -> (MemStore, PulledImage) {
    let temp = tempfile::tempdir().unwrap();
    let layout = new_layout(temp.path());
    let layers: Vec<_> = layers.iter().map(|items| layer(items)).collect();
    put_image(&layout, &layers, &[]);
    let into = MemStore::new();
    let pulled = pull(&layout, &into, "oci:x").unwrap();
    (into, pulled)
}

/// Every path of a commit, and what is there: mode, owner, and the content or link target.
pub(super) fn describe(store: &MemStore, commit: &CommitId) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![(String::new(), load_commit(store, commit).unwrap().root)];
    while let Some((path, dir)) = todo.pop() {
        let meta = load_dirmeta(store, &dir.meta).unwrap();
        let xattrs = if meta.xattrs.is_empty() { "" } else { " xattrs" };
        out.insert(format!("{path}/"), format!("{:o} {}{xattrs}", meta.mode & 0o7777, meta.uid));
        let tree = load_dirtree(store, &dir.tree).unwrap();
        for (name, id) in &tree.files {
            let mut object = store.open_file(id).unwrap().unwrap();
            let header = object.header.clone();
            let mut content = String::new();
            std::io::Read::read_to_string(&mut object, &mut content).unwrap();
            let what = match &header.kind {
                FileKind::Symlink(target) => format!("-> {target}"),
                FileKind::Regular => format!("{:o} {} {content}", header.permissions, header.uid),
            };
            out.insert(format!("{path}/{name}"), what);
        }
        for (name, entry) in &tree.dirs {
            todo.push((format!("{path}/{name}"), RootDir { tree: entry.tree, meta: entry.meta }));
        }
    }
    out
}

/// A directory for tests with the program.
pub(super) struct Work(pub(super) TempDir);

impl Work {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn start(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostree-rs"));
        command.args(args).current_dir(self.0.path()).env("HOME", self.0.path()).env_remove("OSTREE_REPO");
        command.env("OSTREE_EXP_WRITE_BARE_SPLIT_XATTRS", "1");
        command.env("CONTAINERS_REGISTRIES_CONF", "/dev/null").output().unwrap()
    }

    pub(super) fn ok(&self, args: &[&str]) -> String {
        let out = self.start(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    /// Standard error of a call that must fail.
    pub(super) fn refused(&self, args: &[&str]) -> String {
        let out = self.start(args);
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        String::from_utf8(out.stderr).unwrap()
    }
}
