//! Images that may be used: the manifest that a policy judged is the one that is used.
//!
//! ```text
//! source ── manifest, once ──► judged ──► Admitted ──► configuration and layers, by the digests in the manifest
//! ```
//! Whatever happens to the source afterwards, its name is not read again: the manifest is these bytes, and all that it
//! leads to has the digests that it says.

use std::sync::OnceLock;
use std::time::SystemTime;

use super::{Candidate, Signatures};
use crate::base::debug_fields;
use crate::container::config::policy::Policy;
use crate::container::image::{Image, ImageSource, RawManifest, Result, ask_another};
use crate::container::trust;

/// An image by its manifest, or several by their index.
pub struct Admitted<'s> {
    source: &'s dyn ImageSource,
    manifest: RawManifest,
    image: OnceLock<Image>,
    verdict: PolicyVerdict,
}

debug_fields!(Admitted<'s> { manifest, verdict });

/// The reason for which an image was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// A signature that the policy asked for is good.
    Signed,
    /// The policy asked for no signature, or was not asked.
    Nothing,
}

impl<'s> Admitted<'s> {
    /// Takes the manifest that `source` has now; no policy has judged it.
    /// [`OnePlatform`](crate::container::place::OnePlatform) chooses one of images for several machines.
    ///
    /// # Errors
    /// What the source says.
    pub fn unjudged(source: &'s dyn ImageSource) -> Result<Self> {
        let manifest = source.manifest()?;
        Ok(Self { source, manifest, image: OnceLock::new(), verdict: PolicyVerdict::Nothing })
    }

    /// Lets `policy` decide about the image, which `transport` knows by this `name`.
    ///
    /// # Errors
    /// [`Error::Refused`](super::Error::Refused); what `signatures` say.
    pub fn judge(
        self,
        policy: &Policy,
        transport: &str,
        name: &str,
        signatures: &dyn Signatures,
        now: SystemTime,
    ) -> Result<Self> {
        let candidate = Candidate { transport, name, manifest: self.manifest.digest };
        trust::check(policy, &candidate, signatures, now)?;
        let verdict = match trust::accepts_anything(policy, &candidate) {
            true => PolicyVerdict::Nothing,
            false => PolicyVerdict::Signed,
        };
        Ok(Self { verdict, ..self })
    }

    /// The manifest.
    pub fn raw_manifest(&self) -> &RawManifest {
        &self.manifest
    }

    /// The reason for which the image was let in.
    pub fn verdict(&self) -> PolicyVerdict {
        self.verdict
    }

    /// The image, with its configuration, which is fetched once.
    ///
    /// # Errors
    /// As [`Image::fetch`]; [`Error::Unsupported`](super::Error::Unsupported) for an index.
    pub fn image(&self) -> Result<&Image> {
        if let Some(image) = self.image.get() {
            return Ok(image);
        }
        let image = Image::of_manifest(self.source, &self.manifest)?;
        Ok(self.image.get_or_init(|| image))
    }
}

impl ImageSource for Admitted<'_> {
    ask_another!(self, self.source);

    fn manifest(&self) -> Result<RawManifest> {
        Ok(self.manifest.clone())
    }

    fn signatures(&self) -> Result<Vec<Vec<u8>>> {
        self.source.signatures()
    }
}
