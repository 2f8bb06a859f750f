//! `container convert`: any container image as a commit that boots.

use std::io::Write;

use anyhow::bail;
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use serde::Serialize;

use super::super::Common;
use super::pull::{Json, tell};
use super::{Image, PlainLayers};
use crate::cli::images::{self, RegistryOptions};
use crate::cli::locate;
use crate::cli::terminal::{BarOptions, Session};
use crate::container;
use crate::container::convert::{Arranged, Kernel, Remark, Report, Weight};
use crate::container::image::SignatureSource;
use crate::container::pull::{PullOptions, Vouching};
use crate::container::trust::Admitted;
use crate::format::{RefSpec, RepoMode};
use crate::host::Demand;
use crate::repo::Repo;

/// Paths of a remark that people are shown.
const MAX_SHOWN: usize = 5;

/// Arguments of `container convert`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The ref that shall name the commit
    #[arg(short, long = "branch", visible_alias = "ref", value_name = "REF")]
    branch: Option<RefSpec>,
    #[command(flatten)]
    plain: PlainLayers,
    /// Only look what stands in the way of booting the image; no repository is needed, and TMPDIR has what is in the
    /// image meanwhile
    #[arg(long, conflicts_with_all = ["branch", "bootable"])]
    check: bool,
    /// Make no commit unless it can be booted: one kernel, and an os-release
    #[arg(long)]
    bootable: bool,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    bars: BarOptions,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// HOST/PATH[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], dir:DIR, docker-archive:FILE[:NAME],
    /// containers-storage:NAME
    image: Image,
}

/// Does what the arguments ask for.
pub(super) fn run(args: &Args, session: &mut Session) -> anyhow::Result<()> {
    let demand = match &args.image.signature {
        Some(SignatureSource::OstreeRemote(_)) => {
            bail!("{}: there is no commit yet that a remote could have signed", args.image)
        }
        Some(SignatureSource::ContainerPolicy) => Demand::Signed,
        Some(_) | None => Demand::AsPolicySays,
    };
    let repo = (!args.check).then(|| args.common.open()).transpose()?;
    let opened = images::open(&args.image.reference, &args.registry, &session.ctx)?;
    let image = opened.admit(demand, &session.ctx)?;
    let Some(repo) = repo else {
        let report = examine(args, &image, session)?;
        return print(args, &image, &report, session);
    };
    if args.bootable {
        let report = examine_in(args, &image, &repo, session)?;
        if let Some(why) = report.remarks.iter().find(|f| f.obstacle.weight() == Weight::Stops) {
            bail!("{} cannot be booted: {}", args.image, shown(why));
        }
    }
    let options = args.options();
    let converted = container::pull::convert(&image, &repo, &options, &session.ctx);
    let converted = converted.map_err(locate::writing(&repo))?;
    match args.json {
        true => session.out.json(&Json::of(&converted)),
        false => {
            writeln!(session.out, "{}", converted.commit)?;
            tell(&converted, args.bars.quiet, session)
        }
    }
}

impl Args {
    /// Whoever converts an image makes a commit of their own of it, and signs that: nobody vouches before.
    fn options(&self) -> PullOptions<'_> {
        PullOptions { vouching: Vouching::Nobody, name: self.branch.clone(), var: self.plain.var() }
    }
}

/// Looks at the image in a repository that is gone afterwards.
fn examine(args: &Args, image: &Admitted<'_>, session: &Session) -> anyhow::Result<Report> {
    if args.common.repo.repo.is_some() {
        return examine_in(args, image, &args.common.open()?, session);
    }
    let temp = tempfile::Builder::new().prefix("ostree-rs-check-").tempdir()?;
    let create = |mode| {
        let dir = Dir::open_ambient_dir(temp.path(), ambient_authority())?;
        anyhow::Ok(Repo::create(dir, mode, None)?)
    };
    // Not every file system has the xattrs that the first one needs.
    let repo = create(RepoMode::BareUser).or_else(|_| create(RepoMode::Archive))?;
    examine_in(args, image, &repo, session)
}

fn examine_in(args: &Args, image: &Admitted<'_>, repo: &Repo, session: &Session) -> anyhow::Result<Report> {
    let report = container::pull::examine(image, repo, &args.options(), &session.ctx);
    report.map_err(locate::writing(repo))
}

#[derive(Serialize)]
struct ReportJson {
    image: String,
    manifest_digest: String,
    bootable: bool,
    kernel: Option<String>,
    remarks: Vec<RemarkJson>,
}

#[derive(Serialize)]
struct RemarkJson {
    what: &'static str,
    stops: bool,
    says: String,
    paths: Vec<String>,
}

fn print(args: &Args, image: &Admitted<'_>, report: &Report, session: &mut Session) -> anyhow::Result<()> {
    let kernel = match &report.kernel {
        Kernel::One { release, .. } => Some(release.clone()),
        Kernel::None | Kernel::Several(_) => None,
    };
    if !args.json {
        let can = match (report.is_bootable(), &kernel) {
            (true, Some(kernel)) => format!("can be booted, kernel {kernel}"),
            _ => "cannot be booted".to_owned(),
        };
        writeln!(session.out, "{}: {can}", args.image)?;
        for remark in &report.remarks {
            let mark = if remark.obstacle.weight() == Weight::Stops { "! " } else { "- " };
            writeln!(session.out, "{mark}{}", shown(remark))?;
        }
        return Ok(());
    }
    let remarks = report.remarks.iter().map(|remark| RemarkJson {
        what: remark.obstacle.word(),
        stops: remark.obstacle.weight() == Weight::Stops,
        says: remark.says.clone(),
        paths: remark.paths.clone(),
    });
    let json = ReportJson {
        image: args.image.to_string(),
        manifest_digest: image.image()?.digest.to_string(),
        bootable: report.is_bootable(),
        kernel,
        remarks: remarks.collect(),
    };
    session.out.json(&json)
}

/// A remark in one line, with the first of its paths.
fn shown(remark: &Remark) -> String {
    let (paths, says) = (&remark.paths, &remark.says);
    if paths.is_empty() {
        return says.clone();
    }
    let first = paths[..paths.len().min(MAX_SHOWN)].join(", ");
    match paths.len() - paths.len().min(MAX_SHOWN) {
        0 => format!("{first}: {says}"),
        more => format!("{first} and {more} more: {says}"),
    }
}

/// What a person should hear of an image that was arranged; nothing if it can be booted.
pub(super) fn summary(arranged: &Arranged) -> Vec<String> {
    let mut out = Vec::new();
    match &arranged.kernel {
        Kernel::One { .. } => {}
        Kernel::None => out.push("the image has no kernel: the commit is not marked as bootable".to_owned()),
        Kernel::Several(releases) => out.push(format!(
            "the image has several kernels, {}: the commit is not marked as bootable",
            releases.join(", ")
        )),
    }
    if !arranged.in_the_way.is_empty() {
        out.push(format!("left as they are, since they are not empty: {}", arranged.in_the_way.join(", ")));
    }
    out
}
