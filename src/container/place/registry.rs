//! An image in a registry, to be read: `docker://HOST/PATH[:TAG][@DIGEST]`.
//!
//! ```text
//! places   mirror, mirror, registry     the first that has the manifest gives the blobs too
//! ```
//! What is asked for by digest has that digest; what is asked for by tag has the digest that the registry
//! says it has.

use std::io::Read;
use std::ops::Range;
use std::sync::OnceLock;

use oci_spec::image::Descriptor;

use super::index;
use crate::base::{Ctx, WithCauses};
use crate::container::config::registries::Endpoint;
use crate::container::image::media::{self, ACCEPT};
use crate::container::image::{
    Digest, Error, ImageSource, MAX_JSON_BYTES, RawManifest, RepositoryName, Result,
};
use crate::net::registry::{Credentials, Registry};
use crate::net::{Error as NetError, Http, HttpOptions, Limits, TlsVerify};

/// A place where a repository can be had, and how to get in.
#[derive(Debug, Clone)]
pub struct RegistryPlace {
    /// The registry, and the repository's path there.
    pub endpoint: Endpoint,
    /// Options for the connection.
    pub http: HttpOptions,
    /// The credentials to ask with.
    pub credentials: Option<Credentials>,
}

impl RegistryPlace {
    /// A client for it. At an insecure place certificates are not verified, and if it does not speak TLS,
    /// plain HTTP will do.
    ///
    /// # Errors
    /// [`Error::Net`] if what is configured for it cannot be used, or nobody answers.
    pub fn connect(&self, ctx: &Ctx) -> Result<Registry> {
        let Endpoint { host, path, insecure } = &self.endpoint;
        let mut http = self.http.clone();
        let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let at = |scheme: &str, http: &HttpOptions| {
            Registry::new(Http::new(http)?, &format!("{scheme}://{host}"), path, self.credentials.clone())
        };
        if !insecure {
            return Ok(at("https", &http)?);
        }
        http.tls.verify = TlsVerify::No;
        // Together the two questions take no longer than the patience.
        let limits = http.limits.with_patience(http.limits.patience / 2);
        let tls = HttpOptions { limits: Limits { retries: 0, ..limits }, ..http.clone() };
        match at("https", &tls)?.ping(ctx) {
            Err(NetError::Transport { .. } | NetError::Tls { .. }) => {
                match at("http", &HttpOptions { limits, ..http.clone() })?.ping(ctx) {
                    // Who is busy is there.
                    Ok(()) | Err(NetError::Status { .. }) => Ok(at("http", &http)?),
                    Err(error) => Err(error.into()),
                }
            }
            _ => Ok(at("https", &http)?),
        }
    }
}

/// One image in a registry, to be read.
#[derive(Debug)]
pub struct RegistryImage {
    registry: Registry,
    manifest: RawManifest,
    ctx: Ctx,
    /// Whether the registry gives several parts of a blob at once, which the first request for some finds out.
    gives_several: OnceLock<bool>,
}

impl RegistryImage {
    /// The image `name` at the first of `places` that has it, and that place.
    ///
    /// # Errors
    /// The error of the last place, which is the registry itself after its mirrors, in an [`Error::Source`] that tells of
    /// these; [`Error::Mismatch`] if a place gave something else than the digest says; [`Error::Unsupported`],
    /// [`Error::Image`].
    pub fn open<'p>(
        places: &'p [RegistryPlace],
        name: &RepositoryName,
        ctx: &Ctx,
    ) -> Result<(Self, &'p Endpoint)> {
        let mut failed = Vec::new();
        for place in places {
            ctx.cancel.check()?;
            let (host, path) = (&place.endpoint.host, &place.endpoint.path);
            match Self::open_at(place, name, ctx) {
                Ok(image) => {
                    tracing::debug!(%name, host, path, digest = %image.manifest.digest, "image found");
                    return Ok((image, &place.endpoint));
                }
                Err(error @ Error::Cancelled(_)) => return Err(error),
                Err(error) => {
                    tracing::debug!(%name, host, path, error = %WithCauses(&error), "no image there");
                    failed.push((format!("{host}/{path}"), error));
                }
            }
        }
        Err(all_failed(name, failed))
    }

    fn open_at(place: &RegistryPlace, name: &RepositoryName, ctx: &Ctx) -> Result<Self> {
        let registry = place.connect(ctx)?;
        let manifest = fetch(&registry, &name.reference(), name.digest, ctx)?;
        Ok(Self { registry, manifest, ctx: ctx.clone(), gives_several: OnceLock::new() })
    }

    /// The image that `reference`, a tag or digest, stands for in a registry.
    pub(super) fn at(registry: Registry, reference: &str, ctx: &Ctx) -> Result<Self> {
        let manifest = fetch(&registry, reference, None, ctx)?;
        Ok(Self { registry, manifest, ctx: ctx.clone(), gives_several: OnceLock::new() })
    }

    /// What it means that the blob `digest` was not to be had.
    fn without(&self, digest: Digest, error: NetError) -> Error {
        if !error.is_not_found() {
            return error.into();
        }
        Error::Source { place: self.registry.place(), source: Box::new(Error::BlobNotFound(digest)) }
    }

    /// The registry's client.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// The error of the last place, with what the others said: a mirror may be what was meant to help.
fn all_failed(name: &RepositoryName, mut failed: Vec<(String, Error)>) -> Error {
    let Some((place, last)) = failed.pop() else {
        return Error::Usage(format!("there is no place to get {name} from"));
    };
    if failed.is_empty() {
        return last;
    }
    let mirrors = failed.iter().map(|(place, error)| format!("mirror {place}: {}", WithCauses(error)));
    let place = mirrors.chain([place]).collect::<Vec<_>>().join("; ");
    Error::Source { place, source: Box::new(last) }
}

/// A manifest, verified if its digest is known.
pub(super) fn fetch(
    registry: &Registry,
    reference: &str,
    expected: Option<Digest>,
    ctx: &Ctx,
) -> Result<RawManifest> {
    let answer = registry.manifest(reference, &ACCEPT, ctx)?;
    let what = "manifest";
    if answer.bytes.len() as u64 > MAX_JSON_BYTES {
        return Err(Error::TooLarge { what: format!("{what} {reference}"), limit: MAX_JSON_BYTES });
    }
    let actual = Digest::of(&answer.bytes);
    // What the registry says guards a tag against nothing but damage on the way.
    let said = answer.digest.as_deref().and_then(|d| d.parse().ok());
    match (expected, said) {
        (Some(expected), _) if expected != actual => Err(Error::Mismatch { what, expected, actual }),
        (None, Some(expected)) if expected != actual => Err(Error::Source {
            place: format!("{}: Docker-Content-Digest", registry.place()),
            source: Box::new(Error::Mismatch { what, expected, actual }),
        }),
        _ => Ok(()),
    }?;
    media::manifest(answer.bytes, answer.media_type.as_deref())
}

impl ImageSource for RegistryImage {
    fn manifest(&self) -> Result<RawManifest> {
        Ok(self.manifest.clone())
    }

    fn manifest_of(&self, descriptor: &Descriptor) -> Result<RawManifest> {
        let digest = Digest::of_descriptor(descriptor)?;
        let raw = fetch(&self.registry, &digest.to_string(), Some(digest), &self.ctx)?;
        let (expected, actual) = (descriptor.size(), raw.bytes.len() as u64);
        if expected != actual {
            return Err(Error::Size { what: "manifest", digest, expected, actual });
        }
        RawManifest::named_by(descriptor, raw.bytes)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        match self.registry.blob(digest.checksum(), Some(descriptor.size()), &self.ctx) {
            Ok(body) => Ok(Box::new(body)),
            Err(error) => Err(self.without(digest, error)),
        }
    }

    fn blob_part(&self, descriptor: &Descriptor, part: Range<u64>) -> Result<Option<Box<dyn Read + Send>>> {
        let digest = Digest::of_descriptor(descriptor)?;
        match self.registry.blob_part(digest.checksum(), part, &self.ctx) {
            Ok(body) => Ok(body.map(|body| Box::new(body) as Box<dyn Read + Send>)),
            Err(error) => Err(self.without(digest, error)),
        }
    }

    fn blob_parts(&self, descriptor: &Descriptor, parts: &[Range<u64>]) -> Result<Option<Vec<Vec<u8>>>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let ask = || match self.registry.blob_parts(digest.checksum(), parts, &self.ctx) {
            Err(error) => Err(self.without(digest, error)),
            asked => Ok(asked?),
        };
        let mut first = None;
        // Others wait for the first answer, so that a registry that gives all of the blob instead does so once.
        let gives_several = *self.gives_several.get_or_init(|| {
            let asked = first.insert(ask());
            !matches!(asked, Ok(None))
        });
        match first {
            Some(asked) => asked,
            None if gives_several => ask(),
            None => Ok(None),
        }
    }

    fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let pages = self.registry.referrers(subject.checksum(), &self.ctx)?;
        let pages = pages.iter().map(|page| index::parse(page)).collect::<Result<Vec<_>>>()?;
        Ok(pages.iter().flat_map(|page| page.manifests().iter().cloned()).collect())
    }

    fn tagged(&self, tag: &str) -> Result<Option<RawManifest>> {
        match fetch(&self.registry, tag, None, &self.ctx) {
            Err(Error::Net(error)) if error.is_not_found() => Ok(None),
            fetched => fetched.map(Some),
        }
    }
}
