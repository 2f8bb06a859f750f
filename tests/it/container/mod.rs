//! Images: what they are called, where they lie, how layers are compressed.

mod archives;
mod builds;
mod chunked;
mod chunks;
mod debian;
pub(crate) mod deltas;
mod disk;
mod indexes;
mod interrupted;
mod layers;
mod layouts;
mod on_base;
mod platforms;
mod policies;
mod pulls;
mod references;
mod reuse;
mod rpms;
mod transports;

use std::io::Read;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use oci_spec::image::{ImageConfigurationBuilder, ImageManifestBuilder, MediaType, RootFsBuilder};
use ostree_rs::base::Ctx;
use ostree_rs::container;
use ostree_rs::container::blob::{WrittenLayer, write_layer};
use ostree_rs::container::image::{
    Compression, Digest, ImageDest, ImageSource, PlatformName, RawManifest, Result, put_json,
};
use ostree_rs::container::place::{OciLayout, OnePlatform};
use ostree_rs::container::pull::{PullOptions, Pulled};
use ostree_rs::container::trust::Admitted;
use ostree_rs::store::Begin;

pub(crate) fn dir(path: &Path) -> Dir {
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

/// Pulls what `source` has now, which nobody has judged.
pub(crate) fn pull(
    source: &dyn ImageSource,
    store: &dyn Begin,
    options: &PullOptions<'_>,
    ctx: &Ctx,
) -> Result<Pulled> {
    let one = OnePlatform::new(source, PlatformName::default());
    container::pull::pull(&Admitted::unjudged(&one)?, store, options, ctx)
}

/// The folder of an OCI layout somewhere below `root`.
fn find_layout(root: &Path) -> PathBuf {
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        if folder.join("oci-layout").exists() {
            return folder;
        }
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        todo.extend(entries.filter(|path| path.is_dir()));
    }
    panic!("no layout in {}", root.display());
}

/// Bytes that compress somewhat, from a generator that needs no crate.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    while out.len() < len {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let word = format!("{} ", (seed >> 33) % 5000);
        out.extend_from_slice(word.as_bytes());
        if seed >> 60 == 0 {
            out.extend_from_slice(&seed.to_le_bytes().repeat(3));
        }
    }
    out.truncate(len);
    out
}

/// A tar archive with one file, without its end.
fn small_tar(content: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, "hello", content).unwrap();
    tar.into_inner().unwrap()
}

fn put_layer(dest: &dyn ImageDest, compression: Compression, tar: &[u8], ctx: &Ctx) -> WrittenLayer {
    let written: Result<((), WrittenLayer)> = write_layer(dest, compression, ctx, |out| {
        // Pieces of odd sizes: how the stream is cut must not show.
        for piece in tar.chunks(7919) {
            out.write_all(piece).unwrap();
        }
        Ok(())
    });
    written.unwrap().1
}

/// Writes an image of one layer.
fn put_image(dest: &dyn ImageDest, compression: Compression, tar: &[u8]) -> (RawManifest, WrittenLayer) {
    let layer = put_layer(dest, compression, tar, &Ctx::default());
    let rootfs =
        RootFsBuilder::default().typ("layers").diff_ids(vec![layer.diff_id.to_string()]).build().unwrap();
    let config = ImageConfigurationBuilder::default()
        .architecture("amd64")
        .os("linux")
        .rootfs(rootfs)
        .build()
        .unwrap();
    let config = put_json(dest, MediaType::ImageConfig, &config).unwrap();
    let layer_entry = layer.digest.descriptor(compression.media_type(), layer.size_bytes).unwrap();
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(vec![layer_entry])
        .build()
        .unwrap();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let digest = Digest::of(&bytes);
    let manifest = RawManifest { bytes, media_type: MediaType::ImageManifest, digest };
    dest.put_manifest(&manifest, None).unwrap();
    (manifest, layer)
}

fn new_layout(path: &Path, tag: Option<&str>) -> OciLayout {
    std::fs::create_dir_all(path).unwrap();
    OciLayout::create(dir(path), tag).unwrap()
}

fn blob_bytes(source: &dyn ImageSource, layer: &WrittenLayer, media_type: MediaType) -> Vec<u8> {
    let mut out = Vec::new();
    let descriptor = layer.digest.descriptor(media_type, layer.size_bytes).unwrap();
    source.blob(&descriptor).unwrap().read_to_end(&mut out).unwrap();
    out
}
