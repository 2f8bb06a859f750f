//! The summary: one file with all refs, for those who cannot list directories.
//!
//! ```text
//! summary        (a(s(taya{sv}))a{sv})    refs; deltas, time, mode, collections
//! summary.sig    a{sv}                    its signatures
//! ```
//! With a collection the metadata is also written as a commit of the ref `ostree-metadata`, whose tree is
//! empty. Source: libostree ostree-repo.c:5875-6267, ostree-repo-commit.c:4689-4749.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use ostree_format::variant::{Dict, Type, Value};
use ostree_format::{
    CollectionId, Commit, CommitId, DirMeta, DirTree, MAX_METADATA_BYTES, MetaKind, ObjectName, RefName,
    RefSpec, RepoConfig, RepoMode, RootDir, Summary, SummaryContent, SummaryRef, Xattrs,
};

use super::{Repo, invalid_config, sys, tmp};
use crate::base::{Ctx, debug_fields};
use crate::store::{COLLECTION_BINDING, Error, ObjectRead, ObjectWrite, REF_BINDING, Refs, Result, Txn};

/// The ref with the metadata of a collection's repository.
const METADATA_REF: &str = "ostree-metadata";

/// Signs bytes; gives back the dictionary with the signatures.
pub type Sign<'a> = dyn Fn(&[u8]) -> Result<Dict> + 'a;

/// Options for writing a summary.
#[derive(Clone, Copy, Default)]
pub struct SummaryOptions<'a> {
    /// Signs the summary, and the commit with the metadata.
    pub sign: Option<&'a Sign<'a>>,
    /// The time to note, in seconds since 1970; if none is given, now by the clock of the file system.
    pub now_secs: Option<u64>,
}

debug_fields!(SummaryOptions<'a> { now_secs });

/// A summary that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct SummaryFile {
    /// The bytes of the file, which signatures are made of.
    pub bytes: Vec<u8>,
    /// The content of the summary.
    pub summary: Summary,
    /// The signatures in `summary.sig`, if there are any.
    pub signatures: Option<Dict>,
}

impl Repo {
    /// Writes the summary anew, and the commit with the metadata if the repository has a collection. A
    /// signature of the old summary goes away.
    ///
    /// # Errors
    /// [`Error::NotFound`] or [`Error::Corrupt`] for the commit of a ref; [`Error::Invalid`] if the repository's
    /// collection is none; what signing gives; [`Error::Locked`], [`Error::Io`].
    pub fn update_summary(&self, additional: &Dict, options: &SummaryOptions<'_>, ctx: &Ctx) -> Result<()> {
        let now_secs = options.now_secs.map_or_else(|| self.now_secs(), Ok)?;
        if let Some(collection) = self.config.collection_id().map_err(invalid_config)? {
            self.commit_metadata(collection, additional, options.sign, now_secs, ctx)?;
        }
        let _lock = self.lock_shared(ctx)?;
        self.write_summary(additional, options.sign, now_secs)
    }

    /// Reads the summary; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is none; [`Error::Io`].
    pub fn read_summary(&self) -> Result<Option<SummaryFile>> {
        let read = |path: &'static str| {
            sys::read_file(&self.root, path, MAX_METADATA_BYTES).map_err(|e| self.failed("read", path, e))
        };
        let invalid = |what: &str| {
            let what = what.to_owned();
            move |source| Error::Invalid { what, source }
        };
        let Some(bytes) = read("summary")? else { return Ok(None) };
        let summary = Summary::parse(&bytes).map_err(invalid("summary"))?;
        let signatures = read("summary.sig")?;
        let signatures =
            signatures.map(|bytes| Dict::parse(&bytes)).transpose().map_err(invalid("summary.sig"))?;
        Ok(Some(SummaryFile { bytes, summary, signatures }))
    }

    /// Writes the summary anew if the config asks for that after each change of refs.
    pub(super) fn auto_update_summary(&self) -> Result<()> {
        match self.config.auto_update_summary {
            true => self.write_summary(&Dict::new(), None, self.now_secs()?),
            false => Ok(()),
        }
    }

    fn now_secs(&self) -> Result<u64> {
        tmp::now_secs(self.tmp.as_fd()).map_err(|e| self.failed("create", "tmp", e))
    }

    fn write_summary(&self, additional: &Dict, sign: Option<&Sign<'_>>, now_secs: u64) -> Result<()> {
        let bytes = self.make_summary(&self.config, additional, now_secs, self.mode())?.to_bytes();
        let signatures = sign.map(|sign| Ok::<_, Error>(sign(&bytes)?.to_bytes())).transpose()?;
        self.publish_summary(&bytes, signatures.as_deref())
    }

    /// Replaces the summary and its signatures.
    pub(super) fn publish_summary(&self, summary: &[u8], signatures: Option<&[u8]>) -> Result<()> {
        match signatures {
            Some(signatures) => self.replace_pair(("summary", summary), ("summary.sig", signatures)),
            None => {
                self.replace_file("summary", summary)?;
                self.remove_file("summary.sig")
            }
        }
    }

    /// The summary of a repository that has these refs and that mode.
    pub(super) fn make_summary(
        &self,
        config: &RepoConfig,
        additional: &Dict,
        now_secs: u64,
        mode: RepoMode,
    ) -> Result<Summary> {
        let main = config.collection_id().map_err(invalid_config)?;
        let mut refs = Vec::new();
        if main.is_none() {
            for (refspec, id) in self.list_of(None)? {
                refs.push(self.summary_ref(refspec.name, id)?);
            }
        }
        let mut collections: BTreeMap<CollectionId, Vec<SummaryRef>> = BTreeMap::new();
        for ((collection, name), id) in self.collection_refs()? {
            let entry = self.summary_ref(name, id)?;
            match main == Some(&collection) {
                true => refs.push(entry),
                false => collections.entry(collection).or_default().push(entry),
            }
        }
        Ok(Summary::new(SummaryContent {
            refs,
            collection_id: main.cloned(),
            collections: collections.into_iter().collect(),
            static_deltas: self.summary_deltas(config)?,
            last_modified_secs: now_secs,
            mode,
            tombstone_commits: config.tombstone_commits,
            additional: additional.clone(),
        }))
    }

    fn summary_ref(&self, name: RefName, id: CommitId) -> Result<SummaryRef> {
        let object = ObjectName::from(id);
        let bytes = self.read_meta(&object)?.ok_or(Error::NotFound(object))?;
        SummaryRef::new(name, id, &bytes).map_err(Error::corrupt(object))
    }

    fn summary_deltas(&self, config: &RepoConfig) -> Result<Vec<(String, ostree_format::Checksum)>> {
        if config.no_deltas_in_summary {
            return Ok(Vec::new());
        }
        let mut out = Vec::new();
        for delta in self.deltas()? {
            out.extend(self.delta_digest(&delta)?.map(|digest| (delta.to_string(), digest)));
        }
        Ok(out)
    }

    /// Writes a commit with the metadata and without files.
    fn commit_metadata(
        &self,
        collection: &CollectionId,
        additional: &Dict,
        sign: Option<&Sign<'_>>,
        now_secs: u64,
        ctx: &Ctx,
    ) -> Result<()> {
        let invalid = |source| Error::Invalid { what: METADATA_REF.into(), source };
        let name: RefName = METADATA_REF.parse().map_err(invalid)?;
        let mut metadata = additional.clone();
        metadata.insert(COLLECTION_BINDING, collection.as_str());
        metadata.insert(REF_BINDING, Value::array(Type::STR, vec![METADATA_REF.into()]).map_err(invalid)?);
        let txn = self.begin(ctx)?;
        let (tree, meta) = (DirTree::default(), DirMeta::new(0, 0, 0o755, Xattrs::EMPTY));
        txn.write_dirtree(&tree)?;
        txn.write_dirmeta(&meta)?;
        let commit = Commit {
            metadata: metadata.hash_ordered(),
            parent: self.resolve(&RefSpec::from(name.clone()))?,
            related: Vec::new(),
            subject: String::new(),
            body: String::new(),
            timestamp: now_secs,
            root: RootDir { tree: tree.id(), meta: meta.id() },
        };
        let bytes = commit.to_bytes();
        let id = CommitId::new(txn.write_meta(MetaKind::Commit, &bytes)?);
        if let Some(sign) = sign {
            txn.set_detached(&id, &sign(&bytes)?)?;
        }
        txn.set_ref(&RefSpec::from(name), Some(id))?;
        txn.commit(ctx).map(drop)
    }
}
