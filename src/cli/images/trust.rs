//! Asks the policy whether an image may be used.

use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use anyhow::{Context, bail};

use super::access::base_http;
use super::{Opened, files};
use crate::base::Ctx;
use crate::container::config::policy::Policy;
use crate::container::image::{Digest, Error, ImageSource as _, Result, Transport};
use crate::container::trust::{
    Admitted, LookasideConfig, Signatures, SigstoreSignature, Verdict, gpg_signatures, sigstore_signatures,
};
use crate::net::Http;

/// What the user demands of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Demand {
    /// A policy that asks for a signature, and the signature.
    Signed,
    /// What the policy asks for, if there is one.
    AsPolicySays,
}

/// The image that was opened, if the policy lets it in.
pub(super) fn admit<'o>(opened: &'o Opened, demand: Demand, ctx: &Ctx) -> anyhow::Result<Admitted<'o>> {
    let image = Admitted::unjudged(&*opened.source)?;
    let Some(path) = files::policy() else {
        if demand == Demand::Signed {
            bail!("{} shall be signed, but there is no policy.json that says by whom", opened.reference);
        }
        return Ok(image);
    };
    let shown = path.display().to_string();
    let policy = Policy::parse(&shown, &files::read(&path)?)?;
    let name = scope(opened)?;
    let transport = opened.reference.transport().prefix().trim_end_matches("//").trim_end_matches(':');
    if demand == Demand::Signed && policy.default_accepts_anything() {
        bail!("{shown} accepts anything by default: it vouches for nothing. Let its default reject");
    }
    let from = Places { opened, image: image.raw_manifest().digest, ctx };
    let image = image.judge(&policy, transport, &name, &from, SystemTime::now());
    let image = image.with_context(|| format!("Policy {shown}"))?;
    if demand == Demand::Signed && image.verdict() == Verdict::Nothing {
        bail!("{shown} accepts anything as {name}: it vouches for nothing");
    }
    Ok(image)
}

/// The GPG signatures of an image, which nobody has verified.
pub(crate) fn gpg_signatures_of(opened: &Opened, image: Digest, ctx: &Ctx) -> Result<Vec<Vec<u8>>> {
    Places { opened, image, ctx }.gpg()
}

/// How the policy calls an image: the full name in a registry, an absolute path elsewhere.
fn scope(opened: &Opened) -> anyhow::Result<String> {
    if let Some((name, _)) = &opened.repository {
        return Ok(name.to_string());
    }
    let reference = &opened.reference;
    let path = opened.path.as_ref().context("an image without a place")?.display().to_string();
    let has_tags = matches!(reference.transport(), Transport::OciDir | Transport::OciArchive);
    if has_tags && path.contains(':') {
        bail!("{path} has a ':' in it: a policy could not tell it from a tag");
    }
    let tag = reference.path_and_tag().and_then(|(_, tag)| tag);
    Ok(format!("{path}{}", tag.map(|tag| format!(":{tag}")).unwrap_or_default()))
}

/// Where the signatures of an image lie.
struct Places<'a> {
    opened: &'a Opened,
    image: Digest,
    ctx: &'a Ctx,
}

impl Signatures for Places<'_> {
    fn gpg(&self) -> Result<Vec<Vec<u8>>> {
        let Some((name, registry)) = &self.opened.repository else { return self.opened.source.signatures() };
        let mut config = LookasideConfig::default();
        for path in files::signature_places().map_err(|e| Error::Usage(format!("{e:#}")))? {
            let text = String::from_utf8(self.key_file(&path.display().to_string())?)
                .map_err(|_| Error::Usage(format!("{} is not UTF-8", path.display())))?;
            config.add(&path.display().to_string(), &text)?;
        }
        let http = Http::new(&base_http(registry.limits()))?;
        let read = |path: &str| present(Path::new(path));
        gpg_signatures(
            &config,
            &files::default_lookaside(),
            registry,
            &http,
            name,
            &self.image,
            &read,
            self.ctx,
        )
    }

    fn sigstore(&self) -> Result<Vec<SigstoreSignature>> {
        match &self.opened.repository {
            Some((_, registry)) => sigstore_signatures(registry, &self.image, self.ctx),
            None => Ok(Vec::new()),
        }
    }

    fn key_file(&self, path: &str) -> Result<Vec<u8>> {
        fs::read(path).map_err(|source| error(path, source))
    }
}

fn present(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(error(&path.display().to_string(), e)),
    }
}

fn error(path: &str, source: io::Error) -> Error {
    Error::Io { op: "read", path: path.into(), source }
}
