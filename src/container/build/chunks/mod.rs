//! Divides the content objects of a commit among layers.
//!
//! ```text
//! commit ─ Tree ─┬─ package databases in it ─ Owners ─┐
//!                └─ contentmeta: somebody's decision ─┴► Components ─ packing ─► Chunk, Chunk, …
//!                                                                       ▲
//!                              the layers of the image before ──────────┘
//! ```
//! A component is what changes at once: the files of a package. What is in no chunk belongs to the first
//! layer, with the commit: files that change with every package.

mod contentmeta;
pub(in crate::container) mod database;
mod owners;
mod packing;
mod paths;
mod tree;
mod volatile;

use std::collections::HashSet;
use std::num::NonZeroUsize;

use ostree_format::{CommitId, RootDir};

pub use self::contentmeta::ContentMeta;
use self::owners::Owners;
use self::tree::Tree;
use crate::base::Ctx;
use crate::container::image::{COMPONENTS, Error, Image, LayerKind, Result};
use crate::store::{ObjectRead, load_commit};
use crate::tar::ChunkContent;

/// What an object takes in a layer apart from its content, roughly.
const OVERHEAD_BYTES: u64 = 1024;
/// Separates the names of components.
const SEPARATOR: &str = ",";
/// Names in a line of the history, at most.
const MAX_LISTED: usize = 5;

/// The way in which the content of a commit is divided into layers.
#[derive(Debug, Clone, Default)]
pub enum Layering {
    /// One layer for everything.
    #[default]
    Single,
    /// Layers by the packages that the databases of dpkg, rpm, apk and pacman in the commit name; files that belong
    /// to no package are divided by path and size.
    Packages {
        /// Layers of the image, at most, the first one included.
        max_layers: NonZeroUsize,
    },
    /// Layers as the caller says, or a file from another program.
    Mapped {
        /// The assignment of objects to layers.
        meta: ContentMeta,
        /// Layers of the image, at most; otherwise one for each of the decision's, and an empty one at the
        /// end, as ostree-ext does.
        max_layers: Option<NonZeroUsize>,
    },
}

impl Layering {
    /// This way with one layer less, if it has a limit: another layer will be part of the image.
    pub(super) fn leaving_one(&self) -> Self {
        let less = |max: NonZeroUsize| NonZeroUsize::new(max.get() - 1).unwrap_or(max);
        match self {
            Self::Packages { max_layers } => Self::Packages { max_layers: less(*max_layers) },
            Self::Mapped { meta, max_layers: Some(max) } => {
                Self::Mapped { meta: meta.clone(), max_layers: Some(less(*max)) }
            }
            other => other.clone(),
        }
    }
}

/// Content objects that change at once.
#[derive(Debug)]
struct Component {
    /// The text for the image's history.
    id: String,
    /// The name by which the next image recognizes the component.
    name: String,
    /// Components of one unit change together, such as the packages built from one source.
    unit: String,
    bytes: u64,
    /// The files, by their numbers in the walk of the commit.
    files: Vec<usize>,
}

impl Component {
    /// One with these files of the tree.
    fn new(tree: &Tree, name: String, unit: String, files: Vec<usize>) -> Self {
        let mut objects = HashSet::new();
        let first = files.iter().map(|file| &tree.files[*file]).filter(|file| objects.insert(file.id));
        let bytes = first.map(|file| file.bytes + OVERHEAD_BYTES).sum();
        Self { id: name.clone(), name, unit, bytes, files }
    }
}

/// A layer after the first one.
#[derive(Debug)]
pub(in crate::container) struct Chunk {
    /// The text for the history of the image.
    pub(in crate::container) created_by: String,
    /// The names of the components in the layer.
    pub(in crate::container) components: String,
    /// The content objects of the layer.
    pub(in crate::container) content: ChunkContent,
    /// The approximate size of the layer in bytes.
    pub(in crate::container) bytes: u64,
}

/// Divides the content of a commit: what is left for the first layer, and the others.
pub(in crate::container) fn divide(
    store: &dyn ObjectRead,
    commit: &CommitId,
    layering: &Layering,
    previous: Option<&Image>,
    ctx: &Ctx,
) -> Result<(ChunkContent, Vec<Chunk>)> {
    let (components, layers) = match layering {
        Layering::Single => Default::default(),
        Layering::Packages { max_layers } => {
            let components = by_packages(store, commit, ctx)?;
            let layers = packed(&components, *max_layers, previous)?;
            (components, layers)
        }
        Layering::Mapped { meta, max_layers: Some(max_layers) } => {
            let components = mapped(store, commit, meta, ctx)?;
            let layers = packed(&components, *max_layers, previous)?;
            (components, layers)
        }
        Layering::Mapped { meta, max_layers: None } => {
            let components = mapped(store, commit, meta, ctx)?;
            let reserved = (!components.is_empty()).then(Vec::new);
            let layers = (0..components.len()).map(|n| vec![n]).chain(reserved).collect();
            (components, layers)
        }
    };
    let content = ChunkContent::of_commit(store, commit)?;
    let mut places = vec![0; content.paths()];
    for (layer, numbers) in layers.iter().enumerate() {
        for file in numbers.iter().flat_map(|number| &components[*number].files) {
            places[*file] = layer + 1;
        }
    }
    let mut contents = content.divide(layers.len() + 1, |_, file| places[file]).into_iter();
    let first = contents.next().unwrap_or_default();
    let chunk = |(layer, content): (&Vec<usize>, ChunkContent)| {
        let mut layer: Vec<&Component> = layer.iter().map(|number| &components[*number]).collect();
        layer.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<_> = layer.iter().map(|component| component.name.as_str()).collect();
        let bytes = layer.iter().map(|component| component.bytes).sum();
        Chunk { created_by: created_by(&layer), components: names.join(SEPARATOR), content, bytes }
    };
    Ok((first, layers.iter().zip(contents).map(chunk).collect()))
}

/// The text that ostree-ext writes into the history for a layer.
fn created_by(components: &[&Component]) -> String {
    match components.len() {
        0 => "Reserved for new packages".to_owned(),
        n if n > MAX_LISTED => format!("{n} components"),
        _ => components.iter().map(|component| component.id.as_str()).collect::<Vec<_>>().join(" and "),
    }
}

/// The layers after the first, as the numbers of components.
fn packed(
    components: &[Component],
    max_layers: NonZeroUsize,
    previous: Option<&Image>,
) -> Result<Vec<Vec<usize>>> {
    let max_chunks = max_layers.get() - 1;
    if max_chunks == 0 || components.is_empty() {
        return Ok(Vec::new());
    }
    Ok(match previous.map(layers_of).transpose()? {
        Some(previous) => packing::repack(components, &previous, max_chunks),
        None => packing::pack(components, max_chunks),
    })
}

/// The names of components in each layer of an image that holds nothing but these.
fn layers_of(image: &Image) -> Result<Vec<Vec<String>>> {
    let plan = image.plan()?;
    let names = plan.of_kind(LayerKind::Chunk).map(|chunk| {
        let names = chunk.descriptor.annotations().as_ref().and_then(|all| all.get(COMPONENTS));
        names.into_iter().flat_map(|names| names.split(SEPARATOR)).map(str::to_owned).collect()
    });
    Ok(names.collect())
}

fn by_packages(store: &dyn ObjectRead, commit: &CommitId, ctx: &Ctx) -> Result<Vec<Component>> {
    let tree = Tree::load(store, load_commit(store, commit)?.root, ctx)?;
    let mut owners = Owners::new(&tree);
    database::read(store, &tree, &mut owners)?;
    if !owners.knows_packages() {
        ctx.warn(
            "no database of dpkg, rpm, apk or pacman in the commit tells of packages: layers are made by paths",
        );
    }
    Ok(owners.components())
}

/// The paths of files that no package brought, as the databases in the tree name them; `None` if it has none.
pub(in crate::container) fn unpackaged(
    store: &dyn ObjectRead,
    root: RootDir,
    ctx: &Ctx,
) -> Result<Option<Vec<String>>> {
    let tree = Tree::load(store, root, ctx)?;
    let mut owners = Owners::new(&tree);
    database::read(store, &tree, &mut owners)?;
    let files = owners.nobodys();
    Ok(files.map(|files| files.into_iter().map(|file| tree.file_path(file)).collect()))
}

/// The components that the decision names, also those without an object in the commit.
fn mapped(
    store: &dyn ObjectRead,
    commit: &CommitId,
    meta: &ContentMeta,
    ctx: &Ctx,
) -> Result<Vec<Component>> {
    let tree = Tree::load(store, load_commit(store, commit)?.root, ctx)?;
    let mut files = vec![Vec::new(); meta.layers.len()];
    for (number, file) in tree.files.iter().enumerate() {
        let Some(layer) = meta.mapping.get(&file.id) else {
            let path = tree.file_path(number);
            return Err(Error::Usage(format!("contentmeta: no layer for object {} at /{path}", file.id)));
        };
        files[*layer].push(number);
    }
    let component = |((id, name), files): (&(String, String), Vec<usize>)| Component {
        id: id.clone(),
        ..Component::new(&tree, name.clone(), id.clone(), files)
    };
    Ok(meta.layers.iter().zip(files).map(component).collect())
}

/// What every fuzz target of the databases does: garbage is passed over.
pub(in crate::container) fn read_anything(text: &[u8]) {
    let _ = (database::dpkg::sources(text), database::dpkg::diversions(text));
    assert!(database::dpkg::list(text).all(|(_, path)| !path.is_empty()));
    database::rpm::headers(text, &mut |header| header.files(&mut |_, path| assert!(!path.is_empty())));
    let _ = database::apk::packages(text);
    assert!(database::pacman::section(text, "%FILES%").all(|line| !line.is_empty()));
    let _ = ContentMeta::parse(text);
}
