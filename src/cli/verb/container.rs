//! `container build|pull|copy`: commits as container images, and back.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, bail};
use serde::Serialize;

use super::{Common, resolve};
use crate::base::sign::gpg::Keyring;
use crate::cli::gpg;
use crate::cli::images::{self, Demand, Dest, RegistryOptions};
use crate::cli::terminal::Session;
use crate::container::transport::{self, CopyOptions};
use crate::container::{
    self, BuildOptions, Compression, Digest, ImageReference, OstreeImageReference, PullOptions,
    SignatureSource, Signatures, Transport,
};
use crate::format::variant::Dict;
use crate::format::{CommitId, RefSpec};
use crate::repo::Repo;
use crate::store::Txn;
use crate::tar::Refusal;

/// The verbs below `container`.
#[derive(clap::Subcommand)]
pub(crate) enum Verb {
    /// Make a container image of a commit
    Build(Box<BuildArgs>),
    /// Take the commit out of a container image
    Pull(Box<PullArgs>),
    /// Copy a container image from any place to any other
    Copy(Box<CopyArgs>),
}

/// Arguments of `container build`.
#[derive(clap::Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    common: Common,
    /// The commit: a ref, a checksum
    #[arg(long = "ref", value_name = "REV")]
    rev: String,
    /// The directory that becomes an OCI image layout, or is one
    #[arg(long, value_name = "DIR", required_unless_present_any = ["oci_archive", "push"])]
    oci_dir: Option<PathBuf>,
    /// A tar archive of an OCI image layout to write
    #[arg(long, value_name = "FILE", conflicts_with = "oci_dir")]
    oci_archive: Option<PathBuf>,
    /// Where to push the image: docker://HOST/PATH[:TAG], or any other place that images can be written to
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["oci_dir", "oci_archive", "tag"])]
    push: Option<ImageReference>,
    #[command(flatten)]
    registry: RegistryOptions,
    /// What the image is called in the layout
    #[arg(long)]
    tag: Option<String>,
    /// How layers are compressed: gzip, zstd or none, with a level if you like: zstd:19
    #[arg(long, value_name = "METHOD", default_value = "gzip", value_parser = compression)]
    compression: Compression,
    /// Add a label
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Copy this key of the commit's metadata into a label
    #[arg(long, value_name = "KEY")]
    copymeta: Vec<String>,
    /// The same, if the commit has the key
    #[arg(long, value_name = "KEY")]
    copymeta_opt: Vec<String>,
    /// What a container runs; for each word of it
    #[arg(long, value_name = "WORD")]
    cmd: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
}

/// Arguments of `container pull`.
#[derive(clap::Args)]
pub(crate) struct PullArgs {
    #[command(flatten)]
    common: Common,
    /// The ref that shall name the commit
    #[arg(long = "ref", value_name = "REF")]
    name: Option<RefSpec>,
    /// A file with the OpenPGP keys that may sign the commit
    #[arg(long, value_name = "FILE")]
    gpg_keyring: Vec<PathBuf>,
    #[command(flatten)]
    registry: RegistryOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// docker://HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR; with ostree-remote-image:REMOTE: in front, the remote's keys
    /// are asked for, with ostree-unverified-image: none
    image: Image,
}

/// Arguments of `container copy`.
#[derive(clap::Args)]
pub(crate) struct CopyArgs {
    #[command(flatten)]
    registry: RegistryOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(short, long)]
    quiet: bool,
    /// docker://HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR,
    /// docker-archive:FILE[:NAME]
    source: ImageReference,
    /// The same
    dest: ImageReference,
}

/// An image, and who vouches for it if that was said.
#[derive(Debug, Clone)]
struct Image {
    signature: Option<SignatureSource>,
    reference: ImageReference,
}

impl FromStr for Image {
    type Err = crate::format::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("ostree-") {
            let OstreeImageReference { signature, image } = text.parse()?;
            return Ok(Self { signature: Some(signature), reference: image });
        }
        Ok(Self { signature: None, reference: text.parse()? })
    }
}

#[derive(Serialize)]
struct CopyJson {
    manifest_digest: String,
    blobs_sent: u64,
    blobs_reused: u64,
    bytes_sent: u64,
}

#[derive(Serialize)]
struct Json {
    commit: String,
    manifest_digest: String,
}

/// Does what the arguments ask for.
pub(crate) fn run(verb: &Verb, session: &mut Session) -> anyhow::Result<()> {
    match verb {
        Verb::Build(args) => build(args, session),
        Verb::Pull(args) => pull(args, session),
        Verb::Copy(args) => copy(args, session),
    }
}

fn compression(text: &str) -> anyhow::Result<Compression> {
    Ok(match text.split_once(':') {
        None if text == "gzip" => Compression::GZIP,
        None if text == "zstd" => Compression::ZSTD,
        None if text == "none" => Compression::None,
        Some(("gzip", level)) => Compression::Gzip(level.parse()?),
        Some(("zstd", level)) => Compression::Zstd(level.parse()?),
        _ => bail!("'{text}' is none of gzip, zstd and none"),
    })
}

fn label(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').context("no '=' in it")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn build(args: &BuildArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let commit = resolve(&repo, &args.rev)?;
    let options = BuildOptions {
        compression: args.compression,
        labels: args.label.iter().cloned().collect::<BTreeMap<_, _>>(),
        cmd: (!args.cmd.is_empty()).then(|| args.cmd.clone()),
        copy_meta_keys: args.copymeta.clone(),
        copy_meta_opt_keys: args.copymeta_opt.clone(),
        ..BuildOptions::default()
    };
    let dest = Dest::create(&build_dest(args)?, &args.registry, None, &session.ctx)?;
    let digest = container::build(&repo, &commit, dest.image(), &options, &session.ctx)?;
    let digest = dest.finish(digest)?;
    print(args.json, &commit, &digest, &digest, session)
}

/// Where the image goes.
fn build_dest(args: &BuildArgs) -> anyhow::Result<ImageReference> {
    let (transport, path) = match (&args.push, &args.oci_dir, &args.oci_archive) {
        (Some(reference), _, _) => return Ok(reference.clone()),
        (_, Some(path), _) => (Transport::OciDir, path),
        (_, _, Some(path)) => (Transport::OciArchive, path),
        _ => bail!("Where shall the image go? Give --push, --oci-dir or --oci-archive"),
    };
    let path = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    let tag = args.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
    Ok(ImageReference::new(transport, &format!("{path}{tag}"))?)
}

fn copy(args: &CopyArgs, session: &mut Session) -> anyhow::Result<()> {
    let opened = images::open(&args.source, &args.registry, &session.ctx)?;
    images::check(&args.source, &opened, Demand::AsPolicySays, &session.ctx)?;
    let near = opened.repository.as_ref().map(|(name, _)| name);
    let dest = Dest::create(&args.dest, &args.registry, near, &session.ctx)?;
    let options = CopyOptions { format: dest.format() };
    let copied = transport::copy(&*opened.source, dest.image(), &options, &session.ctx)?;
    let digest = dest.finish(copied.manifest)?;
    if args.json {
        let json = CopyJson {
            manifest_digest: digest.to_string(),
            blobs_sent: copied.sent,
            blobs_reused: copied.reused,
            bytes_sent: copied.sent_bytes,
        };
        serde_json::to_writer(&mut session.out, &json)?;
        return Ok(writeln!(session.out)?);
    }
    Ok(writeln!(session.out, "{digest}")?)
}

fn pull(args: &PullArgs, session: &mut Session) -> anyhow::Result<()> {
    let repo = args.common.open()?;
    let keyring = keyring(args, &repo)?;
    let verify = |_: &CommitId, bytes: &[u8], detached: Option<&[u8]>| -> Result<(), Refusal> {
        let Some(keyring) = &keyring else { return Err("no keyring".into()) };
        let detached = detached.filter(|bytes| !bytes.is_empty()).map(Dict::parse).transpose()?;
        Ok(gpg::require(keyring, bytes, detached.as_ref())?)
    };
    let demand = match &args.image.signature {
        Some(SignatureSource::ContainerPolicy) => Demand::Signed,
        _ => Demand::AsPolicySays,
    };
    let signatures = match (&keyring, &args.image.signature) {
        (Some(_), _) => Signatures::Verify(&verify),
        // An image that the policy let in because of its signature.
        (None, Some(SignatureSource::ContainerPolicy)) => Signatures::Unverified,
        (None, Some(SignatureSource::Unverified)) => Signatures::Unverified,
        (None, _) => Signatures::Undecided,
    };
    let opened = images::open(&args.image.reference, &args.registry, &session.ctx)?;
    images::check(&args.image.reference, &opened, demand, &session.ctx)?;
    let options = PullOptions { signatures, ..PullOptions::default() };
    let txn = repo.begin(&session.ctx)?;
    let pulled = container::pull(&*opened.source, &txn, &options, &session.ctx)?;
    if let Some(name) = &args.name {
        txn.set_ref(name, Some(pulled.commit))?;
    }
    txn.commit(&session.ctx)?;
    print(args.json, &pulled.commit, &pulled.manifest, &pulled.commit, session)
}

/// The keys that have to have signed the commit, if anything says which.
fn keyring(args: &PullArgs, repo: &Repo) -> anyhow::Result<Option<Keyring>> {
    let mut keyring = match &args.image.signature {
        Some(SignatureSource::OstreeRemote(remote)) => Some(gpg::of_remote(repo, remote)?),
        Some(SignatureSource::ContainerPolicy | SignatureSource::Unverified) | None => None,
    };
    for file in &args.gpg_keyring {
        keyring.get_or_insert_default().extend(gpg::from_path(file)?);
    }
    Ok(keyring)
}

fn print(
    json: bool,
    commit: &CommitId,
    digest: &Digest,
    short: &dyn std::fmt::Display,
    session: &mut Session,
) -> anyhow::Result<()> {
    if json {
        let json = Json { commit: commit.to_string(), manifest_digest: digest.to_string() };
        serde_json::to_writer(&mut session.out, &json)?;
        return Ok(writeln!(session.out)?);
    }
    Ok(writeln!(session.out, "{short}")?)
}
