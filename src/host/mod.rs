//! What a tool on a real machine needs: repositories, remotes, keys and images, as the environment and the well-known
//! files configure them. This is the one place of the library that looks at its surroundings: environment, absolute
//! paths, clock, other programs.
//!
//! ```text
//! Machine       what is configured here ─┬─ repos      repositories by path, and the one that is meant
//!   └ Environment   variables, read once ├─ sysroots   deployments by path, and those of the running system
//!                                        │    └ boot_programs   what boot loaders need executed, if the user named it
//!                                        ├─ remotes    config, /etc/ostree/remotes.d
//!                                        ├─ finders    who has refs of collections: remotes, volumes, the LAN
//!                                        ├─ keys       keyrings of remotes and of the system, secret keys
//!                                        ├─ bare_keys  ed25519, spki: whom the system trusts
//!                                        ├─ trust      whose signatures a remote's commits need
//!                                        ├─ ssh        this program on other machines
//!                                        ├─ booting    its root, while it boots; init, without an initramfs
//!                                        ├─ soft_reboot  the next root of the running system
//!                                        ├─ deploying  commits as what is booted next
//!                                        │    └ deployed_images  those of images
//!                                        └─ images     docker://…, oci:…: registries.conf, policy.json, auth.json,
//!                                                      certs.d, credential helpers, proxies
//! ```
//!
//! A pull with everything that is configured, and a keyring:
//!
//! ```no_run
//! # #[cfg(all(feature = "net", feature = "openpgp", feature = "container"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ostree_rs::base::Ctx;
//! use ostree_rs::container::pull::{PullOptions, Vouching, pull};
//! use ostree_rs::host::{Demand, ImageOptions, Machine, SignedBy};
//!
//! let (machine, ctx) = (Machine::from_env(), Ctx::default());
//! let repo = machine.open_repo("repo")?;
//! let keys = SignedBy(machine.keyring("key.asc")?);
//! let opened = machine.open_image(&"docker://quay.io/exampleos/os:1".parse()?, &ImageOptions::default(), &ctx)?;
//! let image = opened.admit(Demand::AsPolicySays, &ctx)?;
//! let pulled = pull(&image, &repo, &PullOptions { vouching: Vouching::By(&keys), ..Default::default() }, &ctx)?;
//! assert!(repo.begin(&ctx).is_ok(), "{}", pulled.commit);
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "net", feature = "openpgp", feature = "container")))]
//! # fn main() {}
//! ```

mod bare_keys;
mod boot_programs;
mod booting;
#[cfg(feature = "container")]
mod deployed_images;
mod deploying;
mod environment;
mod error;
#[cfg(all(feature = "net", feature = "openpgp"))]
mod finders;
#[cfg(feature = "container")]
mod image_kargs;
#[cfg(all(feature = "container", feature = "net"))]
mod images;
mod init;
#[cfg(feature = "openpgp")]
mod keys;
mod machine;
#[cfg(feature = "net")]
mod network;
#[cfg(feature = "net")]
mod opened_remote;
mod remotes;
mod repos;
#[cfg(feature = "serve")]
mod serving;
mod soft_reboot;
mod ssh;
mod sysroots;
mod trust;

pub use bare_keys::{add_signatures, sign_commit_with};
#[cfg(feature = "container")]
pub use deployed_images::{ImageDeployment, image_of};
pub use deploying::Finish;
pub use environment::Environment;
pub use error::{Error, HelperProblem, Result};
#[cfg(all(feature = "net", feature = "openpgp"))]
pub use finders::{Finder, FoundRemote};
#[cfg(all(feature = "container", feature = "net"))]
pub use images::{Demand, ImageOptions, IndexChoice, NewImage, OpenedImage, RegistryUser, parse_image};
#[cfg(feature = "openpgp")]
pub use keys::{
    SignedBy, Signing, describe_verdicts, keyring_in, keyring_name, require_signature, sign_bytes,
    sign_commit, sign_summary, verdicts,
};
pub use machine::Machine;
#[cfg(feature = "net")]
pub use opened_remote::{OpenedRemote, RemoteAccess, RemoteSource};
pub use remotes::{Remote, RemotePlace, cookies_name, cookies_of, remote_group};
pub use ssh::{SshOptions, SshPlace, SshSession};
pub use trust::RemoteTrust;
