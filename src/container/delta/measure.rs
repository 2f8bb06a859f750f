//! How large a delta would be: it is made, and thrown away.

use std::io::{self, Write};

use oci_spec::image::Platform;

use super::create::{Created, DeltaOptions, create};
use crate::base::Ctx;
use crate::base::io::Spool;
use crate::container::image::{BlobWriter, Digest, Image, ImageDest, ImageSource, RawManifest, Result};

/// Makes the delta from `old` to `new` and keeps nothing of it.
///
/// # Errors
/// As [`create`].
pub fn measure(
    old: (&Image, &dyn ImageSource),
    new: (&Image, &dyn ImageSource),
    options: &DeltaOptions,
    spool: &Spool<'_>,
    ctx: &Ctx,
) -> Result<Created> {
    create(old, new, &Nowhere, options, spool, ctx)
}

/// A destination that has nothing, and keeps nothing.
struct Nowhere;

impl ImageDest for Nowhere {
    fn has_blob(&self, _: &Digest) -> Result<bool> {
        Ok(false)
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        Ok(Box::new(Self))
    }

    fn put_manifest(&self, _: &RawManifest, _: Option<&Platform>) -> Result<()> {
        Ok(())
    }
}

impl Write for Nowhere {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl BlobWriter for Nowhere {
    fn finish(self: Box<Self>, _: &Digest, _: u64) -> Result<()> {
        Ok(())
    }
}
