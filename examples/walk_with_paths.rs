//! Prints what is in a commit, with its paths: `walk_with_paths REPO REV`.

use ostree_rs::host::Machine;
use ostree_rs::store::{ObjectRead, TreeEntry, load_commit, paths, resolve_rev};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, rev] = &args[..] else { return Err("walk_with_paths REPO REV".into()) };
    let repo = Machine::from_env().open_repo(repo)?;
    let commit = resolve_rev(&repo, &rev.parse()?)?;
    for entry in paths(&repo, load_commit(&repo, &commit)?.root) {
        match entry? {
            (path, TreeEntry::Dir(_)) => println!("d {path}"),
            (path, TreeEntry::File(id)) => {
                let (header, bytes) = repo.stat_file(&id)?.ok_or("an object is missing")?;
                match header.symlink_target() {
                    Some(target) => println!("l {path} -> {target}"),
                    None => println!("f {path} {bytes}"),
                }
            }
        }
    }
    Ok(())
}
