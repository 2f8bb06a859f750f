//! `/repo/`: the repository as an archive, whatever its mode.
//!
//! ```text
//! config, summary, refs/heads/…     made of what is there now
//! objects/xx/….filez                as it lies there (archive) ─── a file
//!                                   packed: small ──────────────── bytes
//!                                           large ─► shelf ─────── a file that grows
//! objects/xx/….commit …, deltas/…   as they lie there
//! ```

mod path;

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ostree_format::{FileId, ObjectName};

use self::path::RepoPath;
use super::answer::{Answer, Content, OCTETS, TEXT};
use super::asked::Asked;
use super::shelf::{Found, Key, Made};
use super::site::{Site, blocking};
use super::summary::Summaries;
use crate::repo::Repo;
use crate::store::{ObjectRead, Refs, Result, local_ref, pack_file};

/// Content of more bytes than these goes through the shelf.
const SMALL_BYTES: u64 = 64 * 1024;

/// Answers for what stands behind `/repo/`.
pub(in crate::serve) async fn answer(site: &Site, asked: &Asked, path: &[&str]) -> Answer {
    let Some(path) = RepoPath::parse(path) else {
        return Answer::missing("an archive repository has nothing of this name");
    };
    let (repo, summaries) = (Arc::clone(&site.repo), Arc::clone(&site.summaries));
    let is_head = asked.is_head;
    let looked_up = match blocking(move || look_up(&repo, &summaries, &path, is_head)).await {
        Ok(Ok(looked_up)) => looked_up,
        Ok(Err(error)) => return Answer::failed(&error),
        Err(answer) => return answer,
    };
    match looked_up {
        LookedUp::Answer(answer) => answer,
        LookedUp::Large { id, etag } => match site.find(Key::Packed(id), None).await {
            Ok(Found::There(made)) => Answer::for_ever(etag, Content::Made(made)),
            Ok(Found::Make(made, maker)) => {
                let repo = Arc::clone(&site.repo);
                site.make(maker, move |maker| pack(&repo, &id, maker));
                Answer::for_ever(etag, Content::Made(made))
            }
            Err(answer) => answer,
        },
    }
}

/// What was found.
enum LookedUp {
    Answer(Answer),
    /// A large object, which has to be packed.
    Large {
        id: FileId,
        etag: String,
    },
}

fn look_up(repo: &Repo, summaries: &Summaries, path: &RepoPath, is_head: bool) -> Result<LookedUp> {
    let missing = |what: String| Answer::missing(format!("{what} is not in this repository"));
    let answer = match path {
        RepoPath::Config => Answer::now(TEXT, repo.served_config()?),
        RepoPath::Summary => Answer::now(OCTETS, summaries.of(repo)?.bytes),
        RepoPath::SummarySignatures => match summaries.of(repo)?.signatures {
            Some(signatures) => Answer::now(OCTETS, signatures),
            None => Answer::missing("the summary is not signed"),
        },
        RepoPath::Ref(name) => match repo.resolve_exact(&local_ref(name.clone()))? {
            Some(commit) => Answer::now(TEXT, format!("{commit}\n")),
            None => missing(format!("ref {name}")),
        },
        RepoPath::Meta(name) => match repo.read_meta(name)? {
            Some(bytes) => metadata(name, bytes),
            None => missing(name.to_string()),
        },
        RepoPath::File(id) => return look_up_file(repo, id, is_head),
        RepoPath::Delta(file) => match repo.open_delta(file)? {
            // Made anew, a delta may have other parts.
            Some((file, len)) => Answer::file(Content::Made(Arc::new(Made::whole(file, len)))),
            None => missing(file.path()),
        },
    };
    Ok(LookedUp::Answer(answer))
}

/// A metadata object; detached metadata can change under its name.
fn metadata(name: &ObjectName, bytes: Vec<u8>) -> Answer {
    use ostree_format::ObjectType::CommitMeta;
    match name.kind {
        CommitMeta => Answer::now(OCTETS, bytes),
        _ => Answer::for_ever(name.to_string(), Content::Bytes(bytes.into())),
    }
}

fn look_up_file(repo: &Repo, id: &FileId, is_head: bool) -> Result<LookedUp> {
    let ready = |etag, content| Ok(LookedUp::Answer(Answer::for_ever(etag, content)));
    if let Some((file, len)) = repo.open_packed(id)? {
        // Two archives may have packed the same object in two ways.
        return ready(format!("{id}-{len}"), Content::Made(Arc::new(Made::whole(file, len))));
    }
    let Some((_, len)) = repo.stat_file(id)? else {
        return Ok(LookedUp::Answer(Answer::missing(format!(
            "{} is not in this repository",
            ObjectName::from(*id)
        ))));
    };
    let level = repo.packing_level();
    let etag = format!("{id}-{}-{level}", env!("CARGO_PKG_VERSION"));
    if len <= SMALL_BYTES {
        let mut packed = Vec::new();
        pack(repo, id, &mut packed)?;
        return ready(etag, Content::Bytes(Bytes::from(packed)));
    }
    if is_head {
        return ready(etag, Content::Promised(None));
    }
    Ok(LookedUp::Large { id: *id, etag })
}

fn pack(repo: &Repo, id: &FileId, out: &mut dyn io::Write) -> Result<()> {
    let object = repo.open_file(id)?.ok_or(crate::store::Error::NotFound((*id).into()))?;
    pack_file(id, object, repo.packing_level(), out)
}
