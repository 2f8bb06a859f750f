//! The summary of a remote: fetched if it changed, judged before it is believed, and kept for the next time.
//!
//! ```text
//! tmp/cache/summaries/NAME, NAME.sig    the time of modification and the xattr user.etag are the server's
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::{Duration, SystemTime};

use cap_std::fs::{Dir, OpenOptions};
use chrono::DateTime;
use ostree_format::{MAX_METADATA_BYTES, ParseError, Summary};
use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

use super::error::{Error, Result};
use super::local::{LocalArchive, read_path};
use super::options::SummaryJudge;
use super::server::{RemoteServer, is_missing};
use crate::base::{Ctx, WithCauses, fs};
use crate::net::header::{HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use crate::net::{Downloads, FetchedBody, FetchedFile};

const SUMMARY: &str = "summary";
const SIGNATURES: &str = "summary.sig";
const ETAG: &str = "user.etag";
/// The longest tag that is kept.
const MAX_ETAG_BYTES: usize = 4096;

/// A summary that was judged.
#[derive(Debug, Clone)]
pub struct FetchedSummary {
    /// The URL or path of the file, for messages.
    pub place: String,
    /// The file.
    pub bytes: Vec<u8>,
    /// The file with its signatures, if there is one.
    pub signatures: Option<Vec<u8>>,
    /// What the file says.
    pub parsed: Summary,
}

impl FetchedSummary {
    /// An error about what it says.
    pub(super) fn damaged(&self, source: ParseError) -> Error {
        Error::Summary { place: self.place.clone(), source }
    }
}

/// Summaries of earlier pulls.
#[derive(Debug)]
pub struct SummaryCache {
    dir: Dir,
    name: String,
}

/// A file of the cache, and what the server is told of it.
#[derive(Debug, Default)]
struct CachedFile {
    bytes: Vec<u8>,
    etag: Option<String>,
    modified: Option<SystemTime>,
}

/// A file that the server has, if it has it.
type Came = Option<FetchedFile>;

impl SummaryCache {
    /// The summary of the remote `name` among those in `dir`.
    pub fn new(dir: Dir, name: impl Into<String>) -> Self {
        Self { dir, name: name.into() }
    }

    /// What is not readable is not there.
    fn read(&self, extension: &str) -> Option<CachedFile> {
        let mut file = self.dir.open(format!("{}{extension}", self.name)).ok()?.into_std();
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let mut etag = vec![0; MAX_ETAG_BYTES];
        let len = fgetxattr(&file, ETAG, &mut etag[..]).unwrap_or(0);
        etag.truncate(len);
        let etag = String::from_utf8(etag).ok().filter(|etag| !etag.is_empty());
        let mut bytes = Vec::new();
        (&mut file).take(MAX_METADATA_BYTES).read_to_end(&mut bytes).ok()?;
        Some(CachedFile { bytes, etag, modified })
    }

    /// Keeps a file; what cannot be kept is fetched again.
    fn keep(&self, extension: &str, bytes: &[u8], fetched: &FetchedFile) {
        let name = format!("{}{extension}", self.name);
        let temporary = format!(".{name}.new");
        let write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut file: File =
                self.dir.open_with(&temporary, options.write(true).create(true).truncate(true))?.into_std();
            file.write_all(bytes)?;
            if let Some(etag) = &fetched.etag {
                // Some file systems have no xattrs.
                let _ = fsetxattr(&file, ETAG, etag.as_bytes(), XattrFlags::empty());
            }
            if let Some(time) = fetched.last_modified.as_deref().and_then(parse_time) {
                file.set_modified(time)?;
            }
            self.dir.rename(&temporary, &self.dir, &name)
        };
        if let Err(error) = write() {
            let place = fs::place(&self.dir, &name);
            tracing::debug!(place = %place.display(), %error, "summary not cached");
        }
    }
}

/// Reads the summary of a repository of this machine.
pub(super) fn read(
    from: &dyn LocalArchive,
    judge: Option<&SummaryJudge<'_>>,
) -> Result<Option<FetchedSummary>> {
    let (bytes, signatures) =
        (read_path(from, SUMMARY, MAX_METADATA_BYTES)?, read_path(from, SIGNATURES, MAX_METADATA_BYTES)?);
    let place = || match from.open_path(SUMMARY) {
        Ok(Some(file)) => fs::place(file, "").display().to_string(),
        _ => SUMMARY.into(),
    };
    judged(bytes, signatures, judge, &place)
}

/// Fetches the summary of `server`, unless `cache` has the one that is there.
pub(super) fn fetch(
    server: &RemoteServer,
    cache: Option<&SummaryCache>,
    judge: Option<&SummaryJudge<'_>>,
    ctx: &Ctx,
) -> Result<Option<FetchedSummary>> {
    let mut downloads = server.downloads(ctx);
    let place = || server.place(SUMMARY);
    if let Some(known) = server.known_summary() {
        let signatures = one(server, &mut downloads, SIGNATURES, &CachedFile::default())?;
        return judged(Some(known.to_vec()), held(&signatures), judge, &place);
    }
    let read = |extension| cache.and_then(|cache| cache.read(extension)).unwrap_or_default();
    let (known, known_signatures) = (read(""), read(".sig"));
    if known_signatures.bytes.is_empty() || known.bytes.is_empty() {
        // Both at once, since both will be needed.
        let (summary, signatures) = both(server, &mut downloads)?;
        return finish(summary, signatures, cache, judge, &place);
    }
    let came = one(server, &mut downloads, SIGNATURES, &known_signatures)?;
    let signatures = came.as_ref().map(|came| match &came.body {
        FetchedBody::Held(bytes) => bytes.to_vec(),
        FetchedBody::Spilled | FetchedBody::NotModified => known_signatures.bytes.clone(),
    });
    // With the same signatures it is the same summary.
    if signatures.as_ref() != Some(&known_signatures.bytes) {
        match one(server, &mut downloads, SUMMARY, &known)? {
            Some(FetchedFile { body: FetchedBody::NotModified, .. }) => {}
            summary => return finish(summary, came, cache, judge, &place),
        }
    }
    match judged(Some(known.bytes), signatures, judge, &place) {
        // Whoever damaged what was kept: it is not what the server has.
        Err(error @ (Error::Refused(_) | Error::Summary { .. } | Error::WebPage(_))) => {
            tracing::debug!(error = %WithCauses(&error), "cached summary of no use");
        }
        judged => return judged,
    }
    let (summary, signatures) = both(server, &mut downloads)?;
    finish(summary, signatures, cache, judge, &place)
}

/// Judges files that came, and keeps them.
fn finish(
    summary: Came,
    signatures: Came,
    cache: Option<&SummaryCache>,
    judge: Option<&SummaryJudge<'_>>,
    place: &dyn Fn() -> String,
) -> Result<Option<FetchedSummary>> {
    let judged = judged(held(&summary), held(&signatures), judge, place)?;
    if let (Some(cache), Some(judged)) = (cache, &judged)
        && let (Some(summary), Some(signatures)) = (&summary, &signatures)
        && let Some(bytes) = &judged.signatures
    {
        cache.keep("", &judged.bytes, summary);
        cache.keep(".sig", bytes, signatures);
    }
    Ok(judged)
}

/// The content of a file that came.
fn held(came: &Came) -> Option<Vec<u8>> {
    match came {
        Some(FetchedFile { body: FetchedBody::Held(bytes), .. }) => Some(bytes.to_vec()),
        _ => None,
    }
}

fn judged(
    bytes: Option<Vec<u8>>,
    signatures: Option<Vec<u8>>,
    judge: Option<&SummaryJudge<'_>>,
    place: &dyn Fn() -> String,
) -> Result<Option<FetchedSummary>> {
    let Some(bytes) = bytes else {
        return if judge.is_some() { Err(Error::NoSummaryToVerify) } else { Ok(None) };
    };
    if let Some(judge) = judge {
        judge(&bytes, signatures.as_deref()).map_err(Error::Refused)?;
    }
    let place = place();
    match Summary::parse(&bytes) {
        Ok(parsed) => Ok(Some(FetchedSummary { place, bytes, signatures, parsed })),
        // An index page of a server for every path, a page to log in.
        Err(_) if bytes.trim_ascii_start().starts_with(b"<") => Err(Error::WebPage(place)),
        Err(source) => Err(Error::Summary { place, source }),
    }
}

/// Fetches one file, unless it is the known one.
fn one(
    server: &RemoteServer,
    downloads: &mut Downloads<&'static str>,
    path: &'static str,
    known: &CachedFile,
) -> Result<Came> {
    let mut request = server.request(path, MAX_METADATA_BYTES);
    let modified = known.modified.map(DateTime::<chrono::Utc>::from);
    let modified = modified.map(|time| time.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &modified)] {
        if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
            request.headers.insert(name, value);
        }
    }
    present(downloads.fetch(path, request))
}

/// Fetches both files, whatever is known.
fn both(server: &RemoteServer, downloads: &mut Downloads<&'static str>) -> Result<(Came, Came)> {
    for path in [SUMMARY, SIGNATURES] {
        downloads.ask(path, server.request(path, MAX_METADATA_BYTES));
    }
    let (mut summary, mut signatures) = (None, None);
    while let Some((path, fetched)) = downloads.wait()? {
        *(if path == SUMMARY { &mut summary } else { &mut signatures }) = present(fetched)?;
    }
    Ok((summary, signatures))
}

fn present(fetched: crate::net::Result<FetchedFile>) -> Result<Came> {
    match fetched {
        // Each of the two waits for the other one.
        Ok(fetched) => Ok(Some(fetched.kept())),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn parse_time(text: &str) -> Option<SystemTime> {
    let secs = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(secs).ok()?))
}
