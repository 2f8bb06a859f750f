//! Where GPG signatures of images lie: a server beside the registry, or the registry itself.
//!
//! ```yaml
//! default-docker:
//!   lookaside: file:///var/lib/containers/sigstore      # "sigstore" in older files
//! docker:
//!   registry.example.com/org:
//!     lookaside: https://example.com/signatures
//! ```
//! BASE/PATH@sha256=HEX/signature-1, -2, … until one is missing, where PATH is that of the place that the image came
//! from: of a mirror, if one gave it. Keys that are not known are passed over, and so is whether sigstore's signatures
//! lie beside an image: those are looked for anyway. Source: containers-registries.d(5), containers/image
//! docker/registries_d.go.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use crate::base::Ctx;
use crate::container::config::policy::wildcards;
use crate::container::config::yaml::{self, Node, NodeValue};
use crate::container::image::{ConfigError, Digest, RepositoryName, Result};
use crate::net::registry::Registry;
use crate::net::{Http, Method, Request, Url};

const DEFAULT: &str = "default-docker";
/// A signature has about a kilobyte.
const MAX_SIGNATURE_BYTES: u64 = 1024 * 1024;
const MAX_SIGNATURES: usize = 128;

/// The keys that say something of a scope.
const KEYS: [&str; 5] =
    ["lookaside", "lookaside-staging", "sigstore", "sigstore-staging", "use-sigstore-attachments"];

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
    /// [`ConfigError`] if it is not understood, or about a scope that another file is about.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), ConfigError> {
        let bad = |(line, why): (usize, String)| ConfigError::new(file, format!("line {line}: {why}"));
        let Some(root) = yaml::document(text).map_err(bad)? else { return Ok(()) };
        for (key, node) in mapping(&root, "a file").map_err(bad)? {
            match key.as_str() {
                DEFAULT if !matches!(node.value, NodeValue::Null) => {
                    self.add_place(file, DEFAULT, node).map_err(bad)?
                }
                "docker" => {
                    for (scope, node) in mapping(node, key).map_err(bad)? {
                        self.add_place(file, scope, node).map_err(bad)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn add_place(&mut self, file: &str, scope: &str, node: &Node) -> Result<(), (usize, String)> {
        let mut place = LookasidePlace { file: file.into(), ..LookasidePlace::default() };
        for (key, node) in mapping(node, scope)? {
            let value = match &node.value {
                NodeValue::Scalar(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
                NodeValue::Null => None,
                _ if KEYS.contains(&key.as_str()) => return Err((node.line, format!("{key} has one value"))),
                _ => continue,
            };
            match key.as_str() {
                "lookaside" => place.lookaside = value.map(str::to_owned),
                "sigstore" => place.sigstore = value.map(str::to_owned),
                "use-sigstore-attachments" if !value.is_none_or(is_bool) => {
                    return Err((node.line, format!("{key} is true or false")));
                }
                _ => {}
            }
        }
        match self.places.insert(scope.into(), place) {
            Some(other) => Err((node.line, format!("{} is about {scope:?}, too", other.file))),
            None => Ok(()),
        }
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

/// The keys of a node; none for null.
fn mapping<'a>(
    node: &'a Node,
    what: &str,
) -> Result<impl Iterator<Item = (&'a String, &'a Rc<Node>)>, (usize, String)> {
    match &node.value {
        NodeValue::Mapping(keys) => Ok(Some(keys).into_iter().flatten()),
        NodeValue::Null => Ok(None.into_iter().flatten()),
        _ => Err((node.line, format!("below {what:?} keys are expected"))),
    }
}

/// The words of YAML 1.1.
fn is_bool(value: &str) -> bool {
    ["true", "false", "yes", "no", "on", "off", "y", "n"].contains(&value.to_lowercase().as_str())
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
    read_file: &dyn Fn(&Path) -> Result<Option<Vec<u8>>>,
    ctx: &Ctx,
) -> Result<Vec<Vec<u8>>> {
    if let Some(signatures) = registry.signatures(image.checksum(), ctx)? {
        return Ok(signatures);
    }
    let base = config.base(name).unwrap_or(default_base);
    let mut out = Vec::new();
    for number in 1..=MAX_SIGNATURES {
        let url = signature_url(base, name, image, number)?;
        let signature = match (url.scheme(), url.to_file_path()) {
            ("file", Ok(path)) => read_file(&path)?,
            _ => fetch(http, url, ctx)?,
        };
        let Some(signature) = signature else { break };
        out.push(signature);
    }
    Ok(out)
}

/// The place of a signature below `base`, whose query, if there is one, stays behind it.
fn signature_url(base: &str, name: &RepositoryName, image: &Digest, number: usize) -> Result<Url> {
    let bad = |why: &dyn std::fmt::Display| {
        ConfigError::new("registries.d", format!("{base:?} is no http, https or file URL: {why}"))
    };
    let mut url: Url = base.parse().map_err(|e| bad(&e))?;
    let is_readable = match url.scheme() {
        "file" => url.host().is_none(),
        scheme => matches!(scheme, "http" | "https"),
    };
    if !is_readable {
        return Err(bad(&"nothing can be fetched from there").into());
    }
    let above = url.path().trim_end_matches('/');
    url.set_path(&format!("{above}/{}@sha256={}/signature-{number}", name.path, image.checksum()));
    Ok(url)
}

fn fetch(http: &Http, url: Url, ctx: &Ctx) -> Result<Option<Vec<u8>>> {
    let request = Request::new(Method::GET, url);
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
        // Other keys are for other programs.
        assert!(config.add("d.yaml", "lookaside: x\n").is_ok());
    }
}
