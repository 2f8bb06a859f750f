//! The server with the clients of others: C ostree, skopeo, podman, and plain requests.

mod archive;
mod clients;
mod conformance;
mod exports;
mod hardships;
mod images;
mod inside;
mod object_store;
mod pages;
mod pushes;
mod requests;
mod server;

pub(crate) use server::{Reply, ask};

use server::Serving;
