//! An image that serves itself: a container of it answers over HTTP with the commit that the image holds.
//!
//! ```text
//! layers    …                              the commit, as in any other image
//!           last, plain                    for containers alone; pulls leave it out:
//!             sysroot/ostree/serve/
//!               ostree-rs                  the program
//!               repo/config                an archive, whose objects are mostly elsewhere
//!               repo/refs/heads/NAME       the commit
//!               repo/objects/xx/….filez    content that a container may be unable to read: see `beside`
//! config    Entrypoint                     ostree-rs serve --image-root=/ --listen=:8080
//!           ExposedPorts                   8080/tcp
//! label     io.github.ostree-rs.server.diffid    of the last layer
//! ```
//! ```text
//! GET /repo/…  ►  sysroot/ostree/serve/repo  ►  sysroot/ostree/repo  ►  files of the container, by the paths at which
//!                                                                       the commit has them: for images on a base
//! ```
//! Nothing of the layer lies where a commit has files, so the commit is the same with it and without. For ostree-ext and
//! bootc it is a derived layer of which nothing is taken: they leave out what lies below `sysroot`.

mod beside;
mod layer;
mod program;
mod root;

use ostree_format::RefName;

pub use self::program::ServerProgram;
pub use self::root::RootFiles;

pub(super) use self::layer::ServerLayer;

/// The directory, below the root, in which everything is that only the server needs.
const DIR: &str = "sysroot/ostree/serve";
/// The program.
const PROGRAM: &str = "sysroot/ostree/serve/ostree-rs";
/// The repository with refs, below the root of a container.
pub const SERVED_REPO: &str = "sysroot/ostree/serve/repo";
/// The repository with the objects, below the root of a container.
pub const IMAGE_REPO: &str = "sysroot/ostree/repo";
/// The port that a container listens at.
const PORT: u16 = 8080;

/// What lets an image serve itself.
#[derive(Debug, Clone)]
pub struct Server {
    /// The program.
    pub program: ServerProgram,
    /// The ref by which clients ask for the commit.
    pub name: RefName,
}

/// What a container runs.
pub(super) fn entry_point() -> Vec<String> {
    vec![format!("/{PROGRAM}"), "serve".to_owned(), "--image-root=/".to_owned(), format!("--listen=:{PORT}")]
}

/// The port that a container listens at, as configurations of images write it.
pub(super) fn exposed_port() -> String {
    format!("{PORT}/tcp")
}
