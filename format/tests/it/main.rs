//! One binary with the integration tests of the formats; the modules mirror `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod fuzz;
mod glib;
mod keyfile;
mod metadata;
mod variant_binary;
mod variant_dict;
mod variant_text;
