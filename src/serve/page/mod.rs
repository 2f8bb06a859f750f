//! Pages for people: refs, commits, trees, what changed. They work without script, in dark and light, on a phone.
//!
//! ```text
//! /                        refs, and how to pull them          refs.rs
//! /commit/ID               a commit, its signatures and size   commit.rs
//! /tree/ID/…               a directory of it                   tree.rs
//! /file/ID/…               a file of it, to be kept            tree.rs
//! /compare/ID/ID           what changed, what an update costs  compare.rs
//! ```
//! What is in a repository may want to harm whoever looks at it: every text is escaped, nothing but our own style sheet
//! is loaded, and files are never shown.

mod commit;
mod compare;
mod html;
mod refs;
mod sizes;
mod tree;

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY};
use ostree_format::{CommitId, FileId};

use self::html::{Html, Url};
pub(super) use self::sizes::Sizes;
pub(super) use self::tree::exported_dirs;
use super::answer::{Answer, Content, TEXT};
use super::asked::Asked;
use super::shelf::{Found, Key, Made};
use super::site::{Extent, Site, blocking};
use crate::store::{Error, ObjectRead};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

/// Nothing but the style sheet, and nowhere else to go.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// A file is for its reader's disk.
const FILE_POLICY: &str = "default-src 'none'; sandbox";

/// What a request leads to.
enum Page {
    /// An HTML document.
    Html(Html),
    /// The content of a file.
    File {
        id: FileId,
        len: u64,
    },
    Missing(String),
}

/// Answers for everything else; `None` if there is no such page.
pub(super) async fn answer(site: &Site, asked: &Asked, path: &[&str]) -> Option<Answer> {
    let id = |text: &str| text.parse().ok().map(CommitId::new);
    let (repo, sizes) = (Arc::clone(&site.repo), Arc::clone(&site.sizes));
    let below = |path: &[&str]| path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    let page = match path {
        [""] => {
            let place = site.extent.scheme().zip(asked.host.clone());
            blocking(move || refs::page(&repo, place)).await
        }
        ["Caddyfile"] if site.extent == Extent::Files => {
            return Some(Answer::now(TEXT, include_str!("../export/Caddyfile")));
        }
        ["s3-sync.sh"] if site.extent == Extent::Files => {
            return Some(Answer::now(TEXT, include_str!("../export/s3-sync.sh")));
        }
        ["nginx.conf"] if site.extent == Extent::Files => {
            return Some(Answer::now(TEXT, include_str!("../export/nginx.conf")));
        }
        ["style.css"] => return Some(Answer::now(CSS, include_str!("style.css"))),
        ["commit", commit] => {
            let (commit, extent) = (id(commit)?, site.extent);
            let _turn = site.packing.acquire().await;
            blocking(move || commit::page(&repo, &sizes, &commit, extent)).await
        }
        ["tree", commit, path @ ..] => {
            let (commit, path, extent) = (id(commit)?, below(path), site.extent);
            blocking(move || tree::page(&repo, &commit, &path, extent)).await
        }
        ["file", commit, path @ ..] => {
            let (commit, path) = (id(commit)?, below(path));
            blocking(move || tree::file(&repo, &commit, &path)).await
        }
        ["compare", from, to] => {
            let (from, to) = (id(from)?, id(to)?);
            let _turn = site.packing.acquire().await;
            blocking(move || compare::page(&repo, &sizes, &from, &to)).await
        }
        _ => return None,
    };
    Some(match page {
        Err(answer) => answer,
        Ok(Ok(Page::Html(html))) => document(Answer::now(HTML, html.into_document())),
        Ok(Ok(Page::File { id, len })) => send_file(site, asked, id, len).await,
        Ok(Ok(Page::Missing(what))) => missing(&what),
        Ok(Err(Error::NotFound(name))) => missing(&format!("{name} is not in this repository")),
        Ok(Err(error)) => Answer::failed(&error),
    })
}

/// A document that loads nothing from elsewhere.
fn document(answer: Answer) -> Answer {
    answer
        .with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))
        .with(REFERRER_POLICY, HeaderValue::from_static("same-origin"))
}

fn missing(what: &str) -> Answer {
    let html = frame("Not here", &[], |html| html.word("p", what));
    let answer = Answer::says(StatusCode::NOT_FOUND, html.into_document());
    document(Answer { content_type: HTML, ..answer })
}

/// What all pages have around them; `path` leads from the refs to here.
fn frame(title: &str, path: &[(Url, String)], inner: impl FnOnce(&mut Html)) -> Html {
    let mut html = Html::default();
    html.tag("html", &[("lang", "en")], |html| {
        html.tag("head", &[], |html| {
            html.void("meta", &[("charset", "utf-8")]);
            html.void("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.word("title", title);
            html.void("link", &[("rel", "stylesheet"), ("href", "/style.css")]);
        });
        html.tag("body", &[], |html| {
            html.tag("header", &[], |html| {
                html.tag("nav", &[("aria-label", "Path")], |html| {
                    html.link(&Url::of([]), "Refs");
                    for (url, name) in path {
                        html.text("/");
                        html.link(url, name);
                    }
                });
            });
            html.tag("main", &[], |html| {
                html.word("h1", title);
                inner(html);
            });
            html.tag("footer", &[], |html| html.text(concat!("ostree-rs ", env!("CARGO_PKG_VERSION"))));
        });
    });
    html
}

/// A term and what it stands for, in a list of such.
fn entry(html: &mut Html, term: &str, inner: impl FnOnce(&mut Html)) {
    html.word("dt", term);
    html.tag("dd", &[], inner);
}

/// A table that scrolls where it has no room.
fn table(html: &mut Html, columns: &[&str], rows: impl FnOnce(&mut Html)) {
    html.tag("div", &[("class", "scroll")], |html| {
        html.tag("table", &[], |html| {
            html.tag("tr", &[], |html| columns.iter().for_each(|column| html.word("th", column)));
            rows(html);
        });
    });
}

/// The first digits of a commit's id, which lead to its page.
fn commit_link(html: &mut Html, id: &CommitId) {
    let text = id.to_string();
    html.tag("span", &[("class", "id")], |html| html.link(&Url::of(["commit", &text]), &text[..12]));
}

/// A time in UTC.
fn time(secs: u64) -> String {
    let time = chrono::DateTime::from_timestamp(secs.cast_signed(), 0);
    time.map_or_else(|| format!("{secs} s"), |time| time.format("%Y-%m-%d %H:%M UTC").to_string())
}

/// Bytes in powers of 1000.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog10() / 3).min(6);
    format!("{:.1} {}", bytes as f64 / 1000f64.powi(power as i32), UNITS[power as usize - 1])
}

/// The content of a file, which lies there or comes out of an archive by way of the shelf.
async fn send_file(site: &Site, asked: &Asked, id: FileId, len: u64) -> Answer {
    use crate::store::Content::{Empty, File, Stream};
    let repo = Arc::clone(&site.repo);
    let object = match blocking(move || repo.open_file(&id)).await {
        Ok(Ok(Some(object))) => object,
        Ok(Ok(None)) => return missing("the content of this file is not in this repository"),
        Ok(Err(error)) => return Answer::failed(&error),
        Err(answer) => return answer,
    };
    let content = match object.content {
        _ if asked.is_head => Content::Promised(Some(len)),
        Empty => Content::Bytes(Default::default()),
        File(file) => Content::Made(Arc::new(Made::whole(file, len))),
        Stream(mut stream) => match site.find(Key::Content(id), Some(len)).await {
            Err(answer) => return answer,
            Ok(Found::There(made)) => Content::Made(made),
            Ok(Found::Make(made, maker)) => {
                site.make(maker, move |maker| {
                    let copied = std::io::copy(&mut stream, maker);
                    copied.map(drop).map_err(|e| Error::Read { what: id.to_string(), source: e })
                });
                Content::Made(made)
            }
        },
    };
    Answer::for_ever(format!("{id}-content"), content)
        .with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY))
        .with(hyper::header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"))
}
