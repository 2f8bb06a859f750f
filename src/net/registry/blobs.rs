//! The blobs of a repository: read, whole or in parts, looked for, and begun to be sent.

use std::ops::Range;

use bytes::Bytes;
use ostree_format::Checksum;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use reqwest::{Method, StatusCode};

use super::super::{Error, Patience, Reopen, Request, Response, Result, Resumed, several};
use super::{Registry, RegistryAccess, Upload};
use crate::base::Ctx;

impl Registry {
    /// A blob of `size` bytes, where that is known. The connection may break: the rest is fetched with
    /// `Range`. Its digest is not verified here.
    ///
    /// # Errors
    /// [`Error::Status`] (see [`Error::is_not_found`]) and what the network gives.
    pub fn blob(&self, digest: &Checksum, size: Option<u64>, ctx: &Ctx) -> Result<Resumed> {
        let mut ask = self.ask_for(digest)?;
        let ask = move |headers: &[(HeaderName, String)], patience: &mut Patience| {
            let response = ask(headers, patience)?;
            match size {
                Some(size) if is_page(&response, size) => Err(page_error(response, size, patience)),
                // A blob that is compressed by itself has the size that it should have.
                Some(size) if response.is_coded() && response.length() != Some(size) => {
                    Ok(response.decoded())
                }
                _ => Ok(response),
            }
        };
        Resumed::open(size, self.http.patience(ctx), Box::new(ask))
    }

    /// The bytes `part` of a blob; `None` if the registry gives only whole blobs. A broken connection is dealt with
    /// as in [`Registry::blob`].
    ///
    /// # Errors
    /// As [`Registry::blob`].
    pub fn blob_part(&self, digest: &Checksum, part: Range<u64>, ctx: &Ctx) -> Result<Option<Resumed>> {
        Resumed::open_part(part, self.http.patience(ctx), self.ask_for(digest)?)
    }

    /// The bytes of several `parts` of a blob, in their order, by one request; `None` if the registry does not give them
    /// so. All of them are in memory.
    ///
    /// # Errors
    /// As [`Registry::blob`].
    pub fn blob_parts(
        &self,
        digest: &Checksum,
        parts: &[Range<u64>],
        ctx: &Ctx,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let request = Request::new(Method::GET, self.url(&format!("blobs/sha256:{digest}"))?)
            .header(RANGE, &several::range_header(parts));
        let (limit, mut whole) = (several::limit(parts), false);
        let read = self.http.read_whole(limit, &mut self.http.patience(ctx), |patience| {
            let response = self.send_ok(&request, RegistryAccess::Pull, patience)?;
            whole = response.status() != StatusCode::PARTIAL_CONTENT;
            match whole {
                // Its body is not waited for.
                true => Err(Error::protocol(&response.url, "all of the blob instead of parts")),
                false => Ok(response),
            }
        });
        match read {
            Err(error) if whole || several::is_refusal(&error) => Ok(None),
            Err(error) => Err(error),
            Ok((response, body)) => Ok(several::parse(
                response.header(CONTENT_TYPE),
                response.header(CONTENT_RANGE),
                &body,
                parts,
            )),
        }
    }

    /// Sends the request for a blob, with further headers.
    fn ask_for(&self, digest: &Checksum) -> Result<Reopen> {
        let request = Request::new(Method::GET, self.url(&format!("blobs/sha256:{digest}"))?);
        let registry = self.clone();
        Ok(Box::new(move |headers, patience| {
            let with_header = |request: Request, (name, value): &(_, String)| {
                request.header(HeaderName::clone(name), value)
            };
            let request = headers.iter().fold(request.clone(), with_header);
            registry.send_ok(&request, RegistryAccess::Pull, patience)
        }))
    }

    /// Whether the repository has a blob.
    ///
    /// # Errors
    /// What the network gives.
    pub fn has_blob(&self, digest: &Checksum, access: RegistryAccess, ctx: &Ctx) -> Result<bool> {
        let request = Request::new(Method::HEAD, self.url(&format!("blobs/sha256:{digest}"))?);
        let patience = &mut self.http.patience(ctx);
        let response = self.send(&request, access, patience)?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            s if s.is_success() => Ok(true),
            _ => Err(self.failed(response, Method::HEAD, patience)),
        }
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`Error::Status`], [`Error::Protocol`], and what the network gives.
    pub fn start_upload(&self, ctx: &Ctx) -> Result<Upload> {
        let request = Request::new(Method::POST, self.url("blobs/uploads/")?).body(Bytes::new());
        Upload::begun(self, &self.send_ok(&request, RegistryAccess::Push, &mut self.http.patience(ctx))?)
    }

    /// Lets a blob of another repository of the same registry stand in this one too; `false` if the
    /// registry will not, and the blob has to be uploaded.
    ///
    /// # Errors
    /// What the network gives.
    pub fn mount(&self, digest: &Checksum, from: &str, ctx: &Ctx) -> Result<bool> {
        let mut url = self.url("blobs/uploads/")?;
        url.query_pairs_mut().append_pair("mount", &format!("sha256:{digest}")).append_pair("from", from);
        let request = Request::new(Method::POST, url).body(Bytes::new());
        let patience = &mut self.http.patience(ctx);
        let response = self.send_scoped(&request, RegistryAccess::Push, Some(from), patience)?;
        match response.status() {
            StatusCode::CREATED => Ok(true),
            StatusCode::ACCEPTED => {
                // The registry began an ordinary upload instead; nobody will go on with it.
                Upload::begun(self, &response)?.cancel(ctx);
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

/// Whether an answer is a page of HTML instead of a blob of `size` bytes.
fn is_page(response: &Response, size: u64) -> bool {
    let is_html = response.header(CONTENT_TYPE).is_some_and(|value| value.starts_with("text/html"));
    let has_size = response.header(CONTENT_LENGTH) == Some(&*size.to_string());
    response.status() == StatusCode::OK && is_html && !has_size
}

fn page_error(mut response: Response, size: u64, patience: &Patience) -> Error {
    let words = response.words(patience);
    Error::protocol(&response.url, format!("no blob of {size} bytes but {words}"))
}
