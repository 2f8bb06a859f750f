//! One binary with the integration tests of the formats; the modules mirror `src`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod variant_binary;
