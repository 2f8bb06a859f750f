//! Pulls the commit of a container image into a repository: `pull_image IMAGE REPO KEYRING`. What the machine has
//! configured counts (registries.conf, policy.json, auth.json, certs.d, proxies), and one of the keys in KEYRING has to
//! have signed the commit.

use ostree_rs::base::Ctx;
use ostree_rs::container::pull::{PullOptions, Vouching, plan_pull, pull};
use ostree_rs::host::{Demand, ImageOptions, Machine, SignedBy, parse_image};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, image, repo, keyring] = &args[..] else { return Err("pull_image IMAGE REPO KEYRING".into()) };
    let (machine, ctx) = (Machine::from_env(), Ctx::default());
    let repo = machine.open_repo(repo)?;
    let keys = SignedBy(machine.keyring(keyring)?);
    let opened = machine.open_image(&parse_image(image)?, &ImageOptions::default(), &ctx)?;
    let image = opened.admit(Demand::AsPolicySays, &ctx)?;
    let options =
        PullOptions { vouching: Vouching::By(&keys), name: Some("pulled".parse()?), ..Default::default() };
    println!("{} bytes to fetch", plan_pull(&image, &repo, &options, &ctx)?.fetch_bytes());
    println!("{}", pull(&image, &repo, &options, &ctx)?.commit);
    Ok(())
}
