//! Commits a directory as a signed operating system: `build_os DIR REPO REF KEYS KEY`. Everything is root's, caches and
//! attributes of users are left out, and labels are those of the policy that the directory has.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;

use ostree_rs::base::Ctx;
use ostree_rs::cap_std::{ambient_authority, fs::Dir};
use ostree_rs::format::RefSpec;
use ostree_rs::host::{Error, Machine, sign_commit};
use ostree_rs::store::selinux::{Labeling, SelinuxPolicy, UsrEtc};
use ostree_rs::store::{self, Attributes, Decision, Modifier, MutableTree, TreeFilter, in_transaction};
use ostree_rs::tree::{CommitOptions, DirOptions, RefBindings, add_dir, write_commit};

/// Files that every machine has for itself do not go into the commit.
#[derive(Debug)]
struct System {
    /// Owners of directories that services write into.
    owners: HashMap<&'static str, u32>,
}

impl TreeFilter for System {
    fn decide(&self, path: &str, attributes: &mut Attributes) -> Decision {
        (attributes.uid, attributes.gid) = (self.owners.get(path).copied().unwrap_or(0), 0);
        let is_cache = path.starts_with("/var/cache/") || path.ends_with(".pyc");
        if is_cache { Decision::Skip } else { Decision::Take }
    }

    fn keeps_xattr(&self, _path: &str, name: &[u8]) -> bool {
        !name.starts_with(b"user.")
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, repo, name, keys, key] = &args[..] else {
        return Err("build_os DIR REPO REF KEYS KEY".into());
    };
    let (machine, ctx) = (Machine::from_env(), Ctx::default());
    let (repo, name) = (machine.open_repo(repo)?, name.parse::<RefSpec>()?);
    let keys = machine.secret_keys(Some(keys.as_ref()))?;
    let dir = Dir::open_ambient_dir(dir, ambient_authority())?;
    let policy = SelinuxPolicy::load(&mut |path| match dir.read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(|error| store::Error::io("read", path, error)),
    })?;
    let mut modifier = Modifier {
        filter: Some(Arc::new(System { owners: [("/var/lib/web", 33)].into() })),
        selinux: policy.map(|policy| Labeling { policy: Arc::new(policy), usr_etc: UsrEtc::AsEtc }),
        ..Modifier::default()
    };
    let commit = in_transaction(&repo, &ctx, |txn| {
        let mut tree = MutableTree::new();
        add_dir(txn, &mut tree, dir.into(), &mut modifier, &DirOptions::default(), &ctx)?;
        let options = CommitOptions {
            subject: "built".to_owned(),
            timestamp: 1_700_000_000,
            bindings: Some(RefBindings { refs: vec![name.clone()], collection: None }),
            ..CommitOptions::default()
        };
        let commit = write_commit(txn, tree.write(txn)?, &options)?;
        sign_commit(txn, &commit, &keys, std::slice::from_ref(key))?;
        txn.set_ref(&name, Some(commit))?;
        Ok::<_, Error>(commit)
    })?;
    println!("{commit}");
    Ok(())
}
