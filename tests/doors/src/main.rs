//! A tool of somebody else: pulls the commit of an image, with what the machine has configured and a keyring.

use ostree_rs::base::Ctx;
use ostree_rs::container::pull::{PullOptions, Vouching, pull};
use ostree_rs::host::{Demand, ImageOptions, Machine, SignedBy, parse_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, image, repo, keyring] = &args[..] else { return Err("doors IMAGE REPO KEYRING".into()) };
    let (machine, ctx) = (Machine::from_env(), Ctx::default());
    let repo = machine.open_repo(repo)?;
    let keys = SignedBy(machine.keyring(keyring)?);
    let opened = machine.open_image(&parse_image(image)?, &ImageOptions::default(), &ctx)?;
    let image = opened.admit(Demand::AsPolicySays, &ctx)?;
    let options =
        PullOptions { vouching: Vouching::By(&keys), name: Some("pulled".parse()?), ..Default::default() };
    println!("{}", pull(&image, &repo, &options, &ctx)?.commit);
    Ok(())
}
