//! Where a remote repository is, and requests for its files.

use ostree_format::{MAX_METADATA_BYTES, ObjectName, ObjectType, RepoMode};

use super::error::{Error, Result};
use crate::base::Ctx;
use crate::net::header::{AUTHORIZATION, COOKIE, HeaderMap};
use crate::net::{Downloads, Error as NetError, FetchedBody, FileRequest, Http, Url, shown};

/// The largest file that is read besides objects and summaries: a ref, a config, a list of mirrors.
const MAX_SMALL_FILE_BYTES: u64 = 10 * 1024 * 1024;

/// The addresses of one list that are used at most.
pub(super) const MAX_MIRRORS: usize = 100;

/// A web server, or several mirrors, with an archive repository.
#[derive(Debug, Clone)]
pub struct RemoteServer {
    http: Http,
    metadata: Vec<Url>,
    content: Vec<Url>,
    headers: HeaderMap,
    /// The summary, if it was fetched and verified already.
    summary: Option<Vec<u8>>,
}

impl RemoteServer {
    /// A repository at any of the addresses `metadata`, whose objects are at `content`, or at the same addresses where that
    /// is empty. Every request gets `headers`.
    pub fn new(http: Http, metadata: Vec<Url>, content: Vec<Url>, headers: HeaderMap) -> Self {
        let content = if content.is_empty() { metadata.clone() } else { content };
        Self { http, metadata, content, headers, summary: None }
    }

    /// This server, whose summary is known.
    #[must_use]
    pub(super) fn with_summary(self, summary: Vec<u8>) -> Self {
        Self { summary: Some(summary), ..self }
    }

    /// The summary, if it is known.
    pub(super) fn known_summary(&self) -> Option<&[u8]> {
        self.summary.as_deref()
    }

    /// Takes out of headers what is for the host that the user named, not for those that it names: redirects do so, too.
    pub fn strip_secrets(headers: &mut HeaderMap) {
        headers.remove(COOKIE);
        headers.remove(AUTHORIZATION);
    }

    /// The file at an address.
    pub(super) fn fetch_url(http: &Http, url: &Url, headers: &HeaderMap, ctx: &Ctx) -> Result<Vec<u8>> {
        let headers = headers.clone();
        let request = FileRequest { headers, ..FileRequest::new(vec![url.clone()], MAX_METADATA_BYTES) };
        match Downloads::new(http, ctx).fetch((), request)?.body {
            FetchedBody::Held(bytes) => Ok(bytes.to_vec()),
            FetchedBody::Spilled | FetchedBody::NotModified => Ok(Vec::new()),
        }
    }

    /// Downloads from this server.
    pub(super) fn downloads<T: Send + 'static>(&self, ctx: &Ctx) -> Downloads<T> {
        Downloads::new(&self.http, ctx)
    }

    /// A request for a file that is no content object.
    pub(super) fn request(&self, path: &str, limit: u64) -> FileRequest {
        self.at(&self.metadata, path, limit)
    }

    /// A request for an object of at most `limit` bytes. What may change, as signatures do, is at the first addresses.
    pub(super) fn object(&self, name: &ObjectName, limit: u64) -> FileRequest {
        let bases = if name.kind == ObjectType::CommitMeta { &self.metadata } else { &self.content };
        self.at(bases, &format!("objects/{}", name.loose_path(RepoMode::Archive)), limit)
    }

    /// A request for a file that is beside the objects.
    pub(super) fn beside_objects(&self, path: &str, limit: u64) -> FileRequest {
        self.at(&self.content, path, limit)
    }

    /// Where a file is that is no content object, for messages: at the first address.
    pub(super) fn place(&self, path: &str) -> String {
        self.metadata.first().map_or_else(|| path.into(), |base| shown(&below(base, path)))
    }

    fn at(&self, bases: &[Url], path: &str, limit: u64) -> FileRequest {
        let urls = bases.iter().map(|base| below(base, path)).collect();
        FileRequest { headers: self.headers.clone(), ..FileRequest::new(urls, limit) }
    }

    /// A small file.
    ///
    /// # Errors
    /// If the server does not give it.
    pub fn require(&self, path: &str, ctx: &Ctx) -> Result<Vec<u8>> {
        let request = self.request(path, MAX_SMALL_FILE_BYTES);
        match self.downloads(ctx).fetch((), request)?.body {
            FetchedBody::Held(bytes) => Ok(bytes.to_vec()),
            FetchedBody::Spilled | FetchedBody::NotModified => Ok(Vec::new()),
        }
    }

    /// A small file, if the server has it.
    ///
    /// # Errors
    /// If the server cannot be asked.
    pub fn read(&self, path: &str, ctx: &Ctx) -> Result<Option<Vec<u8>>> {
        match self.require(path, ctx) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::Net(error)) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether the server says that it does not have a file, in one of the ways in which servers do.
pub(super) fn is_missing(error: &NetError) -> bool {
    matches!(error, NetError::Status { status, .. } if matches!(status.as_u16(), 403 | 404 | 410))
}

/// The address of the file `path` of a repository.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lie_below_the_repository() {
        for (base, path, expected) in [
            ("http://a/repo", "refs/heads/a/b c", "http://a/repo/refs/heads/a/b%20c"),
            ("http://a/repo/", "summary", "http://a/repo/summary"),
            ("http://a", "summary?x", "http://a/summary%3Fx"),
            ("http://a/repo?token=1", "config", "http://a/repo/config?token=1"),
        ] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(below(&base, path).as_str(), expected);
        }
    }
}
