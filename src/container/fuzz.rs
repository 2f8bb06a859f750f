//! The bodies of the fuzz targets: they return, whatever a layer, an image or a reference to one is.

use std::collections::HashMap;
use std::io::{self, Read};

use oci_spec::image::{Arch, Descriptor, ImageManifest, MediaType};
use ostree_format::fuzz::FuzzTarget;

use crate::base::Ctx;
use crate::container::blob::read_layer;
use crate::container::build::chunks;
use crate::container::delta::{ApplyLimits, OldFile, OldFiles, apply};
use crate::container::image::{
    DiffId, Digest, Error, Image, ImageReference, ImageSource, OstreeImageReference, RawManifest, Result,
};
use crate::container::place::index;

/// The fuzz targets of this module, by name.
pub const TARGETS: [FuzzTarget; 6] = [
    ("layer", layer),
    ("image", image),
    ("image_delta", image_delta),
    ("image_index", image_index),
    ("image_reference", image_reference),
    ("packages", packages),
];

/// An image in memory.
#[derive(Default)]
struct Memory {
    manifest: Vec<u8>,
    blobs: HashMap<String, Vec<u8>>,
}

impl Memory {
    fn put(&mut self, media_type: MediaType, bytes: &[u8]) -> Result<Descriptor> {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest.to_string(), bytes.to_vec());
        digest.descriptor(media_type, bytes.len() as u64)
    }
}

impl ImageSource for Memory {
    fn manifest(&self) -> Result<RawManifest> {
        let digest = Digest::of(&self.manifest);
        Ok(RawManifest { bytes: self.manifest.clone(), media_type: MediaType::ImageManifest, digest })
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let blob = self.blobs.get(&digest.to_string()).ok_or(Error::BlobNotFound(digest))?;
        Ok(Box::new(io::Cursor::new(blob.clone())))
    }
}

/// A layer whose digest is right: the first byte says what its media type is. What comes out of it has the
/// diffid that is reported.
pub fn layer(data: &[u8]) {
    let Some((kind, blob)) = data.split_first() else { return };
    let media_type = match kind % 3 {
        0 => MediaType::ImageLayer,
        1 => MediaType::ImageLayerGzip,
        _ => MediaType::ImageLayerZstd,
    };
    let mut source = Memory::default();
    let Ok(descriptor) = source.put(media_type, blob) else { return };
    let mut seen = Vec::new();
    let read = |diff_id: DiffId, seen: &mut Vec<u8>| {
        read_layer(&source, &descriptor, &diff_id, &Ctx::default(), |stream| {
            // Whatever a small input grows to, some of it is enough to keep.
            stream.take(1 << 20).read_to_end(seen).map_err(Error::io("read", "layer"))
        })
    };
    let Err(Error::DiffIdMismatch { actual, .. }) = read(DiffId::new(*Digest::of(b"").checksum()), &mut seen)
    else {
        return;
    };
    let mut again = Vec::new();
    assert_eq!(read(actual, &mut again).ok(), Some(seen.len()));
    assert_eq!(again, seen);
    if seen.len() < 1 << 20 {
        assert_eq!(actual.checksum(), Digest::of(&seen).checksum());
    }
}

/// A manifest and, behind a NUL, a configuration, as if the manifest had the digest of that.
pub fn image(data: &[u8]) {
    let at = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (manifest, config) = data.split_at(at);
    let mut source = Memory { manifest: manifest.to_vec(), ..Memory::default() };
    if let Ok(mut manifest) = serde_json::from_slice::<ImageManifest>(manifest)
        && let Ok(descriptor) = source.put(MediaType::ImageConfig, config.get(1..).unwrap_or_default())
    {
        manifest.set_config(descriptor);
        source.manifest = serde_json::to_vec(&manifest).unwrap_or_default();
    }
    let Ok(image) = Image::fetch(&source, &Arch::Amd64) else { return };
    let Ok(plan) = image.plan() else { return };
    let layers = image.layers().map_or(0, |layers| layers.len());
    assert_eq!(layers, plan.layers.len());
}

/// The records of a delta, whose first byte tells the version, from a tree with one file.
pub fn image_delta(data: &[u8]) {
    let Some((version, records)) = data.split_first() else { return };
    let Ok(records) = zstd::encode_all(records, 1) else { return };
    let magic = if version % 2 == 0 { b"tardf1\n\0" } else { b"tardf2\n\0" };
    let (limits, mut made) = (ApplyLimits { max_bytes: 1 << 20 }, Vec::new());
    let delta = [&magic[..], &records].concat();
    let applied = apply(&delta[..], &OneFile, &mut made, &limits, &Ctx::default());
    assert!(made.len() <= 1 << 20);
    if let Ok(bytes) = applied {
        assert_eq!(bytes, made.len() as u64);
    }
}

/// A tree with the file `a`.
struct OneFile;

/// The content of the file `a`.
const CONTENT: &[u8] = b"All that is in the one file that there is to make something of";

impl OldFiles for OneFile {
    fn open(&self, path: &[u8]) -> Result<Option<Box<dyn OldFile + '_>>> {
        Ok((path == b"a").then(|| Box::new(Self) as Box<dyn OldFile>))
    }
}

impl OldFile for OneFile {
    fn size(&self) -> u64 {
        CONTENT.len() as u64
    }

    fn read_at(&mut self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(CONTENT.len());
        (&CONTENT[start..]).read(buf)
    }
}

/// The index of a layout, with and without the name of an image.
pub fn image_index(data: &[u8]) {
    let _ = index::check_layout_version(data);
    let Ok(index) = index::parse(data) else { return };
    for tag in [None, Some("v1")] {
        let _ = index::find(&index, tag).map(Digest::of_descriptor);
    }
}

/// What an image is called: as text, it is read as the same.
pub fn image_reference(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(reference) = text.parse::<ImageReference>() {
        assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference));
    }
    if let Ok(reference) = text.parse::<OstreeImageReference>() {
        assert_eq!(reference.to_string().parse().as_ref(), Ok(&reference));
    }
}

/// The databases of package managers, and what takes their place.
pub fn packages(data: &[u8]) {
    chunks::read_anything(data);
}
