//! Builds a container image of a commit and writes it to any place: `build_and_push REPO REV IMAGE`, where IMAGE is
//! `HOST/PATH:TAG` in a registry, `oci:DIR`, `oci-archive:FILE` … Nothing is stored in between.

use ostree_rs::base::Ctx;
use ostree_rs::container::build::{BuildOptions, build};
use ostree_rs::container::image::Compression;
use ostree_rs::host::{ImageOptions, Machine, parse_image};
use ostree_rs::store::resolve_rev;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, rev, image] = &args[..] else { return Err("build_and_push REPO REV IMAGE".into()) };
    let (machine, ctx) = (Machine::from_env(), Ctx::default());
    let repo = machine.open_repo(repo)?;
    let commit = resolve_rev(&repo, &rev.parse()?)?;
    let new = machine.create_image(&parse_image(image)?, &ImageOptions::default(), &[], &ctx)?;
    let options = BuildOptions { compression: Compression::ZSTD, ..BuildOptions::default() };
    let built = build(&repo, &commit, new.dest(), &options, &ctx)?;
    println!("{}", new.finish(built.manifest)?);
    Ok(())
}
