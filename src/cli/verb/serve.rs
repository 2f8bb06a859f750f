//! `serve`: a repository over HTTP.

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::Common;
use super::container::build::compression;
use crate::base::WithCauses;
use crate::cli::room::{Kept, Writing};
use crate::cli::terminal::{ProgressOptions, Session};
use crate::container::build::{BuildOptions, Layering};
use crate::container::image::Compression;
use crate::host::{self, Machine};
use crate::repo::Repo;
use crate::serve::{ServeLimits, ServeOptions, SummarySigner, TlsIdentity, export, serve};
use crate::store::Error;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Serve the commit of the image that a container is of, which was built with --serve: its root directory
    #[arg(long, value_name = "DIR", conflicts_with = "repo")]
    image_root: Option<PathBuf>,
    /// Where to listen: an address of this machine and a port, or all of them (:8080); with port 0 any port that is free.
    /// The address that was taken is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", overrides_with = "listen")]
    listen: String,
    #[command(flatten)]
    site: SiteOptions,
    /// How much of what is compressed on the way, objects and layers, is kept for the next who asks: 500MB, 2GB. At most half
    /// of what is free on the disk
    #[arg(long, value_name = "SIZE", value_parser = size)]
    cache_size: Option<u64>,
    /// Keep the right to open files outside of the repository, which objects that are symbolic links may need
    #[arg(long)]
    unconfined: bool,
    /// Serve nobody: write what would be served into this directory, for other web servers and object stores
    #[arg(long, value_name = "DIR", conflicts_with_all = ["listen", "tls_cert", "tls_key"])]
    export: Option<PathBuf>,
    #[command(flatten)]
    _progress: ProgressOptions,
    /// The certificate for HTTPS, and the chain to its authority, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// What images and the summary are like, in whatever way a repository is served.
#[derive(clap::Args)]
pub(super) struct SiteOptions {
    /// How the layers of images are compressed: gzip, zstd, zstd:chunked or none, with a level if you like: zstd:19
    #[arg(long, value_name = "METHOD", default_value = "gzip", value_parser = compression)]
    compression: Compression,
    /// Divide images into several layers, by packages, up to this number
    #[arg(long, value_name = "N")]
    max_layers: Option<NonZeroUsize>,
    /// Sign the summary with this OpenPGP key, whenever refs have changed
    #[arg(long, value_name = "KEY-ID")]
    gpg_sign: Vec<String>,
    /// Where the secret keys are: a directory of GnuPG, or a file
    #[arg(long, value_name = "HOMEDIR", requires = "gpg_sign")]
    gpg_homedir: Option<PathBuf>,
}

impl SiteOptions {
    /// What the server is told, whose files without a name lie in `scratch`; of those `cache_bytes` are kept at most, and as
    /// many as there is room for.
    pub(super) fn for_server(
        &self,
        scratch: Dir,
        cache_bytes: Option<u64>,
        machine: &Machine,
    ) -> anyhow::Result<ServeOptions> {
        let layering =
            self.max_layers.map(|max_layers| Layering::Packages { max_layers }).unwrap_or_default();
        let images = BuildOptions { compression: self.compression, layering, ..BuildOptions::default() };
        let mut limits = ServeLimits::default();
        // One file is made at a time where there is no room for more.
        let cache_bytes = cache_bytes.unwrap_or(limits.shelf_bytes);
        limits.shelf_bytes = cache_bytes.min(machine.room_in(&scratch)).max(1);
        Ok(ServeOptions { scratch, images, limits, signer: self.signer(machine)?, tls: None })
    }

    /// Refuses a key where no summary is made that it could sign.
    pub(super) fn refuse_key(&self, place: &Path) -> anyhow::Result<()> {
        if !self.gpg_sign.is_empty() {
            bail!(
                "--gpg-sign signs the summary in what `serve --export` wrote, which {} is not",
                place.display()
            );
        }
        Ok(())
    }

    /// Signs summaries with the keys that were named, which are read now.
    fn signer(&self, machine: &Machine) -> anyhow::Result<Option<SummarySigner>> {
        if self.gpg_sign.is_empty() {
            return Ok(None);
        }
        let keys = machine.secret_keys(self.gpg_homedir.as_deref())?;
        let ids = self.gpg_sign.clone();
        // A key that cannot sign is told of before anybody asks for a summary.
        host::sign_summary(&keys, &ids, &[])?;
        Ok(Some(SummarySigner::new(move |summary| {
            host::sign_summary(&keys, &ids, summary)
                .map_err(|error| Error::Usage(WithCauses(&error).to_string()))
        })))
    }
}

/// Serves until Ctrl-C, which is how it is meant to end.
pub(crate) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let machine = Machine::from_env();
    let (repo, scratch) = match &args.image_root {
        Some(root) => (machine.open_container(root)?, machine.scratch_of_container()?),
        None => {
            let repo = args.common.open()?;
            let scratch = machine.scratch(&repo)?;
            (repo, scratch)
        }
    };
    let read = |path: &PathBuf| fs::read(path).with_context(|| format!("Reading {}", path.display()));
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificates), Some(key)) => Some(TlsIdentity::from_pem(&read(certificates)?, &read(key)?)?),
        _ => None,
    };
    let options = ServeOptions { tls, ..args.site.for_server(scratch, args.cache_size, &machine)? };
    machine.allow_many_files();
    if let Some(path) = &args.export {
        return write_files(path, repo, options, session);
    }
    let listener = listen(&args.listen).with_context(|| format!("Listening at {}", args.listen))?;
    if !args.unconfined && !machine.confine(&repo, &options.scratch)? {
        session.ctx.note("this kernel cannot take rights from a process (landlock)");
    }
    let scheme = if options.tls.is_some() { "https" } else { "http" };
    writeln!(session.out, "{scheme}://{}/", listener.local_addr()?)?;
    session.out.flush()?;
    Ok(serve(repo, listener, options, &session.ctx)?)
}

/// Reads a number of bytes: 0, 500MB, 2GB, in powers of 1000.
fn size(text: &str) -> anyhow::Result<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let bytes = match unit {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => bail!("'{unit}' is none of kB, MB, GB and TB"),
    };
    number.parse::<u64>()?.checked_mul(bytes).context("that is more than there can be")
}

/// Takes an address; one without a host means all, of both versions of IP where the machine has them.
fn listen(address: &str) -> io::Result<TcpListener> {
    if !address.contains(':') {
        let why = "ADDRESS:PORT is needed, or :PORT for all addresses of this machine";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    match address.starts_with(':') {
        true => TcpListener::bind(format!("[::]{address}"))
            .or_else(|_| TcpListener::bind(format!("0.0.0.0{address}"))),
        false => TcpListener::bind(address),
    }
}

/// Writes what would be served into a directory.
fn write_files(path: &Path, repo: Repo, options: ServeOptions, session: &mut Session) -> anyhow::Result<()> {
    let place = || Writing {
        place: format!("Exporting into {}", path.display()),
        path: Some(path.to_owned()),
        kept: Kept::Nothing,
    };
    fs::create_dir_all(path).with_context(place)?;
    let dir = Dir::open_ambient_dir(path, ambient_authority()).with_context(place)?;
    let done = export(repo, &dir, options, &session.ctx).with_context(place)?;
    Ok(writeln!(session.out, "{} files written, {} were there", done.written, done.kept)?)
}
