//! One image out of an index of images for several machines.

use std::io::Read;
use std::str::FromStr;

use oci_spec::image::{Descriptor, ImageIndex};
use ostree_format::ParseError;

use super::media;
use crate::container::{Error, ImageSource, RawManifest, Result};

/// An index may name others so many times.
pub(super) const MAX_DEPTH: usize = 4;

/// Which machines an image is for: `OS/ARCHITECTURE[/VARIANT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformName {
    /// `linux`
    pub os: String,
    /// As Go calls it: `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, `v8`; any if `None`.
    pub variant: Option<String>,
}

impl Default for PlatformName {
    /// Linux on the machines that this program was compiled for.
    fn default() -> Self {
        let architecture = oci_spec::image::Arch::default().to_string();
        Self { os: "linux".into(), architecture, variant: None }
    }
}

impl FromStr for PlatformName {
    type Err = ParseError;

    /// `linux/arm/v7`, `linux/amd64`; the kernel's names `x86_64` and `aarch64` are known too.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (os, architecture, variant) = match parts[..] {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some(variant)),
            _ => return Err(ParseError::invalid("platform", 0, "it is written OS/ARCHITECTURE[/VARIANT]")),
        };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(ParseError::invalid("platform", 0, "a part is empty"));
        }
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let variant = variant.map(str::to_string);
        Ok(Self { os: os.into(), architecture: architecture.into(), variant })
    }
}

impl std::fmt::Display for PlatformName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl PlatformName {
    /// The entry of `index` for these machines: of the same variant if one is asked for, or else the first
    /// whose variant these machines surely run. An only entry that does not say is taken.
    fn choose<'a>(&self, index: &'a ImageIndex) -> Result<&'a Descriptor> {
        let entries = index.manifests();
        if let [only] = &entries[..]
            && only.platform().is_none()
        {
            return Ok(only);
        }
        let fits = |d: &&Descriptor| {
            d.platform().as_ref().is_some_and(|p| {
                p.os().to_string() == self.os && p.architecture().to_string() == self.architecture
            })
        };
        let variant = |d: &&Descriptor| d.platform().as_ref().and_then(|p| p.variant().clone());
        let mut fitting: Vec<_> = entries.iter().filter(fits).collect();
        if let Some(wanted) = &self.variant {
            let default = (self.architecture == "arm64").then_some("v8");
            fitting.retain(|d| match variant(d) {
                Some(v) => v == *wanted,
                None => default.is_none_or(|v| v == wanted),
            });
        } else {
            // The baseline first: no variant, then the lowest.
            fitting.sort_by_key(variant);
        }
        fitting.first().copied().ok_or_else(|| {
            let known: Vec<_> = entries.iter().filter_map(name_of).collect();
            Error::Unsupported(format!("there is no image for {self}, only for {}", known.join(", ")))
        })
    }
}

fn name_of(descriptor: &Descriptor) -> Option<String> {
    let p = descriptor.platform().as_ref()?;
    let variant = p.variant().as_ref().map(|v| format!("/{v}")).unwrap_or_default();
    Some(format!("{}/{}{variant}", p.os(), p.architecture()))
}

/// A source whose manifest is that of one image, whatever index stands before it.
pub struct OnePlatform<S> {
    source: S,
    platform: PlatformName,
}

impl<S: ImageSource> OnePlatform<S> {
    /// The image for `platform` in `source`.
    pub fn new(source: S, platform: PlatformName) -> Self {
        Self { source, platform }
    }
}

impl<S: ImageSource> ImageSource for OnePlatform<S> {
    fn manifest(&self) -> Result<RawManifest> {
        let mut raw = self.source.manifest()?;
        for _ in 0..MAX_DEPTH {
            if !media::is_index(&raw.media_type) {
                return Ok(raw);
            }
            let index: ImageIndex =
                serde_json::from_slice(&raw.bytes).map_err(Error::json(format!("index {}", raw.digest)))?;
            raw = self.source.manifest_of(self.platform.choose(&index)?)?;
        }
        Err(Error::Image("an index that leads to an index, again and again".into()))
    }

    fn manifest_of(&self, descriptor: &Descriptor) -> Result<RawManifest> {
        self.source.manifest_of(descriptor)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        self.source.blob(descriptor)
    }

    /// Those of an index are not the image's.
    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        match media::is_index(&self.source.manifest()?.media_type) {
            true => Ok(Vec::new()),
            false => self.source.signatures(),
        }
    }
}
