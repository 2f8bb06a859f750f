//! Which object goes to which layer, as a caller says it, or a file.
//!
//! ```text
//! {"version": 1, "created": "2024-01-02T03:04:05Z", "labels": {"key": "value"},
//!  "layers": {"id": "name", …},            in the order of the layers
//!  "mapping": {"CHECKSUM": "id", …}}       every content object of the commit
//! ```
//! The file that `ostree-ext-cli container encapsulate --contentmeta` takes. Source: ostree-ext, cli.rs.

use std::collections::{BTreeMap, HashMap};

use chrono::DateTime;
use ostree_format::FileId;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess};

use crate::container::image::{Error, FromMembers, Result, read_object};

const WHAT: &str = "contentmeta";
const VERSION: u32 = 1;

/// An assignment of a commit's content objects to layers, which somebody else has made than this library.
#[derive(Debug, Clone)]
pub struct ContentMeta {
    /// The time at which the image was made, in seconds since 1970.
    pub(crate) created_secs: Option<u64>,
    /// Labels for the image.
    pub(crate) labels: BTreeMap<String, String>,
    /// The id and the name of each layer.
    pub(super) layers: Vec<(String, String)>,
    /// The layer of each object.
    pub(super) mapping: HashMap<FileId, usize>,
}

#[derive(Deserialize)]
struct Document {
    version: u32,
    created: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    layers: Pairs,
    mapping: HashMap<Object, String>,
    ordered: Option<bool>,
}

/// A content object's checksum as a key.
#[derive(PartialEq, Eq, Hash)]
struct Object(FileId);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        text.parse().map(|checksum| Self(FileId::new(checksum))).map_err(serde::de::Error::custom)
    }
}

/// An object's members in their order.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        read_object(input)
    }
}

impl<'de> FromMembers<'de> for Pairs {
    fn from_members<A: MapAccess<'de>>(mut members: A) -> Result<Self, A::Error> {
        let mut out = Vec::new();
        while let Some(pair) = members.next_entry()? {
            out.push(pair);
        }
        Ok(Self(out))
    }
}

impl ContentMeta {
    /// The layers in their order, each with its name and the content objects in it. Every content object of the commit has to
    /// be in one.
    ///
    /// # Errors
    /// [`Error::Usage`] if an object is in two layers.
    pub fn new(layers: impl IntoIterator<Item = (String, Vec<FileId>)>) -> Result<Self> {
        let mut out =
            Self { created_secs: None, labels: BTreeMap::new(), layers: Vec::new(), mapping: HashMap::new() };
        for (number, (name, objects)) in layers.into_iter().enumerate() {
            for object in objects {
                if out.mapping.insert(object, number).is_some_and(|other| other != number) {
                    return Err(Error::Usage(format!(
                        "object {object} is to go to layer {name:?} and to another one"
                    )));
                }
            }
            out.layers.push((name.clone(), name));
        }
        Ok(out)
    }

    /// Reads the document.
    ///
    /// # Errors
    /// [`Error::Json`]; [`Error::Unsupported`] for another version, or if it asks for an order of objects;
    /// [`Error::Usage`] if it contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let document: Document = serde_json::from_slice(bytes).map_err(Error::json(WHAT))?;
        if document.version != VERSION {
            return Err(Error::Unsupported(format!("{WHAT} of version {}", document.version)));
        }
        if document.ordered == Some(true) {
            return Err(Error::Unsupported(format!("{WHAT} that wants its objects in order")));
        }
        let mut numbers = HashMap::new();
        for (number, (id, _)) in document.layers.0.iter().enumerate() {
            if numbers.insert(id.as_str(), number).is_some() {
                return Err(Error::Usage(format!("{WHAT}: two layers have the id {id:?}")));
            }
        }
        let layer = |(object, id): (Object, String)| match numbers.get(id.as_str()) {
            Some(number) => Ok((object.0, *number)),
            None => {
                Err(Error::Usage(format!("{WHAT}: object {} goes to {id:?}, which is no layer", object.0)))
            }
        };
        let mapping = document.mapping.into_iter().map(layer).collect::<Result<_>>()?;
        Ok(Self {
            created_secs: document.created.as_deref().map(seconds).transpose()?,
            labels: document.labels.unwrap_or_default(),
            mapping,
            layers: document.layers.0,
        })
    }
}

/// RFC 3339.
fn seconds(text: &str) -> Result<u64> {
    let time = DateTime::parse_from_rfc3339(text).ok().and_then(|t| u64::try_from(t.timestamp()).ok());
    time.ok_or_else(|| Error::Usage(format!("{WHAT}: {text:?} is no time since 1970")))
}
