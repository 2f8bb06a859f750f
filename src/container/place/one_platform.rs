//! A source that has one image, whatever index stands before it.

use crate::base::debug_fields;
use crate::container::image::{ImageSource, PlatformName, RawManifest, Result, ask_another, media};

/// A source whose manifest is that of one image.
pub struct OnePlatform<S> {
    source: S,
    platform: PlatformName,
}

debug_fields!(OnePlatform<S> { platform });

impl<S: ImageSource> OnePlatform<S> {
    /// The image for `platform` in `source`.
    pub fn new(source: S, platform: PlatformName) -> Self {
        Self { source, platform }
    }
}

impl<S: ImageSource> ImageSource for OnePlatform<S> {
    ask_another!(self, self.source);

    fn manifest(&self) -> Result<RawManifest> {
        self.platform.resolve(&self.source, self.source.manifest()?)
    }

    /// The signatures of the chosen image; those of an index are not its.
    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        match media::is_index(&self.source.manifest()?.media_type) {
            true => Ok(Vec::new()),
            false => self.source.signatures(),
        }
    }
}
