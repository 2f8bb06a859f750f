//! The first page: every ref, and how to pull.

use ostree_format::{Commit, CommitId, RefName};

use super::html::Html;
use super::{Page, commit_link, frame, table, time};
use crate::repo::Repo;
use crate::serve::registry::Names;
use crate::store::{Error, Result, load_commit};

/// Refs that are listed, at most.
const MAX_LISTED: usize = 2000;

pub(super) fn page(repo: &Repo, place: Option<(&str, String)>) -> Result<Page> {
    let all = repo.list_of(None)?;
    let names = Names::published(repo)?;
    let mut refs = Vec::new();
    for (refspec, id) in all.iter().take(MAX_LISTED) {
        let commit = match load_commit(repo, id) {
            Ok(commit) => Some(commit),
            Err(Error::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        refs.push((&refspec.name, *id, commit));
    }
    Ok(Page::Html(frame("Refs", &[], |html| {
        match refs.is_empty() {
            true => html.word("p", "This repository has no refs yet."),
            false => table(html, &["Ref", "Commit", "Version", "Made", "Subject"], |html| {
                refs.iter().for_each(|(name, id, commit)| row(html, name, id, commit.as_ref()));
            }),
        }
        if all.len() > refs.len() {
            html.word("p", &format!("… and {} more.", all.len() - refs.len()));
        }
        if let (Some((scheme, host)), Some((name, _, _))) = (&place, refs.first()) {
            how_to(html, scheme, host, name, names.of_ref(name));
        }
    })))
}

fn row(html: &mut Html, name: &RefName, id: &CommitId, commit: Option<&Commit>) {
    html.tag("tr", &[], |html| {
        html.tag("td", &[("class", "name")], |html| html.text(name.as_str()));
        html.tag("td", &[("class", "fixed")], |html| commit_link(html, id));
        let Some(commit) = commit else {
            html.tag("td", &[("colspan", "3"), ("class", "faint")], |html| {
                html.text("not in this repository")
            });
            return;
        };
        html.word("td", commit.metadata.get_str("version").unwrap_or_default());
        html.tag("td", &[("class", "fixed")], |html| html.text(&time(commit.timestamp)));
        html.tag("td", &[("class", "name")], |html| html.text(&commit.subject));
    });
}

/// The commands that pull a ref.
fn how_to(html: &mut Html, scheme: &str, host: &str, name: &RefName, image: Option<&str>) {
    html.word("h2", "Pull");
    html.word("p", "With ostree, as commits; KEY is the file with the publisher's public key:");
    let add = format!("ostree remote add --gpg-import=KEY NAME {scheme}://{host}/repo");
    html.word("pre", &format!("{add}\nostree pull NAME {name}"));
    if let Some(image) = image {
        html.word("p", "With ostree-rs, podman, skopeo or bootc, as images:");
        let option = if scheme == "https" { "" } else { " --tls-verify=false" };
        let ours = format!("ostree-rs pull --ref={name} --gpg-keyring=KEY{option} {host}/{image}");
        html.word("pre", &format!("{ours}\npodman pull{option} {host}/{image}"));
    }
}
