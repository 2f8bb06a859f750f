//! Reads deltas by the crate `oci-delta`.
//!
//! ```text
//! oci-delta-reader stream DELTA OLD NEW      the tar stream NEW that a tar-diff stream makes of the files in OLD
//! oci-delta-reader artifact LAYOUT OLD NEW   NEW/DIFFID, each layer that the artifact in an OCI layout brings, verified
//! ```

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use oci_delta::{
    BlobStream, BlobStreamFuture, DeltaBlobReader, DeltaDataSource, parse_delta_manifest,
    reconstruct_layer_to, tar_patch_apply,
};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["stream", delta, old, new] => {
            let mut out = File::create(new)?;
            tar_patch_apply(File::open(delta)?, &mut Tree::new(old), &mut out)
        }
        ["artifact", layout, old, new] => artifact(Path::new(layout), old, Path::new(new)),
        _ => bail!("stream DELTA OLD NEW, or artifact LAYOUT OLD NEW"),
    }
}

fn artifact(layout: &Path, old: &str, new: &Path) -> Result<()> {
    let index = ImageIndex::from_file(layout.join("index.json"))?;
    let [only] = &index.manifests()[..] else { bail!("several manifests") };
    let blobs = Blobs(layout.join("blobs/sha256"));
    let manifest = ImageManifest::from_reader(blobs.open(only)?)?;
    ensure!(oci_delta::is_delta_artifact(&manifest), "no delta");
    let parsed = futures_executor::block_on(parse_delta_manifest(&manifest, &blobs))?;
    let diff_ids = parsed.target_config.rootfs().diff_ids();
    for (layer, diff_id) in parsed.target_manifest.layers().iter().zip(diff_ids) {
        let Some(blob) = parsed.delta_layer_by_to.get(layer.digest()) else { continue };
        let mut out = File::create(new.join(diff_id.replace(':', "-")))?;
        let (stream, expected) = (blobs.open(blob)?, diff_id.parse()?);
        reconstruct_layer_to(stream, blob.media_type(), &mut Tree::new(old), &expected, &mut out)?;
        println!("{diff_id}");
    }
    Ok(())
}

/// The blobs of a layout.
struct Blobs(PathBuf);

impl Blobs {
    fn open(&self, descriptor: &Descriptor) -> Result<File> {
        let digest = descriptor.digest().to_string();
        let hex = digest.strip_prefix("sha256:").context("not SHA-256")?;
        Ok(File::open(self.0.join(hex))?)
    }
}

impl DeltaBlobReader for Blobs {
    fn open_blob(&self, descriptor: &Descriptor) -> BlobStreamFuture<'_> {
        let opened = self.open(descriptor).map(|file| Box::new(file) as Box<dyn BlobStream>);
        Box::pin(std::future::ready(opened))
    }
}

/// The files of a directory.
struct Tree {
    root: PathBuf,
    current: Option<File>,
}

impl Tree {
    fn new(root: &str) -> Self {
        Self { root: root.into(), current: None }
    }

    fn file(&mut self) -> Result<&mut File> {
        self.current.as_mut().context("no file")
    }
}

impl DeltaDataSource for Tree {
    fn set_current_file(&mut self, path: &str) -> Result<()> {
        let path = Path::new(path);
        ensure!(path.components().all(|part| matches!(part, Component::Normal(_))), "path {path:?}");
        let path = self.root.join(path);
        ensure!(fs::symlink_metadata(&path)?.is_file(), "{path:?} is no file");
        self.current = Some(File::open(path)?);
        Ok(())
    }

    fn read_exact_current(&mut self, buf: &mut [u8]) -> Result<()> {
        Ok(self.file()?.read_exact(buf)?)
    }

    fn seek_current(&mut self, offset: u64) -> Result<u64> {
        Ok(self.file()?.seek(SeekFrom::Start(offset))?)
    }

    fn read_current_to_end(&mut self, max_size: u64) -> Result<Vec<u8>> {
        let file = self.file()?;
        ensure!(file.metadata()?.len() <= max_size, "too large");
        let mut all = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut all)?;
        Ok(all)
    }

    fn copy_to(&mut self, dst: &mut dyn Write, n: u64) -> Result<()> {
        let copied = std::io::copy(&mut self.file()?.take(n), dst)?;
        ensure!(copied == n, "{copied} bytes instead of {n}");
        Ok(())
    }
}
