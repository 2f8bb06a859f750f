//! Two commits compared: which files, and what an update from one to the other costs.

use ostree_format::CommitId;

use super::html::{Html, Url};
use super::sizes::Sizes;
use super::{Page, bytes, commit_link, entry, frame};
use crate::base::Ctx;
use crate::diff::{Side, changes};
use crate::repo::Repo;
use crate::store::{Result, load_commit};

/// Paths of each kind that are shown, at most.
const MAX_SHOWN: usize = 2000;

pub(super) fn page(repo: &Repo, sizes: &Sizes, from: &CommitId, to: &CommitId) -> Result<Page> {
    let side =
        |id: &CommitId| load_commit(repo, id).map(|commit| Side::Tree { store: repo, root: commit.root });
    let changes = changes(side(from)?, side(to)?, &Ctx::default())?;
    let size = sizes.of(repo, Some(from), to)?;
    let (older, newer) = (from.to_string(), to.to_string());
    let here = Url::of(["compare", &older, &newer]);
    Ok(Page::Html(frame("What changed", &[(here, "compare".to_owned())], |html| {
        html.tag("dl", &[], |html| {
            entry(html, "From", |html| commit_link(html, from));
            entry(html, "To", |html| commit_link(html, to));
            let cost = format!(
                "{} in {} new objects of content, before compression; {} of metadata",
                bytes(size.bytes),
                size.files,
                size.metadata
            );
            entry(html, "An update needs", |html| html.text(&cost));
        });
        list(html, "Added", "new", &changes.added);
        list(html, "Changed", "changed", &changes.modified);
        list(html, "Removed", "gone", &changes.removed);
        if changes.added.is_empty() && changes.modified.is_empty() && changes.removed.is_empty() {
            html.word("p", "Nothing: the trees are the same.");
        }
    })))
}

fn list(html: &mut Html, title: &str, class: &str, paths: &[String]) {
    if paths.is_empty() {
        return;
    }
    html.word("h2", &format!("{title}: {}", paths.len()));
    html.tag("ul", &[], |html| {
        for path in paths.iter().take(MAX_SHOWN) {
            html.tag("li", &[("class", class)], |html| html.word("code", path));
        }
    });
    if paths.len() > MAX_SHOWN {
        html.word("p", &format!("… and {} more.", paths.len() - MAX_SHOWN));
    }
}
