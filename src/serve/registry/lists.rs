//! Lists of names and tags, whole or page by page: `?n=10&last=NAME`.

use hyper::header::{HeaderValue, LINK};
use ostree_format::CommitId;
use serde_json::json;

use super::names::Names;
use super::{JSON, LATEST};
use crate::serve::answer::Answer;
use crate::serve::asked::Asked;

/// The names of all images.
pub(super) fn catalog(names: &Names, asked: &Asked) -> Answer {
    let all: Vec<String> = names.all().map(str::to_owned).collect();
    page(all, "/v2/_catalog", asked, |names| json!({"repositories": names}))
}

/// The tags of an image.
pub(super) fn tags(name: &str, history: &[CommitId], asked: &Asked) -> Answer {
    let mut all: Vec<String> = history.iter().map(CommitId::to_string).collect();
    all.push(LATEST.to_owned());
    all.sort_unstable();
    page(all, &format!("/v2/{name}/tags/list"), asked, |tags| json!({"name": name, "tags": tags}))
}

/// The part of a sorted list that was asked for, and where the rest is.
fn page(
    all: Vec<String>,
    path: &str,
    asked: &Asked,
    show: impl FnOnce(&[String]) -> serde_json::Value,
) -> Answer {
    let last = asked.query("last");
    let rest: Vec<String> =
        all.into_iter().filter(|one| last.as_ref().is_none_or(|last| one > last)).collect();
    let most = asked.query("n").and_then(|n| n.parse().ok()).unwrap_or(rest.len());
    let shown = &rest[..most.min(rest.len())];
    let answer = Answer::now(JSON, show(shown).to_string());
    // Names and tags have no letters that mean something in a URL.
    let next = shown.last().filter(|_| shown.len() < rest.len());
    let link = next.map(|last| format!("<{path}?n={most}&last={last}>; rel=\"next\""));
    match link.and_then(|link| HeaderValue::try_from(link).ok()) {
        Some(link) => answer.with(LINK, link),
        None => answer,
    }
}
