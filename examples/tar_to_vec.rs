//! Makes a tar stream of a commit in memory: `tar_to_vec REPO REV > FILE`. Any `Write` will do instead of the `Vec`.

use std::io::Write;

use ostree_rs::base::Ctx;
use ostree_rs::host::Machine;
use ostree_rs::store::resolve_rev;
use ostree_rs::tar::{PlainOptions, export_plain};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, rev] = &args[..] else { return Err("tar_to_vec REPO REV".into()) };
    let repo = Machine::from_env().open_repo(repo)?;
    let commit = resolve_rev(&repo, &rev.parse()?)?;
    let mut tar = Vec::new();
    export_plain(&repo, &commit, &mut tar, &PlainOptions::default(), &Ctx::default())?;
    std::io::stdout().write_all(&tar)?;
    Ok(())
}
