//! Writes a commit of files that are in memory only: `commit_from_memory REPO REF`.

use ostree_rs::base::Ctx;
use ostree_rs::format::{DirEntry, DirMeta, DirTree, FileHeader, RefSpec, RootDir, Xattrs};
use ostree_rs::host::Machine;
use ostree_rs::store::{ObjectWrite, Txn};
use ostree_rs::tree::{CommitOptions, write_commit};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, name] = &args[..] else { return Err("commit_from_memory REPO REF".into()) };
    let (repo, name, ctx) = (Machine::from_env().open_repo(repo)?, name.parse::<RefSpec>()?, Ctx::default());

    let txn = repo.begin(&ctx)?;
    let header = FileHeader::regular(0, 0, 0o644, Xattrs::EMPTY);
    let hello = txn.write_file(&header, 6, &mut &b"hello\n"[..])?;
    let link =
        txn.write_file(&FileHeader::symlink(0, 0, "hello", Xattrs::EMPTY), 0, &mut std::io::empty())?;
    let meta = txn.write_dirmeta(&DirMeta::new(0, 0, 0o755, Xattrs::EMPTY))?;
    let mut usr = DirTree::default();
    usr.files.insert("hello".parse()?, hello);
    usr.files.insert("link".parse()?, link);
    let mut root = DirTree::default();
    root.dirs.insert("usr".parse()?, DirEntry { tree: txn.write_dirtree(&usr)?, meta });
    let root = RootDir { tree: txn.write_dirtree(&root)?, meta };
    let subject = "from memory".to_owned();
    let options = CommitOptions { subject, timestamp: 1_700_000_000, ..CommitOptions::default() };
    let commit = write_commit(&txn, root, &options)?;
    txn.set_ref(&name, Some(commit))?;
    txn.commit(&ctx)?;
    println!("{commit}");
    Ok(())
}
