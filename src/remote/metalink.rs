//! Metalinks: where a file may be had, and its checksums.
//!
//! ```text
//! <metalink><files><file name="summary">
//!   <size>N</size>
//!   <verification><hash type="sha256">…</hash>…</verification>
//!   <resources><url protocol="http" preference="100">http://…/summary</url>…</resources>
//! </file></files></metalink>
//! ```
//! Other elements are passed over. Source: libostree ostree-metalink.c.

use ostree_format::Checksum;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use ring::digest::{SHA512, SHA512_OUTPUT_LEN, digest};

use super::error::{Error, Result};
use super::server::{MAX_MIRRORS, RemoteServer};
use crate::base::Ctx;
use crate::net::header::HeaderMap;
use crate::net::{Http, Url};

const SUMMARY: &str = "summary";

/// What a metalink says of one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Metalink {
    size: u64,
    sha256: Option<String>,
    sha512: Option<String>,
    /// The addresses, the preferred one first.
    urls: Vec<Url>,
}

impl RemoteServer {
    /// The repository whose summary the metalink at `url` leads to. The summary is verified by the checksums there, and
    /// will not be asked for again.
    ///
    /// # Errors
    /// [`Error::Metalink`] if the metalink cannot be read, or no address gives the file that it tells of; [`Error::Net`].
    pub fn from_metalink(
        http: Http,
        url: &Url,
        content: Vec<Url>,
        mut headers: HeaderMap,
        ctx: &Ctx,
    ) -> Result<Self> {
        let metalink = Metalink::parse(&Self::fetch_url(&http, url, &headers, ctx)?, SUMMARY)?;
        Self::strip_secrets(&mut headers);
        let mut failed = String::new();
        for url in metalink.urls.iter().take(MAX_MIRRORS) {
            let tried = Self::fetch_url(&http, url, &headers, ctx).and_then(|bytes| {
                metalink.verify(&bytes)?;
                Ok(bytes)
            });
            match tried {
                Ok(bytes) => {
                    let base = url.join(".").map_err(|error| Error::Metalink(error.to_string()))?;
                    return Ok(Self::new(http, vec![base], content, headers).with_summary(bytes));
                }
                Err(Error::Cancelled(cancelled)) => return Err(cancelled.into()),
                Err(error) => failed = error.to_string(),
            }
        }
        let tried = metalink.urls.len();
        Err(Error::Metalink(format!("Exhausted {tried} metalink targets, last error: {failed}")))
    }
}

impl Metalink {
    fn parse(document: &[u8], name: &str) -> Result<Self> {
        let bad = |why: &str| Error::Metalink(why.to_owned());
        let malformed = |error: quick_xml::Error| Error::Metalink(error.to_string());
        let text = str::from_utf8(document).map_err(|_| bad("the metalink is not UTF-8"))?;
        if !text.trim_start().starts_with('<') {
            return Err(bad("Document must begin with an element (e.g. <book>)"));
        }
        let (mut reader, mut found) = (Reader::from_str(text), None);
        let mut above = Vec::new();
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Eof => break,
                Event::Start(start) => {
                    let is_file = above == ["metalink", "files"] && local(&start) == "file";
                    if is_file && attribute(&start, "name").as_deref() == Some(name) {
                        found = Some(Self::read_file(&mut reader)?);
                    } else {
                        above.push(local(&start));
                    }
                }
                Event::End(_) => drop(above.pop()),
                _ => {}
            }
        }
        let found = found.ok_or_else(|| Error::Metalink(format!("No <file name='{name}'> found")))?;
        found.check()?;
        Ok(found)
    }

    /// Reads up to the end of the element.
    fn read_file(reader: &mut Reader<&[u8]>) -> Result<Self> {
        let malformed = |error: quick_xml::Error| Error::Metalink(error.to_string());
        let (mut file, mut urls) = (Self::default(), Vec::new());
        let (mut above, mut text) = (Vec::<(String, Option<String>, u32)>::new(), String::new());
        loop {
            match reader.read_event().map_err(malformed)? {
                Event::Start(start) => {
                    text.clear();
                    let kind = attribute(&start, "type").filter(|_| local(&start) == "hash");
                    let kind = kind.or_else(|| attribute(&start, "protocol"));
                    let preference = attribute(&start, "preference").and_then(|text| text.parse().ok());
                    above.push((local(&start), kind, preference.unwrap_or(0)));
                }
                Event::Text(part) => text += &part.xml10_content(),
                Event::GeneralRef(part) if part.xml10_content() == "amp" => text.push('&'),
                Event::End(_) => {
                    let Some((element, kind, preference)) = above.pop() else { break };
                    let value = text.trim().to_owned();
                    match (element.as_str(), kind.as_deref()) {
                        ("size", _) => file.size = value.parse().unwrap_or(0),
                        ("hash", Some("sha256")) => file.sha256 = Some(value),
                        ("hash", Some("sha512")) => file.sha512 = Some(value),
                        ("url", Some("http" | "https")) => {
                            urls.extend(Url::parse(&value).ok().map(|url| (preference, url)));
                        }
                        _ => {}
                    }
                    text.clear();
                }
                Event::Eof => break,
                _ => {}
            }
        }
        urls.sort_by_key(|(preference, _)| std::cmp::Reverse(*preference));
        file.urls = urls.into_iter().map(|(_, url)| url).collect();
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        let is_hex = |text: &str, bytes: usize| {
            text.len() == 2 * bytes && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
        };
        let why = match (&self.sha256, &self.sha512) {
            (None, None) => "No <verification> element with known <hash type=> found",
            (Some(hash), _) if !is_hex(hash, 32) => "Invalid hash digest for sha256",
            (_, Some(hash)) if !is_hex(hash, SHA512_OUTPUT_LEN) => "Invalid hash digest for sha512",
            _ if self.size == 0 => "No <size> element found or it is zero",
            _ if self.urls.is_empty() => "No <url method='http'> elements found",
            _ => return Ok(()),
        };
        Err(Error::Metalink(why.into()))
    }

    fn verify(&self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 != self.size {
            let (size, got) = (self.size, bytes.len());
            return Err(Error::Metalink(format!("Expected size is {size} bytes but content is {got} bytes")));
        }
        let sha512 = hex::encode(digest(&SHA512, bytes));
        let sha256 = Checksum::of(bytes).to_string();
        for (expected, actual) in [(&self.sha512, sha512), (&self.sha256, sha256)] {
            if let Some(expected) = expected.as_ref().filter(|expected| **expected != actual) {
                let why = format!("Expected checksum is {expected} but actual is {actual}");
                return Err(Error::Metalink(why));
            }
        }
        Ok(())
    }
}

fn local(start: &BytesStart<'_>) -> String {
    start.local_name().as_ref().to_owned()
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    Some(start.try_get_attribute(name).ok()??.value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn other_elements_are_passed_over() {
        let text = format!(
            "<?xml version=\"1.0\"?><metalink xmlns=\"http://www.metalinker.org/\"><deeply><file name=\"summary\"/>\
             </deeply><files><file name=\"other\"><size>1</size></file><file name=\"summary\"><size>7</size>\
             <verification><hash type=\"md5\">x</hash><hash type=\"sha256\"> {HASH}\n</hash></verification>\
             <resources><url protocol=\"http\" preference=\"9\">http://b/?a=1&amp;b</url><url protocol=\"ftp\">ftp://x/\
             </url><url protocol=\"https\" preference=\"10\">https://a/x</url></resources></file></files></metalink>"
        );
        let metalink = Metalink::parse(text.as_bytes(), "summary").expect("a metalink");
        let urls: Vec<_> = metalink.urls.iter().map(Url::as_str).collect();
        assert_eq!((metalink.size, &urls[..]), (7, &["https://a/x", "http://b/?a=1&b"][..]));
        assert_eq!(metalink.sha256.as_deref(), Some(HASH));
        assert!(metalink.verify(b"1234567").is_err());
    }
}
