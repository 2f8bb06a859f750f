//! The server with the clients of others: C ostree, skopeo, podman, and plain requests.

mod archive;
mod clients;
mod requests;
mod server;

use server::Serving;
