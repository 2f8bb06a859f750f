//! Where GPG signatures of images lie: a server beside the registry, or the registry itself.
//!
//! ```yaml
//! default-docker:
//!   lookaside: file:///var/lib/containers/sigstore      # "sigstore" in older files
//! docker:
//!   registry.example.com/org:
//!     lookaside: https://example.com/signatures
//! ```
//! BASE/PATH@sha256=HEX/signature-1, -2, … until one is missing. Only this much of YAML is read: mappings of
//! mappings, and scalars on one line. Source: containers-registries.d(5).

use std::collections::BTreeMap;

use crate::base::Ctx;
use crate::container::config::policy::wildcards;
use crate::container::image::{ConfigError, Digest, RepositoryName, Result};
use crate::net::registry::Registry;
use crate::net::{Http, Method, Request, Url};

const DEFAULT: &str = "default-docker";
/// A signature has about a kilobyte.
const MAX_SIGNATURE_BYTES: u64 = 1024 * 1024;
const MAX_SIGNATURES: usize = 128;

/// The files of `registries.d` together.
#[derive(Debug, Default)]
pub struct LookasideConfig {
    places: BTreeMap<String, LookasidePlace>,
}

/// Where the signatures of a scope lie.
#[derive(Debug, Default)]
struct LookasidePlace {
    /// The file that says so.
    file: String,
    lookaside: Option<String>,
    /// The place, given by the older name of the key.
    sigstore: Option<String>,
}

impl LookasideConfig {
    /// Adds a file; `file` is its name for messages.
    ///
    /// # Errors
    /// [`ConfigError`] if it is not understood, or says something that another file says too.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let bad = |line: usize, why: &str| Err(ConfigError::new(file, format!("line {line}: {why}")));
        // The keys above the current line, with their indentation.
        let mut above: Vec<(usize, String)> = Vec::new();
        for (number, line) in text.lines().enumerate().map(|(n, line)| (n + 1, line)) {
            let Some((indent, key, value)) = split(line) else {
                if strip_comment(line).trim().is_empty() {
                    continue;
                }
                return bad(number, "this is not \"key: value\"");
            };
            above.retain(|(level, _)| *level < indent);
            if value.is_empty() || value == "{}" {
                above.push((indent, key.into()));
                continue;
            }
            let scope = match &above[..] {
                [(_, top)] if top == DEFAULT => DEFAULT,
                [(_, top), (_, scope)] if top == "docker" => scope.as_str(),
                _ => return bad(number, "this belongs to neither default-docker nor docker"),
            };
            let new = || LookasidePlace { file: file.into(), ..LookasidePlace::default() };
            let place = self.places.entry(scope.into()).or_insert_with(new);
            let url = match key {
                "lookaside" => &mut place.lookaside,
                "sigstore" => &mut place.sigstore,
                // Where signatures are written to, and that sigstore's are beside the image.
                _ => continue,
            };
            if url.replace(value.into()).is_some() || place.file != file {
                return bad(number, "another line or file says where these lie");
            }
        }
        Ok(())
    }

    /// The base of the signatures of a repository.
    fn base<'a>(&'a self, name: &RepositoryName) -> Option<&'a str> {
        let full = name.repository();
        let parents = std::iter::successors(Some(full.as_str()), |scope| Some(scope.rsplit_once('/')?.0));
        let tagged = name.tag.as_ref().map(|tag| format!("{full}:{tag}"));
        let scopes = tagged.into_iter().chain(parents.map(str::to_owned)).chain(wildcards(&name.host));
        let url = |place: &'a LookasidePlace| place.lookaside.as_deref().or(place.sigstore.as_deref());
        scopes.chain([DEFAULT.to_owned()]).find_map(|scope| self.places.get(&scope).and_then(url))
    }
}

fn strip_comment(line: &str) -> &str {
    match line.find('#') {
        Some(0) => "",
        Some(at) if line[..at].ends_with([' ', '\t']) => &line[..at],
        _ => line,
    }
}

/// Indentation, key and value of a line.
fn split(line: &str) -> Option<(usize, &str, &str)> {
    let line = strip_comment(line).trim_end();
    let text = line.trim_start_matches(' ');
    let (key, value) = match text.split_once(": ") {
        Some((key, value)) => (key, value.trim()),
        None => (text.strip_suffix(':')?, ""),
    };
    let unquote = |s: &'_ str| -> Option<(usize, usize)> {
        let quoted = s.len() > 1
            && (s.starts_with('"') && s.ends_with('"') || s.starts_with('\'') && s.ends_with('\''));
        quoted.then(|| (1, s.len() - 1))
    };
    let bare = |s: &'_ str| unquote(s).unwrap_or((0, s.len()));
    let ((a, b), (c, d)) = (bare(key), bare(value));
    (!key.is_empty()).then(|| (line.len() - text.len(), &key[a..b], &value[c..d]))
}

/// The signed messages of an image: those that the registry itself keeps, or else those of the lookaside
/// server, which is at `default_base` if nothing says where. `read_file` reads a file of a `file://` place;
/// `None` if it does not exist.
///
/// # Errors
/// [`Error::Net`](crate::container::image::Error::Net), and what `read_file` says.
#[expect(clippy::too_many_arguments, reason = "each is another thing, and there is one caller")]
pub fn gpg_signatures(
    config: &LookasideConfig,
    default_base: &str,
    registry: &Registry,
    http: &Http,
    name: &RepositoryName,
    image: &Digest,
    read_file: &dyn Fn(&str) -> Result<Option<Vec<u8>>>,
    ctx: &Ctx,
) -> Result<Vec<Vec<u8>>> {
    if let Some(signatures) = registry.signatures(image.checksum(), ctx)? {
        return Ok(signatures);
    }
    let base = config.base(name).unwrap_or(default_base);
    let mut out = Vec::new();
    for number in 1..=MAX_SIGNATURES {
        let base = base.trim_end_matches('/');
        let url = format!("{base}/{}@sha256={}/signature-{number}", name.path, image.checksum());
        let signature = match url.strip_prefix("file://") {
            Some(path) => read_file(path)?,
            None => fetch(http, &url, ctx)?,
        };
        let Some(signature) = signature else { break };
        out.push(signature);
    }
    Ok(out)
}

fn fetch(http: &Http, url: &str, ctx: &Ctx) -> Result<Option<Vec<u8>>> {
    let parsed: Url = url.parse().map_err(|e| {
        ConfigError::new("registries.d", format!("{url:?} is no http, https or file URL: {e}"))
    })?;
    let request = Request::new(Method::GET, parsed);
    match http.fetch(&request, MAX_SIGNATURE_BYTES, ctx) {
        Ok(signature) => Ok(Some(signature)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let mut config = LookasideConfig::default();
        let text = "# comment\ndefault-docker:\n  lookaside: file:///var/lib/s # here\n\ndocker:\n  \
                    \"reg.example:5000/org\":\n    sigstore: 'https://sigs.example/x'\n    \
                    use-sigstore-attachments: true\n  other.example:\n    lookaside-staging: file:///x\n  \
                    '*.wild.example':\n    lookaside: file:///wild\n";
        config.add("a.yaml", text).unwrap();
        let base = |name: &str| config.base(&name.parse().unwrap()).unwrap().to_owned();
        assert_eq!(base("reg.example:5000/org/app:1"), "https://sigs.example/x");
        assert_eq!(base("reg.example:5000/organic/app:1"), "file:///var/lib/s");
        assert_eq!(base("other.example/app"), "file:///var/lib/s");
        assert_eq!(base("a.wild.example:5000/app"), "file:///wild");
        let both = "docker:\n  a.example/x:\n    sigstore: file:///old\n    lookaside: file:///new\n";
        config.add("both.yaml", both).unwrap();
        assert_eq!(config.base(&"a.example/x:1".parse().unwrap()), Some("file:///new"));
        assert!(config.add("b.yaml", "default-docker:\n  sigstore: file:///y\n").is_err());
        assert!(config.add("c.yaml", "- a\n").is_err());
        assert!(config.add("d.yaml", "lookaside: x\n").is_err());
    }
}
