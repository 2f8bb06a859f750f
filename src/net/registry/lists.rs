//! Lists, which come in pages: tags, and what refers to a manifest.
//!
//! ```text
//! GET /v2/NAME/tags/list ► {"tags": […]}, Link: <…>; rel="next" ► GET …
//! ```

use std::collections::BTreeMap;

use ostree_format::Checksum;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LINK};
use serde::de::IgnoredAny;

use super::{MAX_MANIFEST_BYTES, Registry, RegistryAccess};
use crate::base::Ctx;
use crate::net::{Error, Patience, Request, Response, Result};

/// The most pages of a list that are read; all of them together are no larger than a manifest.
const MAX_PAGES: usize = 1000;

impl Registry {
    /// The indexes of the manifests that refer to `subject`: the pages of the referrers API or, where the
    /// registry does not know it, what lies under the tag `sha256-DIGEST`; none if nothing refers to it.
    ///
    /// # Errors
    /// [`Error::NotJson`], [`Error::Protocol`] if the pages do not end; what the network gives.
    pub fn referrers(&self, subject: &Checksum, ctx: &Ctx) -> Result<Vec<Vec<u8>>> {
        const INDEX: &str = "application/vnd.oci.image.index.v1+json";
        let request = Request::new(Method::GET, self.url(&format!("referrers/sha256:{subject}"))?);
        let request = request.header(ACCEPT, INDEX);
        let patience = &mut self.http.patience(ctx);
        let send = |patience: &mut Patience| self.send(&request, RegistryAccess::Pull, patience);
        let (response, index) = self.http.read_whole(MAX_MANIFEST_BYTES, patience, send)?;
        if response.status().is_success()
            && response.header(CONTENT_TYPE).is_some_and(|t| t.starts_with(INDEX))
        {
            let pages = self.pages(&request, response, index, patience)?;
            return pages
                .into_iter()
                .map(|(page, index)| {
                    page.parse::<BTreeMap<String, IgnoredAny>>("index", &index).map(|_| index)
                })
                .collect();
        }
        match self.manifest(&format!("sha256-{subject}"), &[INDEX], ctx) {
            Ok(manifest) => Ok(vec![manifest.bytes]),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Every tag of the repository.
    ///
    /// # Errors
    /// [`Error::NotJson`] if the answer is no list, [`Error::Protocol`] if its pages do not end; what the network
    /// gives.
    pub fn tags(&self, ctx: &Ctx) -> Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let request = Request::new(Method::GET, self.url("tags/list")?);
        let patience = &mut self.http.patience(ctx);
        let (response, body) = self.read(&request, patience)?;
        let mut out = Vec::new();
        for (page, body) in self.pages(&request, response, body, patience)? {
            let list: List = page.parse("list of tags", &body)?;
            out.extend(list.tags.unwrap_or_default());
        }
        Ok(out)
    }

    /// A list: the page that answers `request`, and each that the one before calls the next.
    fn pages(
        &self,
        request: &Request,
        first: Response,
        body: Vec<u8>,
        patience: &mut Patience,
    ) -> Result<Vec<(Response, Vec<u8>)>> {
        let mut left = MAX_MANIFEST_BYTES.saturating_sub(body.len() as u64);
        let mut out = vec![(first, body)];
        while let Some((response, _)) = out.last()
            && let Some(link) = next_link(&response.headers(LINK))
        {
            if out.len() == MAX_PAGES {
                return Err(Error::protocol(&response.url, format!("a list of more than {MAX_PAGES} pages")));
            }
            let bad = |e| Error::protocol(&response.url, format!("next page at {link:?}: {e}"));
            let request = Request { url: response.url.join(link).map_err(bad)?, ..request.clone() };
            patience.renew();
            let page = self.http.read_whole(left, patience, |patience| {
                match self.send_at(&request, RegistryAccess::Pull, patience)? {
                    response if response.status().is_success() => Ok(response),
                    response => Err(self.failed(response, Method::GET, patience)),
                }
            })?;
            left = left.saturating_sub(page.1.len() as u64);
            out.push(page);
        }
        Ok(out)
    }
}

/// The URL of the link to the next page: `<…>; rel="next"`, among others perhaps (RFC 8288).
fn next_link<'a>(values: &[&'a str]) -> Option<&'a str> {
    let links = values.iter().flat_map(|value| value.split('<').skip(1));
    let is_next = |parameter: &str| {
        let value = parameter.trim().strip_prefix("rel=");
        let value = value.map(|v| v.trim_matches([' ', ',', '"']));
        value.is_some_and(|v| v.split(' ').any(|kind| kind.eq_ignore_ascii_case("next")))
    };
    let (url, _) = links
        .filter_map(|link| link.split_once('>'))
        .find(|(_, parameters)| parameters.split(';').any(is_next))?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        for (values, expected) in [
            (&["</v2/a?n=1>; rel=\"next\""][..], Some("/v2/a?n=1")),
            (&["<x>;rel=next"], Some("x")),
            (&["<p>; rel=\"prev\", <n>; title=\"t\"; rel=\"Next\", <l>; rel=\"last\""], Some("n")),
            (&["<p>; rel=\"prev\"", "<n>; rel=\"last next\""], Some("n")),
            (&["<p>; rel=\"prev\"", "<n>; title=\"next\"", "n; rel=\"next\"", "<n"], None),
            (&[], None),
        ] {
            assert_eq!(next_link(values), expected, "{values:?}");
        }
    }
}
