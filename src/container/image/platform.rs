//! One image out of an index of images for several machines.
//!
//! ```text
//! asked for      taken, the first of these that there is
//! linux/amd64    amd64                                 amd64/v2 may not run
//! linux/arm      arm, arm/v8, arm/v7, arm/v6, arm/v5
//! linux/arm/v7   arm/v7, arm/v6, arm/v5, arm
//! any            an entry that says nothing of machines
//! ```
//! Of several the one whose layers are compressed with zstd, then the first. Source: containers/image
//! internal/pkg/platform, internal/manifest/oci_index.go.

use std::str::FromStr;

use oci_spec::image::{Arch, Descriptor, ImageIndex};
use ostree_format::ParseError;

use super::error::{Error, Result};
use super::machine::go_name;
use super::source::{ImageSource, RawManifest};
use super::{lenient, media};

/// An index may name others so many times.
pub(in crate::container) const MAX_DEPTH: usize = 4;
/// What entries for no machine say they are for.
const UNKNOWN: &str = "unknown";
const COMPRESSION: &str = "io.github.containers.compression.zstd";
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// The machines that an image is for: `OS/ARCHITECTURE[/VARIANT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformName {
    /// `linux`
    pub os: String,
    /// The architecture as Go calls it: `amd64`, `arm64`.
    pub architecture: String,
    /// `v7`, `v8`; any that an image without one surely runs on if `None`.
    pub variant: Option<String>,
}

impl Default for PlatformName {
    /// Linux on the machines that this program was compiled for.
    fn default() -> Self {
        let own = Arch::default().to_string();
        let (architecture, variant) = go_name(&own).unwrap_or((&own, None));
        let variant = variant.map(str::to_owned);
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant }
    }
}

impl FromStr for PlatformName {
    type Err = ParseError;

    /// `linux/arm/v7`, `linux/amd64`; names of the kernel, such as `aarch64` and `armv7l`, are known too.
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
        let (architecture, own_variant) = go_name(architecture).unwrap_or((architecture, None));
        let variant = variant.or(own_variant).map(str::to_string);
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
    /// Linux on `architecture`.
    pub(in crate::container) fn linux(architecture: &Arch) -> Self {
        Self { os: "linux".into(), architecture: architecture.to_string(), variant: None }
    }

    /// The variants that these machines run, the best first; "" stands for none.
    fn variants(&self) -> Vec<&str> {
        let known: &[&str] = match &*self.architecture {
            "arm" => &["v8", "v7", "v6", "v5"],
            "arm64" => &["v8"],
            _ => &[],
        };
        match self.variant.as_deref() {
            None => [&[""], known].concat(),
            Some(wanted) => {
                let older = known.iter().position(|v| *v == wanted).map(|at| &known[at..]);
                [older.unwrap_or(&[wanted]), &[""]].concat()
            }
        }
    }

    /// How well an entry fits, the lower the better; `None` if it does not.
    fn rank(&self, entry: &Descriptor) -> Option<usize> {
        let annotation = |key: &str| entry.annotations().as_ref()?.get(key).map(String::as_str);
        let Some(platform) = entry.platform() else {
            return annotation(REFERENCE_TYPE).is_none().then_some(usize::MAX);
        };
        let (os, architecture) = (platform.os().to_string(), platform.architecture().to_string());
        if os != self.os || architecture != self.architecture || (&*os, &*architecture) == (UNKNOWN, UNKNOWN)
        {
            return None;
        }
        let variant = platform.variant().as_deref().unwrap_or_default();
        self.variants().iter().position(|wanted| *wanted == variant)
    }

    /// The entry of `index` for these machines.
    fn choose<'a>(&self, index: &'a ImageIndex) -> Result<&'a Descriptor> {
        let entries = index.manifests();
        let is_zstd = |d: &Descriptor| {
            d.annotations().as_ref().is_some_and(|a| a.get(COMPRESSION).is_some_and(|v| v == "true"))
        };
        let fitting = entries.iter().filter_map(|entry| Some((self.rank(entry)?, !is_zstd(entry), entry)));
        let best = fitting.min_by_key(|(rank, is_gzip, _)| (*rank, *is_gzip));
        best.map(|(_, _, entry)| entry).ok_or_else(|| {
            let known: Vec<_> = entries.iter().filter_map(name_of).collect();
            let others = match known.is_empty() {
                true => ", and none that says for which machines it is".to_owned(),
                false => format!(", only for {}", known.join(", ")),
            };
            Error::Unsupported(format!("there is no image for {self}{others}"))
        })
    }

    /// The image for these machines that the manifest or index `raw` of `source` is or leads to.
    pub(in crate::container) fn resolve(
        &self,
        source: &(impl ImageSource + ?Sized),
        mut raw: RawManifest,
    ) -> Result<RawManifest> {
        for _ in 0..MAX_DEPTH {
            media::check(&raw)?;
            if !media::is_index(&raw.media_type) {
                return Ok(raw);
            }
            let index = lenient::index(&raw.bytes, format!("index {}", raw.digest))?;
            raw = source.manifest_of(self.choose(&index)?)?;
        }
        Err(Error::Image("an index that leads to an index, again and again".into()))
    }
}

fn name_of(descriptor: &Descriptor) -> Option<String> {
    let p = descriptor.platform().as_ref()?;
    let variant = p.variant().as_ref().map(|v| format!("/{v}")).unwrap_or_default();
    let name = format!("{}/{}{variant}", p.os(), p.architecture());
    (name != "unknown/unknown" && name != "/").then_some(name)
}
