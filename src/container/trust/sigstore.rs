//! Signatures that cosign keeps beside an image in its registry.
//!
//! ```text
//! tag sha256-HEX.sig, or a referrer of artifact type application/vnd.dev.cosign.artifact.sig.v1+json:
//!   manifest, each layer one signature:
//!     the blob: the claim           annotation dev.cosignproject.cosign/signature: base64
//! ```
//! Source: cosign specs/SIGNATURE_SPEC.md.

use std::io::Read;

use oci_spec::image::Descriptor;

use super::SigstoreSignature;
use crate::base::Ctx;
use crate::container::image::{Digest, Error, Result, lenient};
use crate::net::registry::Registry;

const LAYER_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const ARTIFACT_TYPE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
const ANNOTATION: &str = "dev.cosignproject.cosign/signature";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// A claim has a few hundred bytes.
const MAX_CLAIM_BYTES: u64 = 64 * 1024;
/// Signatures beyond this are not looked at.
const MAX_SIGNATURES: usize = 128;

/// The signatures of the image with this manifest.
///
/// # Errors
/// [`Error::Net`]; [`Error::Mismatch`], [`Error::Json`] if what is there is damaged.
pub fn sigstore_signatures(registry: &Registry, image: &Digest, ctx: &Ctx) -> Result<Vec<SigstoreSignature>> {
    let mut out = Vec::new();
    match registry.manifest(&format!("sha256-{}.sig", image.checksum()), &[MANIFEST_TYPE], ctx) {
        Ok(manifest) => read_manifest(registry, &manifest.bytes, ctx, &mut out)?,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    for entry in referring_signatures(registry, image, ctx)?.iter().take(MAX_SIGNATURES) {
        let expected = Digest::of_descriptor(entry)?;
        let manifest = registry.manifest(&expected.to_string(), &[MANIFEST_TYPE], ctx)?;
        let actual = Digest::of(&manifest.bytes);
        if actual != expected {
            return Err(Error::Mismatch { what: "manifest", expected, actual });
        }
        read_manifest(registry, &manifest.bytes, ctx, &mut out)?;
    }
    Ok(out)
}

/// The manifests that hold signatures, among those that refer to the image.
fn referring_signatures(registry: &Registry, image: &Digest, ctx: &Ctx) -> Result<Vec<Descriptor>> {
    let mut out = Vec::new();
    for page in registry.referrers(image.checksum(), ctx)? {
        let index = lenient::index(&page, "referrers")?;
        let is_signature =
            |entry: &&Descriptor| entry.artifact_type().as_ref().is_some_and(|t| t.as_ref() == ARTIFACT_TYPE);
        out.extend(index.manifests().iter().filter(is_signature).cloned());
    }
    Ok(out)
}

fn read_manifest(
    registry: &Registry,
    manifest: &[u8],
    ctx: &Ctx,
    out: &mut Vec<SigstoreSignature>,
) -> Result<()> {
    let manifest = lenient::manifest(manifest, "manifest of signatures")?;
    for layer in manifest.layers() {
        let text = layer.annotations().as_ref().and_then(|a| a.get(ANNOTATION));
        let (Some(text), LAYER_TYPE) = (text, layer.media_type().as_ref()) else { continue };
        if out.len() == MAX_SIGNATURES {
            break;
        }
        let expected = Digest::of_descriptor(layer)?;
        if layer.size() > MAX_CLAIM_BYTES {
            let size = layer.size();
            return Err(Error::Image(format!(
                "signature {expected}: what it signs has {size} bytes, of which at most {MAX_CLAIM_BYTES} are read"
            )));
        }
        let mut payload = Vec::new();
        registry
            .blob(expected.checksum(), Some(layer.size()), ctx)?
            .take(MAX_CLAIM_BYTES)
            .read_to_end(&mut payload)
            .map_err(Error::io("read blob", expected.to_string()))?;
        let actual = Digest::of(&payload);
        if actual != expected {
            return Err(Error::Mismatch { what: "signature", expected, actual });
        }
        out.push(SigstoreSignature { payload, signature: text.clone() });
    }
    Ok(())
}
