//! Signatures on commits and summaries.
//!
//! Bytes in, values out: which keyrings are trusted, where a signature is kept (`ostree.gpgsigs` in the
//! detached metadata of a commit, `summary.sig`) and what time it is are the caller's to know.

pub mod gpg;
