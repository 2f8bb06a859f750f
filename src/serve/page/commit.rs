//! A commit: what it says of itself, who signed it, how large it is.

use ostree_format::commitmeta::{self, SignatureKind};
use ostree_format::variant::Dict;
use ostree_format::{Commit, CommitId};

use super::html::{Html, Url};
use super::sizes::{Size, Sizes};
use super::tree::exported_dirs;
use super::{Page, bytes, entry, frame, time};
use crate::repo::Repo;
use crate::serve::site::Extent;
use crate::store::{Completeness, Error, ObjectRead, Result, load_commit, load_commitmeta};

pub(super) fn page(repo: &Repo, sizes: &Sizes, id: &CommitId, extent: Extent) -> Result<Page> {
    let commit = load_commit(repo, id)?;
    let signatures = signatures(repo, id, &commit)?;
    let is_whole = repo.completeness(id)? == Completeness::Complete;
    // One that was pulled in part has trees that are not here.
    let size = match sizes.of(repo, None, id) {
        Ok(size) => Some(size),
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    let has_parent = match &commit.parent {
        Some(parent) => repo.contains(&(*parent).into())?,
        None => false,
    };
    let has_tree = extent != Extent::Files || exported_dirs(repo, id)?.is_some();
    let text = id.to_string();
    let subject = if commit.subject.is_empty() { "(no subject)" } else { &commit.subject };
    Ok(Page::Html(frame(subject, &[(Url::of(["commit", &text]), text[..12].to_owned())], |html| {
        if !commit.body.is_empty() {
            html.tag("pre", &[("class", "message")], |html| html.text(&commit.body));
        }
        html.tag("dl", &[], |html| {
            entry(html, "Commit", |html| html.tag("span", &[("class", "id")], |html| html.text(&text)));
            if let Some(version) = commit.metadata.get_str("version") {
                entry(html, "Version", |html| html.text(version));
            }
            entry(html, "Made", |html| html.text(&time(commit.timestamp)));
            parent(html, &text, &commit, has_parent);
            entry(html, "Signatures", |html| match signatures.is_empty() {
                true => html.text("none"),
                false => html.text(&signatures.join(", ")),
            });
            entry(html, "Size", |html| html.text(&describe(size, is_whole)));
            if has_tree {
                entry(html, "Files", |html| html.link(&Url::of(["tree", &text]), "browse"));
            }
        });
    })))
}

fn parent(html: &mut Html, id: &str, commit: &Commit, is_here: bool) {
    let Some(parent) = &commit.parent else { return };
    let parent = parent.to_string();
    entry(html, "Before it", |html| match is_here {
        true => {
            html.link(&Url::of(["commit", &parent]), &parent[..12]);
            html.text(" · ");
            html.link(&Url::of(["compare", &parent, id]), "what changed");
        }
        false => html.text(&format!("{} (not in this repository)", &parent[..12])),
    });
}

fn describe(size: Option<Size>, is_whole: bool) -> String {
    let size = match size {
        Some(size) => format!(
            "{} in {} objects of content, {} of metadata",
            bytes(size.bytes),
            size.files,
            size.metadata
        ),
        None => "unknown".to_owned(),
    };
    if is_whole { size } else { format!("{size}; not all of it is in this repository") }
}

/// The signers of the commit, as far as the signatures say. Nobody here judges them: whoever pulls does, by the keys
/// that they trust.
fn signatures(repo: &Repo, id: &CommitId, commit: &Commit) -> Result<Vec<String>> {
    let detached = load_commitmeta(repo, id)?.unwrap_or_default();
    let mut all = openpgp(repo, id, commit, &detached)?;
    for kind in SignatureKind::ALL.into_iter().filter(|kind| *kind != SignatureKind::Gpg) {
        let count = stored(&detached, kind)?.len();
        all.extend((count > 0).then(|| format!("{count} × {}", kind.key())));
    }
    Ok(all)
}

fn stored(detached: &Dict, kind: SignatureKind) -> Result<Vec<&[u8]>> {
    commitmeta::signatures(detached, kind)
        .map_err(|source| Error::Invalid { what: kind.key().into(), source })
}

#[cfg(feature = "openpgp")]
fn openpgp(repo: &Repo, id: &CommitId, commit: &Commit, detached: &Dict) -> Result<Vec<String>> {
    use std::time::{Duration, SystemTime};

    use crate::sign::gpg;

    let signatures = stored(detached, SignatureKind::Gpg)?;
    let bytes = repo.read_meta(&(*id).into())?.ok_or(Error::NotFound((*id).into()))?;
    // Without a key nothing is judged, and no time counts.
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(commit.timestamp));
    let verdicts =
        gpg::verify(&gpg::Keyring::default(), &bytes, signatures, time.unwrap_or(SystemTime::UNIX_EPOCH));
    let name = |verdict: gpg::SignatureVerdict| match verdict.key {
        Some(key) => format!("OpenPGP key {key:X}"),
        None => "OpenPGP, of an unnamed key".to_owned(),
    };
    Ok(verdicts.into_iter().map(name).collect())
}

#[cfg(not(feature = "openpgp"))]
fn openpgp(_: &Repo, _: &CommitId, _: &Commit, detached: &Dict) -> Result<Vec<String>> {
    let count = stored(detached, SignatureKind::Gpg)?.len();
    Ok((count > 0).then(|| format!("{count} × OpenPGP")).into_iter().collect())
}
