//! Static deltas by C ostree, applied: both programs' fsck finds nothing, whatever the mode of the repository.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::Ctx;
use ostree_rs::delta::{Head, Sources, SuperblockFile, apply, complete_commit, needed_parts, read_head};
use ostree_rs::format::delta::DeltaName;
use ostree_rs::format::{FileId, ObjectName};
use ostree_rs::repo::{DeltaFile, Repo};
use ostree_rs::store::{
    CommitBytes, Completeness, Error, ObjectRead, Refusal, Result, Txn, Voucher, in_transaction,
};

use super::{Fixture, OURS, fixture, old_deltas, text};
use crate::oracle::{need, run};

/// What the modes of repositories are called, but for those that only root can write.
const MODES: [&str; 3] = ["bare-user", "archive", "bare-user-only"];

/// A new repository that has a commit of another one.
pub(super) fn repo_with(fixture: &Fixture, name: &str, mode: &str, commit: Option<&str>) -> String {
    let path = fixture.tmp.path().join(name);
    let repo = format!("--repo={}", path.display());
    run("ostree", &[&repo, "init", &format!("--mode={mode}")]);
    if let Some(commit) = commit {
        run("ostree", &[&repo, "pull-local", fixture.path().to_str().unwrap(), commit]);
    }
    repo
}

pub(super) fn delta_dir(fixture: &Fixture, name: &DeltaName) -> String {
    fixture.path().join(name.dir()).to_str().unwrap().to_owned()
}

pub(super) fn offline(program: &str, repo: &str, path: &str) -> Output {
    Command::new(program).args([repo, "static-delta", "apply-offline", path]).output().unwrap()
}

/// Both programs find everything of the commit, undamaged.
pub(super) fn check(repo: &str, commit: &str) {
    run("ostree", &[repo, "refs", "--create=applied", commit]);
    run("ostree", &[repo, "fsck"]);
    run(OURS, &[repo, "fsck"]);
}

#[test]
fn deltas_by_the_peer_are_applied_in_every_mode() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    for (number, options) in [
        &["--from=old"][..],
        &["--from=old", "--disable-bsdiff", "--swap-endianness"],
        &["--from=old", "--inline"],
        &["--from=old", "--max-chunk-size=0"],
        &["--empty", "--set-endianness=B"],
        &["--empty", "--inline", "--set-endianness=l"],
    ]
    .iter()
    .enumerate()
    {
        fs::remove_dir_all(fixture.path().join("deltas")).ok();
        let name = fixture.generate(options);
        for mode in MODES {
            let from = name.from.map(|from| from.to_string());
            let repo = repo_with(&fixture, &format!("{mode}-{number}"), mode, from.as_deref());
            let done = offline(OURS, &repo, &delta_dir(&fixture, &name));
            assert!(done.status.success(), "{options:?} {mode}: {}", text(done.stderr));
            check(&repo, &name.to.to_string());
        }
    }
}

/// The operations of the peer's deltas that the test above went through.
#[test]
fn every_operation_is_among_them() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let name = fixture.generate(&["--from=old"]);
    let shown = fixture.show("ostree", &name);
    let counts = shown.lines().find(|line| line.starts_with("PartPayloadOps")).unwrap();
    let zero = counts.split(' ').filter(|count| count.ends_with("=0")).collect::<Vec<_>>();
    assert_eq!(zero, Vec::<&str>::new(), "{counts}");
}

#[test]
fn a_superblock_is_a_file_anywhere() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let file = fixture.tmp.path().join("update.delta");
    let filename = format!("--filename={}", file.display());
    run(
        "ostree",
        &[&fixture.repo, "static-delta", "generate", "--from=old", "--to=new", "--inline", &filename],
    );
    let rev = |name| text(run("ostree", &[&fixture.repo, "rev-parse", name])).trim().to_owned();
    let repo = repo_with(&fixture, "target", "bare-user", Some(&rev("old")));
    let done = offline(OURS, &repo, file.to_str().unwrap());
    assert!(done.status.success(), "{}", text(done.stderr));
    check(&repo, &rev("new"));
}

#[test]
fn what_cannot_be_applied_is_said_as_by_the_peer() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let refused = |name: &DeltaName, with: Option<&str>, expected: &str| {
        for (program, target) in [(OURS, "ours"), ("ostree", "theirs")] {
            let target = format!("{target}-{}", expected.len());
            let repo = repo_with(&fixture, &target, "bare-user", with);
            let done = offline(program, &repo, &delta_dir(&fixture, name));
            assert_eq!(done.status.code(), Some(1));
            let said = text(done.stderr);
            assert!(said.contains(expected), "{program}: {said}");
            assert!(!text(run("ostree", &[&repo, "refs"])).contains("new"));
        }
    };
    let name = fixture.generate(&["--from=old"]);
    refused(
        &name,
        None,
        &format!("Commit {}, which is the delta source, is not in repository", name.from.unwrap()),
    );
    let name = fixture.generate(&["--empty", "--min-fallback-size=1"]);
    refused(&name, None, "Cannot execute delta offline: contains nonempty http fallback entries");
}

/// Deltas from before the byte order was stated, of machines of both orders.
#[test]
fn deltas_without_a_byte_order_are_applied() {
    let Some(archives) = old_deltas().filter(|_| need("ostree")) else { return };
    let (fixture, mut fallbacks) = (fixture(), 0);
    for (order, archive) in archives {
        let dir = fixture.tmp.path().join(order);
        fs::create_dir(&dir).unwrap();
        run("tar", &["-C", dir.to_str().unwrap(), "-xf", archive.to_str().unwrap()]);
        let path = dir.join("pre-endian-deltas-repo");
        let old = format!("--repo={}", path.display());
        let names = text(run("ostree", &[&old, "static-delta", "list"]));
        assert!(names.lines().count() >= 2, "{names}");
        for delta in names.lines() {
            let name: DeltaName = delta.parse().unwrap();
            let target = format!("{order}-{}", &delta[delta.len() - 60..]);
            let repo = repo_with(&fixture, &target, "bare-user", None);
            if let Some(from) = name.from {
                run("ostree", &[&repo, "pull-local", path.to_str().unwrap(), &from.to_string()]);
            }
            let (source, target) = (open(&path), open(&fixture.tmp.path().join(target)));
            fallbacks += fetch(&source, &target, &name);
            check(&repo, &name.to.to_string());
        }
    }
    assert!(fallbacks > 0);
}

pub(super) fn open(path: &Path) -> Repo {
    Repo::open(Dir::open_ambient_dir(path, ambient_authority()).unwrap()).unwrap()
}

fn head(repo: &Repo, name: &DeltaName) -> Head {
    let (file, len) = repo.open_delta(&DeltaFile::Superblock(*name)).unwrap().unwrap();
    read_head(SuperblockFile::on_disk(file, 0..len), None).unwrap()
}

/// Does what a pull does: parts that are needed are asked for, fallbacks are reported and fetched, then the commit is
/// whole. Gives back how many fallbacks there were.
fn fetch(source: &Repo, target: &Repo, name: &DeltaName) -> usize {
    let head = head(source, name);
    let block = &head.superblock;
    let ctx = Ctx::default();
    let part = |number| {
        let (file, _) = source.open_delta(&DeltaFile::Part(*name, number))?.unwrap();
        Ok(Box::new(file) as Box<dyn Read>)
    };
    let work = |txn: &dyn Txn| -> Result<_> {
        let expected: Vec<usize> =
            (0..block.parts.len()).filter(|number| block.inline_part(*number).is_none()).collect();
        assert_eq!(needed_parts(block, txn)?, expected);
        let from = Sources { part: &part, old: txn, voucher: None, spool: &tempfile::tempfile };
        let applied = apply(&head, &from, txn, &ctx)?;
        assert_eq!(applied.missing, block.fallbacks);
        if !applied.missing.is_empty() {
            assert_eq!(txn.completeness(&applied.commit)?, Completeness::Partial);
            assert!(matches!(complete_commit(txn, &applied.commit, &ctx), Err(Error::NotFound(_))));
        }
        for fallback in &applied.missing {
            let id = FileId::new(fallback.object.checksum);
            let mut file = source.open_file(&id)?.unwrap();
            let (header, len) = (file.header.clone(), file.len);
            txn.write_file_as(&id, &header, len, &mut file)?;
        }
        complete_commit(txn, &applied.commit, &ctx)?;
        assert_eq!(needed_parts(block, txn)?, [0usize; 0]);
        Ok(applied.missing.len())
    };
    in_transaction(target, &ctx, work).unwrap()
}

#[test]
fn fallbacks_are_for_the_caller() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let name = fixture.generate(&["--empty", "--min-fallback-size=1"]);
    let repo = repo_with(&fixture, "target", "bare-user", None);
    let (source, target) = (open(&fixture.path()), open(&fixture.tmp.path().join("target")));
    assert_eq!(fetch(&source, &target, &name), 1);
    check(&repo, &name.to.to_string());
}

/// Who vouches sees the commit's bytes and its detached metadata; a refused commit leaves nothing.
#[test]
fn a_refused_commit_leaves_nothing() {
    if !need("ostree") {
        return;
    }
    let fixture = fixture();
    let name = fixture.generate(&["--empty", "--inline"]);
    repo_with(&fixture, "target", "bare-user", None);
    let (source, target) = (open(&fixture.path()), open(&fixture.tmp.path().join("target")));
    let head = head(&source, &name);
    let ctx = Ctx::default();
    let refuse = |commit: &CommitBytes<'_>| -> Result<(), Refusal> {
        assert_eq!((commit.id, commit.bytes), (name.to, &head.superblock.commit[..]));
        Err("not this one".into())
    };
    let part = |_| unreachable!("all parts lie in the superblock");
    let result = in_transaction(&target, &ctx, |txn| -> Result<_> {
        let voucher = Some(&refuse as &dyn Voucher);
        apply(&head, &Sources { part: &part, old: txn, voucher, spool: &tempfile::tempfile }, txn, &ctx)
    });
    assert!(matches!(result, Err(Error::Refused { .. })), "{result:?}");
    let target = open(&fixture.tmp.path().join("target"));
    assert!(!target.contains(&ObjectName::from(name.to)).unwrap());
    assert!(head.superblock.parts[0].objects.iter().all(|object| !target.contains(object).unwrap()));
}
