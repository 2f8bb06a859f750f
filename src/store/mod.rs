//! Floor 2: traits for stores of objects and refs, however they keep them.
//!
//! ```text
//! Txn ─┬─ ObjectWrite ── ObjectRead      objects go in, from many threads at once
//!      ├─ Refs                           names of commits
//!      └┄ Hints                          what some stores remember: a cache, a journal
//! ```
//! Everything above (tree, tar, diff, container) works on these traits. [`MemStore`] keeps all in memory;
//! a repository on disk is in [`crate::repo`].

mod begin;
mod bindings;
mod cloned;
mod depth;
mod devino;
mod error;
mod follow;
mod hashed;
mod hints;
mod load;
mod lookup;
mod mem;
mod modifier;
mod mutable_tree;
mod pack;
mod paths;
mod read;
mod refs;
mod rev;
pub mod selinux;
mod txn;
mod union;
mod user_only;
mod verify;
mod voucher;
mod walk;
mod write;

pub use begin::{Begin, OpenTxn, give_up, in_resumed, in_transaction};
pub use bindings::{BindingError, COLLECTION_BINDING, REF_BINDING, check_bindings};
pub use cloned::ClonedContent;
pub use depth::Depth;
pub use devino::DevInoCache;
pub use error::{Error, Result};
pub use follow::{LinkTarget, Placement};
pub use hashed::{HashedFile, LoadedFile, SMALL_FILE_BYTES};
pub(crate) use hashed::{unreadable, wrong_length};
pub(crate) use hints::journal_tells;
pub use hints::{Hints, MAX_CACHED_BYTES};
pub use load::{load_commit, load_commitmeta, load_dirmeta, load_dirtree};
pub use lookup::{TreeEntry, lookup, read_path};
pub use mem::MemStore;
pub(crate) use mem::validate_meta;
pub use modifier::{
    Attributes, Decision, Executables, Modifier, Permissions, SkipList, StatOverrides, TreeFilter,
    XattrPolicy,
};
pub use mutable_tree::{Entry, MutableTree};
pub use pack::pack_file;
pub use paths::{Paths, paths};
pub use read::{ArchivedCheck, ArchivedFile, Content, FileObject, LooseFile, ObjectRead};
pub use refs::{Refs, check_new_ref, local_ref, remote_ref};
pub use rev::resolve_rev;
pub use txn::{Completeness, Txn};
pub use union::{ListedOverLink, Upper};
pub(crate) use user_only::{check_user_only, check_user_only_mode, is_user_only};
pub use verify::{FramedFile, Sizes, check_hashed, verify_file, verify_meta};
pub use voucher::{CommitBytes, Refusal, StoredCommit, Voucher, require_voucher, vouch_stored};
pub use walk::{Reachable, walk_commit};
pub use write::ObjectWrite;
