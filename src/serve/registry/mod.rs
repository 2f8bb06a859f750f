//! `/v2/`: a registry that can be read, whose images are the refs of the repository.
//!
//! ```text
//! /v2/                            the version
//! /v2/_catalog                    names: see `names`
//! /v2/NAME/tags/list              latest, and the commits of the ref and before
//! /v2/NAME/manifests/REFERENCE    a tag, a digest                          ─┐
//! /v2/NAME/blobs/DIGEST           configuration ───────────────────────────┤ images: made once for each commit
//!                                 layer ─► shelf, or made again by recipe ─┘
//! /v2/NAME/referrers/DIGEST       nothing refers to anything
//! ```
//! Source: the OCI distribution specification 1.1.

mod errors;
mod images;
mod lists;
mod makers;
mod names;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use ostree_format::{Checksum, CommitId, RefName};

use self::errors::Code;
pub(super) use self::images::Images;
use self::images::{ServedImage, ServedLayer};
pub(super) use self::makers::{Workshop, work};
pub(super) use self::names::Names;
use super::answer::{Answer, Content, Keeps, OCTETS};
use super::asked::Asked;
use super::shelf::{Found, Key};
use super::site::{Extent, Site, blocking};
use crate::base::WithCauses;
use crate::container::image::Digest;
use crate::repo::Repo;
use crate::store::{ObjectRead, Result, load_commit};

/// The tag of the commit that a ref names now.
pub(super) const LATEST: &str = "latest";
/// Commits of a ref's history that have a tag, at most.
const MAX_HISTORY: usize = 32;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const JSON: &str = "application/json";

/// What the answer to `/v2/` is known by, besides its status.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));

/// Answers for what stands behind `/v2/`.
pub(in crate::serve) async fn answer(site: &Site, asked: &Asked, path: &[&str]) -> Answer {
    let answer = match path {
        [""] => Answer::now(JSON, "{}"),
        ["_catalog"] => match names_of(site).await {
            Ok(names) => lists::catalog(&names, asked),
            Err(answer) => answer,
        },
        [name @ .., "tags", "list"] => {
            with_ref(site, name, |name, history| lists::tags(name, history, asked)).await
        }
        [name @ .., "manifests", reference] => manifest(site, name, reference).await,
        [name @ .., "blobs", digest] => blob(site, asked, name, digest).await,
        [name @ .., "referrers", digest] => referrers(name, digest),
        _ => errors::answer(StatusCode::NOT_FOUND, Code::NameUnknown, "a registry has nothing of this name"),
    };
    let (name, value) = VERSION;
    answer.with(name, value)
}

/// Answers whoever wants to change something.
pub(in crate::serve) fn read_only() -> Answer {
    let why = "this registry can only be read from: its images are made of the repository's refs";
    errors::answer(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, why)
}

/// What a manifest is asked for by.
enum Reference {
    Latest,
    Commit(CommitId),
    Digest(Digest),
}

async fn manifest(site: &Site, name: &[&str], reference: &str) -> Answer {
    let unknown = || {
        errors::answer(StatusCode::NOT_FOUND, Code::ManifestUnknown, "this image has no such tag or manifest")
    };
    let reference = match reference.parse::<Checksum>() {
        _ if reference == LATEST => Reference::Latest,
        Ok(commit) => Reference::Commit(CommitId::new(commit)),
        Err(_) if reference.contains(':') => match reference.parse() {
            Ok(digest) => Reference::Digest(digest),
            Err(_) => return bad_digest(),
        },
        Err(_) => return unknown(),
    };
    let history = match history_of(site, name).await {
        Ok((_, history)) => history,
        Err(answer) => return answer,
    };
    let commit = match &reference {
        Reference::Commit(commit) => history.iter().find(|known| *known == commit),
        Reference::Latest | Reference::Digest(_) => history.first(),
    };
    let Some(commit) = commit else { return unknown() };
    let known = match &reference {
        Reference::Digest(digest) => site.images.with_manifest(digest),
        Reference::Latest | Reference::Commit(_) => None,
    };
    let image = match known {
        Some(image) => image,
        None => match site.images.of(commit).await {
            Ok(image) => image,
            Err(error) => return not_made(&error),
        },
    };
    match reference {
        Reference::Digest(digest) if digest != image.digest => unknown(),
        reference => {
            let keeps =
                if matches!(reference, Reference::Digest(_)) { Keeps::ForEver } else { Keeps::UntilAsked };
            document(image.manifest.clone(), image.digest, MANIFEST, keeps)
        }
    }
}

async fn blob(site: &Site, asked: &Asked, name: &[&str], digest: &str) -> Answer {
    let Ok(digest) = digest.parse::<Digest>() else { return bad_digest() };
    let history = match history_of(site, name).await {
        Ok((_, history)) => history,
        Err(answer) => return answer,
    };
    // Whoever asks has seen a manifest before, perhaps in another life of this server.
    if site.images.with_blob(&digest).is_none()
        && let Some(commit) = history.first()
        && let Err(error) = site.images.of(commit).await
    {
        return not_made(&error);
    }
    match site.images.with_blob(&digest) {
        Some((image, None)) => document(image.config.clone(), digest, OCTETS, Keeps::ForEver),
        Some((image, Some(layer))) => send_layer(site, asked, &image, layer).await,
        None => errors::answer(StatusCode::NOT_FOUND, Code::BlobUnknown, "this image has no such blob"),
    }
}

/// A layer from the shelf, or made again.
async fn send_layer(site: &Site, asked: &Asked, image: &ServedImage, layer: ServedLayer) -> Answer {
    let found = match asked.is_head {
        true => None,
        false => match site.find(Key::Layer(layer.digest), Some(layer.size_bytes)).await {
            Ok(found) => Some(found),
            Err(answer) => return answer,
        },
    };
    let content = match found {
        None => Content::Promised(Some(layer.size_bytes)),
        Some(Found::There(made)) => Content::Made(made),
        Some(Found::Make(made, maker)) => {
            site.images.make_again(image.commit, layer, maker);
            Content::Made(made)
        }
    };
    with_digest(Answer::for_ever(layer.digest.to_string(), content), layer.digest)
}

fn referrers(name: &[&str], digest: &str) -> Answer {
    let name = name.join("/");
    if !names::is_name(&name) {
        return bad_name();
    }
    match digest.parse::<Digest>() {
        Ok(_) => Answer::now(INDEX, format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#)),
        Err(_) => bad_digest(),
    }
}

/// A document of an image.
fn document(bytes: Bytes, digest: Digest, content_type: &'static str, keeps: Keeps) -> Answer {
    let answer = Answer::for_ever(digest.to_string(), Content::Bytes(bytes));
    with_digest(Answer { content_type, keeps, ..answer }, digest)
}

fn with_digest(answer: Answer, digest: Digest) -> Answer {
    match HeaderValue::try_from(digest.to_string()) {
        Ok(value) => answer.with(HeaderName::from_static("docker-content-digest"), value),
        Err(_) => answer,
    }
}

/// The names of all images, and their refs.
async fn names_of(site: &Site) -> Result<Names, Answer> {
    let repo = std::sync::Arc::clone(&site.repo);
    blocking(move || Names::published(&repo)).await?.map_err(|error| Answer::failed(&error))
}

/// The newest image of every ref that is wanted, by its name and commit: its name, the digests of its blobs, that of its
/// manifest. An error is a text.
pub(in crate::serve) async fn newest(
    site: &Site,
    is_wanted: impl Fn(&str, &CommitId) -> bool + Send + 'static,
) -> Result<Vec<(String, Vec<Digest>, Digest)>, String> {
    let repo = std::sync::Arc::clone(&site.repo);
    let text = |answer: Answer| answer.reason();
    let named = blocking(move || {
        let mut wanted = Vec::new();
        for (name, of) in Names::published(&repo)?.into_all() {
            let commit = history(&repo, &of, 1)?.first().copied();
            wanted.extend(commit.filter(|commit| is_wanted(&name, commit)).map(|commit| (name, commit)));
        }
        Ok::<_, crate::store::Error>(wanted)
    });
    let mut newest = Vec::new();
    for (name, commit) in named.await.map_err(text)?.map_err(|error| WithCauses(&error).to_string())? {
        let image = site.images.of(&commit).await?;
        let blobs = image.layers.iter().map(|layer| layer.digest).chain([image.config_digest]);
        newest.push((name, blobs.collect(), image.digest));
    }
    Ok(newest)
}

/// Answers for an image that exists: from its name, and its commits, the youngest first.
async fn with_ref(site: &Site, name: &[&str], answer: impl FnOnce(&str, &[CommitId]) -> Answer) -> Answer {
    match history_of(site, name).await {
        Ok((name, history)) => answer(&name, &history),
        Err(answer) => answer,
    }
}

/// The name of an image, and its commits, the youngest first.
async fn history_of(site: &Site, name: &[&str]) -> Result<(String, Vec<CommitId>), Answer> {
    let name = name.join("/");
    if !names::is_name(&name) {
        return Err(bad_name());
    }
    let repo = std::sync::Arc::clone(&site.repo);
    let max = if site.extent == Extent::Files { 1 } else { MAX_HISTORY };
    let looked_up = blocking(move || {
        let names = Names::published(&repo)?;
        let history = names.get(&name).map(|of| history(&repo, of, max)).transpose()?;
        Ok((name, history))
    });
    match looked_up.await?.map_err(|error: crate::store::Error| Answer::failed(&error))? {
        (name, Some(history)) if !history.is_empty() => Ok((name, history)),
        (name, _) => {
            let why = format!("no ref of this repository gives an image {name}");
            Err(errors::answer(StatusCode::NOT_FOUND, Code::NameUnknown, &why))
        }
    }
}

/// The commit of a ref, and those before it that are here.
fn history(repo: &Repo, name: &RefName, max: usize) -> Result<Vec<CommitId>> {
    use crate::store::{Refs, local_ref};
    let mut history = Vec::new();
    let mut next = repo.resolve_exact(&local_ref(name.clone()))?;
    while let Some(commit) = next.filter(|_| history.len() < max) {
        next = match repo.contains(&commit.into())? {
            true => {
                history.push(commit);
                load_commit(repo, &commit)?.parent
            }
            false => None,
        };
    }
    Ok(history)
}

fn bad_name() -> Answer {
    errors::answer(StatusCode::NOT_FOUND, Code::NameInvalid, "no image may be called so")
}

fn bad_digest() -> Answer {
    errors::answer(StatusCode::BAD_REQUEST, Code::DigestInvalid, "a digest is sha256: and 64 digits")
}

fn not_made(why: &str) -> Answer {
    tracing::warn!(error = why, "image cannot be made");
    let says = "the image cannot be made; the server's log says why";
    let answer = errors::answer(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, says);
    Answer { cause: Some(why.to_owned()), ..answer }
}
