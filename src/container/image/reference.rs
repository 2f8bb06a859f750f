//! References to images: the place, the name, and the source of trust.
//!
//! ```text
//! ostree-image-signed:IMGREF               a container signature vouches for the image
//! ostree-unverified-image:IMGREF           nobody does
//! ostree-unverified-registry:NAME          the same as ostree-unverified-image:registry:NAME
//! ostree-remote-image:REMOTE:IMGREF        a key of the ostree remote REMOTE signed the commit
//! ostree-remote-registry:REMOTE:NAME       the same as ostree-remote-image:REMOTE:registry:NAME
//!
//! IMGREF   registry:NAME  docker://NAME  oci:PATH[:TAG]  oci-archive:PATH[:TAG]  docker-archive:PATH[:TAG]
//!          containers-storage:NAME  dir:PATH  docker-daemon:NAME
//! ```
//! Text and value convert into each other without loss, up to the short forms: a registry is written
//! `docker://`, and an unverified one `ostree-unverified-registry:`.

use std::fmt;
use std::str::FromStr;

use ostree_format::{ParseError, RemoteName};

/// The kind of place where an image lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A registry: `docker://` or `registry:`.
    Registry,
    /// An OCI layout directory: `oci:`.
    OciDir,
    /// A tar archive of a layout: `oci-archive:`.
    OciArchive,
    /// An archive made by `docker save`: `docker-archive:`.
    DockerArchive,
    /// The store that podman uses: `containers-storage:`.
    ContainersStorage,
    /// A plain directory: `dir:`.
    Dir,
    /// A docker daemon: `docker-daemon:`.
    DockerDaemon,
}

/// The place of an image and its name there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageReference {
    transport: Transport,
    name: Box<str>,
}

/// The source of trust in an image: who has to sign it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureSource {
    /// A key of this ostree remote, which signed the commit.
    OstreeRemote(RemoteName),
    /// A container signature, as the `policy.json` of containers-policy.json(5) asks for.
    ContainerPolicy,
    /// No signature is needed.
    Unverified,
}

/// An image and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OstreeImageReference {
    /// The source of trust in the image.
    pub signature: SignatureSource,
    /// The image.
    pub image: ImageReference,
}

impl Transport {
    /// The transports, all of them.
    pub const ALL: [Self; 7] = [
        Self::Registry,
        Self::OciDir,
        Self::OciArchive,
        Self::DockerArchive,
        Self::ContainersStorage,
        Self::Dir,
        Self::DockerDaemon,
    ];

    /// The text before the name: `oci:`, `docker://`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Registry => "docker://",
            Self::OciDir => "oci:",
            Self::OciArchive => "oci-archive:",
            Self::DockerArchive => "docker-archive:",
            Self::ContainersStorage => "containers-storage:",
            Self::Dir => "dir:",
            Self::DockerDaemon => "docker-daemon:",
        }
    }
}

impl ImageReference {
    /// The image called `name` at `transport`.
    ///
    /// # Errors
    /// If the name is empty, or holds a NUL, or the path of an archive or directory is empty.
    pub fn new(transport: Transport, name: &str) -> Result<Self, ParseError> {
        Self::at(0, transport, name)
    }

    /// The kind of place where the image lies.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The text after the transport.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path and the tag, where the transport has a path; the first colon stands between them.
    pub fn path_and_tag(&self) -> Option<(&str, Option<&str>)> {
        match self.transport {
            Transport::OciDir | Transport::OciArchive | Transport::DockerArchive => {
                Some(match self.name.split_once(':') {
                    Some((path, tag)) => (path, Some(tag).filter(|t| !t.is_empty())),
                    None => (&self.name, None),
                })
            }
            Transport::Dir => Some((&self.name, None)),
            Transport::Registry | Transport::ContainersStorage | Transport::DockerDaemon => None,
        }
    }

    /// `name` stands at `offset` of what was given.
    fn at(offset: usize, transport: Transport, name: &str) -> Result<Self, ParseError> {
        let error = |at, why| Err(ParseError::invalid(WHAT, offset + at, why));
        if name.is_empty() {
            return error(0, "the name is empty");
        }
        if let Some(at) = name.find('\0') {
            return error(at, "a NUL in the name");
        }
        let image = Self { transport, name: name.into() };
        match image.path_and_tag() {
            Some(("", _)) => error(0, "the path is empty"),
            _ => Ok(image),
        }
    }

    fn parse(offset: usize, text: &str) -> Result<Self, ParseError> {
        if let Some(name) = text.strip_prefix("registry:") {
            return Self::at(offset + "registry:".len(), Transport::Registry, name);
        }
        for transport in Transport::ALL {
            if let Some(name) = text.strip_prefix(transport.prefix()) {
                return Self::at(offset + transport.prefix().len(), transport, name);
            }
        }
        let why = match text.split_once(':') {
            Some(("docker", _)) => "'//' is missing after 'docker:'".to_owned(),
            Some((unknown, _)) => {
                let known = Transport::ALL.map(Transport::prefix).join(", ");
                format!("unknown transport '{unknown}': there are {known}")
            }
            None => "no transport: write docker://NAME, oci:PATH[:TAG], oci-archive:PATH …".to_owned(),
        };
        Err(ParseError::invalid(WHAT, offset, why))
    }
}

impl OstreeImageReference {
    /// The words that may stand before the first colon.
    pub const SCHEMES: [&str; 5] = [
        "ostree-image-signed",
        "ostree-unverified-image",
        "ostree-unverified-registry",
        "ostree-remote-image",
        "ostree-remote-registry",
    ];

    fn parse(text: &str) -> Result<Self, ParseError> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(ParseError::invalid(WHAT, text.len(), "no ':'"));
        };
        let at = scheme.len() + 1;
        let (signature, image) = match scheme {
            "ostree-image-signed" => (SignatureSource::ContainerPolicy, ImageReference::parse(at, rest)?),
            "ostree-unverified-image" => (SignatureSource::Unverified, ImageReference::parse(at, rest)?),
            "ostree-unverified-registry" => {
                (SignatureSource::Unverified, ImageReference::at(at, Transport::Registry, rest)?)
            }
            "ostree-remote-image" | "ostree-remote-registry" => {
                let Some((remote, rest)) = rest.split_once(':') else {
                    return Err(ParseError::invalid(WHAT, text.len(), "no ':' after the remote"));
                };
                let remote_name = remote
                    .parse::<RemoteName>()
                    .map_err(|e| ParseError::new(e.what, at + e.offset, e.kind))?;
                let at = at + remote.len() + 1;
                let image = match scheme {
                    "ostree-remote-image" => ImageReference::parse(at, rest)?,
                    _ => ImageReference::at(at, Transport::Registry, rest)?,
                };
                (SignatureSource::OstreeRemote(remote_name), image)
            }
            unknown => {
                return Err(ParseError::invalid(
                    WHAT,
                    0,
                    format!("unknown scheme '{unknown}': there are {}", Self::SCHEMES.join(", ")),
                ));
            }
        };
        Ok(Self { signature, image })
    }
}

const WHAT: &str = "image reference";

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.transport, self.name)
    }
}

impl FromStr for ImageReference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(0, text)
    }
}

impl fmt::Display for OstreeImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.signature, self.image.transport) {
            (SignatureSource::Unverified, Transport::Registry) => {
                write!(f, "ostree-unverified-registry:{}", self.image.name)
            }
            (SignatureSource::Unverified, _) => write!(f, "ostree-unverified-image:{}", self.image),
            (SignatureSource::ContainerPolicy, _) => write!(f, "ostree-image-signed:{}", self.image),
            (SignatureSource::OstreeRemote(remote), _) => {
                write!(f, "ostree-remote-image:{remote}:{}", self.image)
            }
        }
    }
}

impl FromStr for OstreeImageReference {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}
