//! Tar streams against GNU tar, bsdtar, C ostree and what ostree-ext wrote.

mod raw;
