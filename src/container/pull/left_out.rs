//! Files that layers have in directories that are left out, and that hard links of higher layers name.
//!
//! Nothing keeps them: the layers are read again, each at most once, for all that is wanted of them. Hardly any
//! image has such links.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ostree_format::FileId;

use crate::base::Ctx;
use crate::container::blob::read_layer;
use crate::container::image::{Error, ImageLayer, ImageSource, Result};
use crate::store::{Modifier, Placement as _, Txn};
use crate::tar::{LayerOptions, import_layer};

/// Finds files that are left out.
pub(in crate::container) struct LeftOut<'a> {
    source: &'a dyn ImageSource,
    txn: &'a dyn Txn,
    options: LayerOptions,
    layers: Vec<&'a ImageLayer>,
    wanted: BTreeSet<String>,
    /// What layers have of it, by their numbers.
    read: HashMap<usize, BTreeMap<String, FileId>>,
    ctx: &'a Ctx,
}

impl<'a> LeftOut<'a> {
    /// Looks into these plain layers, lowest first.
    pub(in crate::container) fn new(
        source: &'a dyn ImageSource,
        txn: &'a dyn Txn,
        options: LayerOptions,
        layers: &[&'a ImageLayer],
        ctx: &'a Ctx,
    ) -> Self {
        let (wanted, read) = (BTreeSet::new(), HashMap::new());
        Self { source, txn, options, layers: layers.to_vec(), wanted, read, ctx }
    }

    /// The digest of layer number `layer`.
    pub(in crate::container) fn digest(&self, layer: usize) -> &oci_spec::image::Digest {
        self.layers[layer].descriptor.digest()
    }

    /// Notes what may be asked for: those of the paths that are left out.
    pub(in crate::container) fn want(&mut self, paths: impl Iterator<Item = String>) {
        let options = self.options;
        self.wanted.extend(paths.filter(|path| options.place(path).is_none()));
    }

    /// The file that the highest layer below number `layer` has at this path.
    ///
    /// # Errors
    /// If a layer cannot be read.
    pub(in crate::container) fn find(&mut self, layer: usize, path: &str) -> Result<Option<FileId>> {
        if !self.wanted.contains(path) {
            return Ok(None);
        }
        for n in (0..layer).rev() {
            if !self.read.contains_key(&n) {
                let kept = self.read_layer(n)?;
                self.read.insert(n, kept);
            }
            if let Some(id) = self.read.get(&n).and_then(|kept| kept.get(path)) {
                return Ok(Some(*id));
            }
        }
        Ok(None)
    }

    fn read_layer(&self, n: usize) -> Result<BTreeMap<String, FileId>> {
        let layer = self.layers[n];
        let tree = read_layer(self.source, &layer.descriptor, &layer.diff_id, self.ctx, |stream| {
            let modifier = Modifier::default();
            import_layer(stream, self.txn, self.options, &self.wanted, &modifier, None, self.ctx)
                .map_err(Error::from)
        })?;
        Ok(tree.kept)
    }
}
