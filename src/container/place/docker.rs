//! An image in an archive made by `docker save`: `docker-archive:PATH[:NAME:TAG]`, or `docker-archive:PATH:@N` for the
//! one that is number N in it, from 0 on.
//!
//! ```text
//! manifest.json   [{"Config": "HEX.json", "RepoTags": ["name:tag"], "Layers": ["HEX/layer.tar", …]}]
//! HEX.json        the configuration, with the diffids
//! HEX/layer.tar   a layer, or a symbolic link to another one
//! ```
//! Such an archive has no manifest with digests: one is made up here. Archives that we write are those that
//! `docker save` writes since version 25: an OCI layout with a `manifest.json`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use cap_std::fs::Dir;
use oci_spec::image::{Descriptor, ImageManifestBuilder, MediaType, Platform};
use serde::{Deserialize, Serialize};

use super::archive::{Extent, Slice, normal, not_tar, read_whole};
use super::{OciArchiveWriter, index};
use crate::base::debug_fields;
use crate::base::io::Hashing;
use crate::container::blob::{FORMAT_BYTES, LayerFormat};
use crate::container::image::media::{
    DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_LAYER_ZSTD, DOCKER_MANIFEST,
};
use crate::container::image::{
    BlobWriter, Compression, Digest, Error, ImageDest, ImageSource, RawManifest, RepositoryName, Result,
    canonical_json, lenient,
};

const MANIFEST: &str = "manifest.json";
/// A link may lead to a link so many times.
const MAX_LINKS: usize = 8;

/// One image in a docker archive, to be read.
#[derive(Debug)]
pub struct DockerArchive {
    file: Arc<File>,
    blobs: HashMap<Digest, Extent>,
    manifest: RawManifest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    /// null for an image without any.
    layers: Option<Vec<String>>,
}

/// What the archive holds, by path: of entries with the same path the first one, as for skopeo and podman.
#[derive(Default)]
struct Entries(HashMap<PathBuf, Found>);

enum Found {
    File(Extent),
    /// A link, to this path.
    Link(PathBuf),
}

impl DockerArchive {
    /// The image called `name` in the archive, or that of number N for the name `@N`; without a name the only one
    /// there is. `file` is a [`plain_archive`](super::plain_archive).
    ///
    /// # Errors
    /// [`Error::NotALayout`] if `file` is no tar archive, [`Error::Image`] if it is none of such images,
    /// [`Error::TagNotFound`], [`Error::Ambiguous`], [`Error::Json`], [`Error::Io`].
    pub fn open(file: File, name: Option<&str>) -> Result<Self> {
        let file = Arc::new(file);
        let entries = Entries::read(&file)?;
        let items: Vec<Item> = serde_json::from_slice(&read_whole(&file, entries.find(MANIFEST)?, MANIFEST)?)
            .map_err(Error::json(MANIFEST))?;
        let item = choose(&items, name)?;
        let config_extent = entries.find(&item.config)?;
        let config_bytes = read_whole(&file, config_extent, &item.config)?;
        let config = lenient::configuration(&config_bytes, item.config.as_str())?;
        let diff_ids = config.rootfs().diff_ids();
        let files = item.layers.as_deref().unwrap_or_default();
        if diff_ids.len() != files.len() {
            let why = format!("{} layers, but {} diffids in {}", files.len(), diff_ids.len(), item.config);
            return Err(Error::Image(why));
        }
        let digest = Digest::of(&config_bytes);
        let mut blobs = HashMap::from([(digest, config_extent)]);
        let config = digest.descriptor(MediaType::from(DOCKER_CONFIG), config_bytes.len() as u64)?;
        let mut layers = Vec::new();
        for (path, diff_id) in files.iter().zip(diff_ids) {
            let extent = entries.find(path)?;
            let (digest, media_type) = layer(&file, extent, diff_id)?;
            blobs.insert(digest, extent);
            layers.push(digest.descriptor(MediaType::from(media_type), extent.size)?);
        }
        let manifest = ImageManifestBuilder::default()
            .schema_version(2u32)
            .media_type(MediaType::from(DOCKER_MANIFEST))
            .config(config)
            .layers(layers)
            .build()
            .map_err(Error::image)?;
        let bytes = canonical_json(&manifest)?;
        let digest = Digest::of(&bytes);
        let manifest = RawManifest { bytes, media_type: MediaType::from(DOCKER_MANIFEST), digest };
        Ok(Self { file, blobs, manifest })
    }
}

impl Entries {
    fn read(file: &Arc<File>) -> Result<Self> {
        let mut out = Self::default();
        let mut archive = tar::Archive::new(&**file);
        for entry in archive.entries_with_seek().map_err(not_tar)? {
            let entry = entry.map_err(not_tar)?;
            let path = entry.path().map_err(not_tar)?;
            let path = normal(&path).unwrap_or_default();
            let kind = entry.header().entry_type();
            if kind.is_file() {
                let extent = Extent { start: entry.raw_file_position(), size: entry.size() };
                out.0.entry(path).or_insert(Found::File(extent));
            } else if let Some(target) = entry.link_name().map_err(not_tar)? {
                let base = if kind.is_symlink() { path.parent() } else { None };
                if let Some(target) = normal(&base.unwrap_or(Path::new("")).join(target)) {
                    out.0.entry(path).or_insert(Found::Link(target));
                }
            }
        }
        Ok(out)
    }

    fn find(&self, name: &str) -> Result<Extent> {
        let mut path = normal(Path::new(name)).unwrap_or_default();
        for _ in 0..MAX_LINKS {
            match self.0.get(&path) {
                Some(Found::File(extent)) => return Ok(*extent),
                Some(Found::Link(target)) => path.clone_from(target),
                None => break,
            }
        }
        Err(Error::Image(format!("damaged, or no archive of docker save: it has no file {name:?}")))
    }
}

fn choose<'a>(items: &'a [Item], name: Option<&str>) -> Result<&'a Item> {
    let tags = |item: &Item| item.repo_tags.clone().unwrap_or_default();
    let known = || {
        let names = |(n, item): (usize, &Item)| [vec![format!("@{n}")], tags(item)].concat();
        items.iter().enumerate().flat_map(names).collect()
    };
    let full = |tag: &str| match RepositoryName::is_short(tag) {
        true => format!("docker.io/{tag}").parse::<RepositoryName>().ok(),
        false => tag.parse().ok(),
    };
    if let Some(number) = name.and_then(index::number) {
        let missing = || Error::TagNotFound { tag: format!("@{number}"), known: known() };
        return items.get(number).ok_or_else(missing);
    }
    match (name, items) {
        (Some(name), _) => {
            let found = |tag: &String| tag == name || (full(tag).is_some() && full(tag) == full(name));
            let found = items.iter().find(|item| tags(item).iter().any(found));
            found.ok_or_else(|| Error::TagNotFound { tag: name.to_owned(), known: known() })
        }
        (None, [only]) => Ok(only),
        (None, []) => Err(Error::Image("the archive holds no image".to_owned())),
        (None, _) => Err(Error::Ambiguous { known: known() }),
    }
}

/// The digest and media type of a layer, which only its first bytes tell. One that is not compressed has its
/// diffid for a digest, which is verified when it is read.
fn layer(file: &Arc<File>, extent: Extent, diff_id: &str) -> Result<(Digest, &'static str)> {
    let mut magic = Vec::new();
    let read = |e| Error::io("read archive", "docker-archive")(e);
    Slice::new(file, extent).take(FORMAT_BYTES as u64).read_to_end(&mut magic).map_err(read)?;
    let media_type = match LayerFormat::of_bytes(&magic) {
        LayerFormat::Tar => {
            let digest = diff_id.parse();
            let digest = digest.map_err(|source| Error::Reference { text: diff_id.to_owned(), source })?;
            return Ok((digest, DOCKER_LAYER));
        }
        LayerFormat::Gzip | LayerFormat::Bzip2 | LayerFormat::Xz => DOCKER_LAYER_GZIP,
        LayerFormat::Zstd => DOCKER_LAYER_ZSTD,
    };
    let mut hashing = Hashing::new(Slice::new(file, extent));
    io::copy(&mut hashing, &mut io::sink()).map_err(read)?;
    Ok((Digest::new(hashing.finish().1), media_type))
}

impl ImageSource for DockerArchive {
    fn manifest(&self) -> Result<RawManifest> {
        Ok(self.manifest.clone())
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Box<dyn Read + Send>> {
        let digest = Digest::of_descriptor(descriptor)?;
        let extent = self.blobs.get(&digest).ok_or(Error::BlobNotFound(digest))?;
        Ok(Box::new(Slice::new(&self.file, *extent)))
    }
}

/// A new docker archive with one image. It appears under its name at [`DockerArchiveWriter::finish`].
#[must_use = "the archive appears when it is finished"]
pub struct DockerArchiveWriter {
    archive: OciArchiveWriter,
    tag: Option<String>,
    items: Mutex<Vec<Item>>,
}

debug_fields!(DockerArchiveWriter { archive });

impl DockerArchiveWriter {
    /// Begins the archive `name` in `dir`; the image in it will be called `tag`, such as `app:1`.
    ///
    /// # Errors
    /// [`Error::Usage`] if `tag` is a number of an image, `@N`; [`Error::Io`].
    pub fn create(dir: &Dir, name: &Path, tag: Option<&str>) -> Result<Self> {
        let archive = OciArchiveWriter::create(dir, name, tag)?;
        Ok(Self { archive, tag: tag.map(str::to_owned), items: Mutex::default() })
    }

    /// Completes the archive and gives it its name, replacing what had it before.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Usage`] if a blob is still being written.
    pub fn finish(self) -> Result<()> {
        let items = self.items.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.archive.add_file(MANIFEST, &canonical_json(&items)?)?;
        self.archive.finish()
    }
}

impl ImageDest for DockerArchiveWriter {
    fn has_blob(&self, digest: &Digest) -> Result<bool> {
        self.archive.has_blob(digest)
    }

    fn new_blob(&self) -> Result<Box<dyn BlobWriter + '_>> {
        self.archive.new_blob()
    }

    fn parallel_blobs(&self) -> NonZeroUsize {
        self.archive.parallel_blobs()
    }

    /// Older versions of docker know no zstd.
    fn compression(&self, wanted: Compression) -> Compression {
        match wanted {
            Compression::Zstd(_) | Compression::ZstdChunked(_) => Compression::GZIP,
            Compression::None | Compression::Gzip(_) => wanted,
        }
    }

    fn put_manifest(&self, manifest: &RawManifest, platform: Option<&Platform>) -> Result<()> {
        let image = lenient::manifest(&manifest.bytes, format!("manifest {}", manifest.digest))?;
        let path = |d: &Descriptor| {
            Digest::of_descriptor(d).map(|digest| format!("blobs/sha256/{}", digest.checksum()))
        };
        let layers = image.layers().iter().map(path).collect::<Result<Vec<_>>>()?;
        let repo_tags = self.tag.clone().map(|tag| vec![tag]);
        let item = Item { config: path(image.config())?, repo_tags, layers: Some(layers) };
        self.items.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        self.archive.put_manifest(manifest, platform)
    }
}
