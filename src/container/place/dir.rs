//! An image in a plain directory: `dir:PATH`.
//!
//! ```text
//! version            Directory Transport Version: 1.1
//! manifest.json      the manifest, or index, as it is
//! HEX.manifest.json  a manifest that the index names
//! HEX                a blob, by its SHA-256
//! signature-N        signatures of manifest.json, from 1 on
//! ```
//! Source: what skopeo 1.9 writes.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::path::Path;

use cap_std::fs::Dir;
use oci_spec::image::{Arch, Descriptor, Platform};

use super::disk::{file_part, open_regular, read_small};
use super::temp::{TempFile, is_temp, lock_dir, sweep, write_whole};
use crate::container::blob::known;
use crate::container::image::{
    BlobWriter, Digest, Error, Image, ImageDest, ImageSource, RawManifest, Result, media,
};

const VERSION: &str = "version";
const VERSION_TEXT: &[u8] = b"Directory Transport Version: 1.1\n";
const VERSION_PREFIX: &[u8] = b"Directory Transport Version: 1.";
const MANIFEST: &str = "manifest.json";
/// More are not looked for.
const MAX_SIGNATURES: usize = 128;

/// The image in a directory, to be read or written.
#[derive(Debug)]
pub struct DirImage {
    dir: Dir,
}

impl DirImage {
    /// The image in `dir`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is of a newer version, [`Error::Io`].
    pub fn open(dir: Dir) -> Result<Self> {
        match read_small(&dir, VERSION)? {
            Some(text) if !text.starts_with(VERSION_PREFIX) => {
                let text = String::from_utf8_lossy(&text).trim().to_string();
                Err(Error::Unsupported(format!("its file {VERSION} says {text:?}, where 1.1 is read")))
            }
            _ => Ok(Self { dir }),
        }
    }

    /// Begins an image in `dir`, which holds nothing else, or an image to be replaced. Files left behind by writers
    /// that were killed are removed.
    ///
    /// # Errors
    /// [`Error::Usage`] if `dir` holds something else, [`Error::Io`].
    pub fn create(dir: Dir) -> Result<Self> {
        let _lock = lock_dir(&dir)?;
        sweep(&dir, Path::new(""));
        if read_small(&dir, VERSION)?.is_none() {
            for entry in dir.entries().map_err(Error::at(&dir, "read directory", "."))? {
                let name = entry.map_err(Error::at(&dir, "read directory", "."))?.file_name();
                if !is_temp(&name) {
                    return Err(Error::Usage("the directory is not empty and holds no image".into()));
                }
            }
            write_whole(&dir, Path::new(VERSION), VERSION_TEXT)?;
        }
        Self::open(dir)
    }
}

impl ImageSource for DirImage {
    fn manifest(&self) -> Result<RawManifest> {
        let bytes = read_small(&self.dir, MANIFEST)?;
        let bytes =
            bytes.ok_or_else(|| Error::NotALayout(format!("the directory has no file {MANIFEST}")))?;
        media::manifest(bytes, None)
    }

    fn manifest_of(&self, descriptor: &Descriptor) -> Result<RawManifest> {
        let expected = Digest::of_descriptor(descriptor)?;
        let name = instance_name(&expected);
        let bytes = read_small(&self.dir, &name)?.ok_or(Error::BlobNotFound(expected))?;
        let actual = Digest::of(&bytes);
        if actual != expected {
            return Err(Error::Mismatch { what: "manifest", expected, actual });
        }
        RawManifest::named_by(descriptor, bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let name = digest.checksum().to_string();
        let file = open_regular(&self.dir, Path::new(&name))?.ok_or(Error::BlobNotFound(digest))?;
        Ok(Box::new(file))
    }

    fn file_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let name = digest.checksum().to_string();
        file_part(&self.dir, Path::new(&name), &part)?.ok_or(Error::BlobNotFound(digest)).map(Some)
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        signature_names().map_while(|name| read_small(&self.dir, &name).transpose()).collect()
    }
}

impl ImageDest for DirImage {
    fn has_blob(&self, digest: &Digest) -> Result<bool> {
        let name = digest.checksum().to_string();
        Ok(open_regular(&self.dir, Path::new(&name))?.is_some())
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        Ok(Box::new(DirBlob(TempFile::new(&self.dir, Path::new(""))?)))
    }

    fn current(&self, architecture: &Arch) -> Result<Option<Image>> {
        known::current(self, architecture)
    }

    fn put_instance(&self, manifest: &RawManifest) -> Result<()> {
        write_whole(&self.dir, Path::new(&instance_name(&manifest.digest)), &manifest.bytes)
    }

    fn put_manifest(&self, manifest: &RawManifest, _: Option<&Platform>) -> Result<()> {
        // Those of the image that was here before.
        for name in signature_names() {
            match self.dir.remove_file(&name) {
                Err(e) if e.kind() == ErrorKind::NotFound => break,
                removed => removed.map_err(Error::at(&self.dir, "unlink", &name))?,
            }
        }
        write_whole(&self.dir, Path::new(MANIFEST), &manifest.bytes)
    }

    fn put_signatures(&self, signatures: &[Vec<u8>]) -> Result<bool> {
        for (name, signature) in signature_names().zip(signatures) {
            write_whole(&self.dir, Path::new(&name), signature)?;
        }
        Ok(true)
    }
}

/// The file with a manifest that the index names.
fn instance_name(digest: &Digest) -> String {
    format!("{}.{MANIFEST}", digest.checksum())
}

/// The names that signature files may have; the first one that is missing ends them.
fn signature_names() -> impl Iterator<Item = String> {
    (1..=MAX_SIGNATURES).map(|number| format!("signature-{number}"))
}

struct DirBlob(TempFile);

impl Write for DirBlob {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.file.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for DirBlob {
    fn finish(self: Box<Self>, digest: &Digest, _: u64) -> Result<()> {
        self.0.persist(Path::new(digest.checksum().hex().as_str()))
    }
}
