//! The machine's policy, asked whether an image may be used.

use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use super::super::{Error, Result};
use super::{InRegistry, OpenedImage, files};
use crate::base::{Ctx, WithCauses};
use crate::container::config::policy::Policy;
use crate::container::image::{self, Digest, ImageSource as _, Transport};
use crate::container::trust::{
    Admitted, LookasideConfig, PolicyVerdict, Signatures, SigstoreSignature, gpg_signatures,
    sigstore_signatures,
};
use crate::net::Http;

/// A demand of the caller on the policy for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Demand {
    /// The image has to fulfil the policy, if there is one.
    #[default]
    AsPolicySays,
    /// A policy that asks for a signature, and the signature.
    Signed,
}

impl OpenedImage {
    /// The image, if the machine's `policy.json` lets it in. What it judged is what is used from now on.
    ///
    /// # Errors
    /// [`Error::Policy`] if the image is refused; [`Error::NoPolicy`] if none asks for the signature that is demanded;
    /// [`Error::Config`], [`Error::Image`], [`Error::Io`].
    pub fn admit(&self, demand: Demand, ctx: &Ctx) -> Result<Admitted<'_>> {
        let image = Admitted::unjudged(&*self.source)?;
        let Some(path) = files::policy(&self.machine.env) else {
            let reference = &self.reference;
            let why = format!("{reference} shall be signed, but there is no policy.json that says by whom");
            return if demand == Demand::Signed { Err(Error::NoPolicy(why)) } else { Ok(image) };
        };
        let shown = path.display().to_string();
        let policy = Policy::parse(&shown, &files::read(&path)?)?;
        let name = self.scope()?;
        let transport = self.reference.transport().prefix().trim_end_matches("//").trim_end_matches(':');
        if demand == Demand::Signed && policy.default_accepts_anything() {
            return Err(Error::NoPolicy(format!(
                "{shown} accepts anything by default: it vouches for nothing. Let its default reject"
            )));
        }
        let from = Places { opened: self, image: image.raw_manifest().digest, ctx };
        let image = image.judge(&policy, transport, &name, &from, SystemTime::now());
        let image = image.map_err(|source| Error::Policy { path, source: Box::new(source) })?;
        if demand == Demand::Signed && image.verdict() == PolicyVerdict::Nothing {
            return Err(Error::NoPolicy(format!(
                "{shown} accepts anything as {name}: it vouches for nothing"
            )));
        }
        Ok(image)
    }

    /// The GPG signatures of `image`, which nobody has verified.
    ///
    /// # Errors
    /// What the registry, the server of signatures or the file system says.
    pub fn gpg_signatures(&self, image: Digest, ctx: &Ctx) -> Result<Vec<Vec<u8>>> {
        Ok(Places { opened: self, image, ctx }.gpg()?)
    }

    /// The name of the image in policies: the full name in a registry, store and name in podman's store, an absolute path
    /// elsewhere.
    fn scope(&self) -> Result<String> {
        if let Some(name) = self.repository_name() {
            return Ok(name.to_string());
        }
        if let Some(name) = &self.policy_name {
            return Ok(name.clone());
        }
        let path = self.path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let has_tags = matches!(self.reference.transport(), Transport::OciDir | Transport::OciArchive);
        if has_tags && path.contains(':') {
            return Err(Error::Registries(format!(
                "{path} has a ':' in it: a policy could not tell it from a tag"
            )));
        }
        let tag = self.reference.path_and_tag().and_then(|(_, tag)| tag);
        Ok(format!("{path}{}", tag.map(|tag| format!(":{tag}")).unwrap_or_default()))
    }
}

/// The places where the signatures of an image lie.
struct Places<'a> {
    opened: &'a OpenedImage,
    image: Digest,
    ctx: &'a Ctx,
}

impl Signatures for Places<'_> {
    fn gpg(&self) -> image::Result<Vec<Vec<u8>>> {
        let Some(InRegistry { place, registry, .. }) = &self.opened.repository else {
            return self.opened.source.signatures();
        };
        let machine = &self.opened.machine;
        let mut config = LookasideConfig::default();
        let usage = |error: Error| image::Error::Usage(WithCauses(&error).to_string());
        for path in files::signature_places(&machine.env).map_err(usage)? {
            config.add(&path.display().to_string(), &files::read_text(&path).map_err(usage)?)?;
        }
        let http = Http::new(&machine.base_http(registry.limits()))?;
        gpg_signatures(
            &config,
            &files::default_lookaside(&machine.env),
            registry,
            &http,
            place,
            &self.image,
            &present,
            self.ctx,
        )
    }

    fn sigstore(&self) -> image::Result<Vec<SigstoreSignature>> {
        match &self.opened.repository {
            Some(found) => sigstore_signatures(&found.registry, &self.image, self.ctx),
            None => Ok(Vec::new()),
        }
    }

    fn key_file(&self, path: &str) -> image::Result<Vec<u8>> {
        fs::read(path).map_err(|source| error(path, source))
    }
}

fn present(path: &Path) -> image::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(error(&path.display().to_string(), e)),
    }
}

fn error(path: &str, source: io::Error) -> image::Error {
    image::Error::Io { op: "read", path: path.into(), source }
}
