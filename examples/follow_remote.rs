//! Keeps refs of a remote up to date: `follow_remote REPO REMOTE REF…`. Says what is new, and shows how far the pull is;
//! a line on standard input ends it, and the next one goes on from there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ostree_rs::base::{Cancel, Ctx, ErrorKind, Event, Kind};
use ostree_rs::format::RemoteName;
use ostree_rs::host::{Machine, RemoteAccess};
use ostree_rs::remote::{Error, RemoteOptions, RemotePlan, WantedRef, WantedRefs};
use ostree_rs::store::{Refs, in_resumed, remote_ref};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, repo, remote, names @ ..] = &args[..] else {
        return Err("follow_remote REPO REMOTE REF…".into());
    };
    let bytes = AtomicU64::new(0);
    let progress = move |event: Event<'_>| match event {
        Event::Phase { name, .. } => eprintln!("{name}"),
        Event::Done { bytes: more, .. } => {
            eprint!("\r{} bytes", bytes.fetch_add(more, Ordering::Relaxed) + more);
        }
        _ => {}
    };
    let cancel = Cancel::default();
    let ctx = Ctx { progress: Arc::new(progress), cancel: cancel.clone(), ..Ctx::default() };
    std::thread::spawn(move || {
        std::io::stdin().read_line(&mut String::new()).is_ok_and(|n| n > 0).then(|| cancel.cancel())
    });

    let (machine, remote) = (Machine::from_env(), remote.parse::<RemoteName>()?);
    let repo = machine.open_repo(repo)?;
    let opened = machine.open_remote(&repo, &remote, &RemoteAccess::default(), &ctx)?;
    let trust = machine.remote_trust(&repo, &remote)?;
    let judge = |summary: &[u8], signatures: Option<&[u8]>| trust.judge_summary(summary, signatures);
    let mut wanted = Vec::new();
    for name in names {
        wanted.push(WantedRef::Ref { collection: None, name: name.parse()?, commit: None });
    }
    let options = RemoteOptions {
        remote: Some(remote.clone()),
        voucher: trust.commits(),
        summary_judge: trust.verifies_summary().then_some(&judge),
        ..RemoteOptions::default()
    };
    let plan = RemotePlan::new(opened.origin(None), &WantedRefs::These(wanted), options, &ctx)?;
    for found in &plan.refs {
        let here = repo.resolve_exact(&remote_ref(remote.clone(), found.name.clone()))?;
        println!("{} {}", found.name, if here == Some(found.commit) { "is up to date" } else { "is new" });
    }
    match in_resumed(&repo, &ctx, |txn| plan.run(txn, &ctx)) {
        Ok(stats) => println!("{} objects", stats.metadata_fetched + stats.content_fetched),
        Err(error) if Error::kind(&error) == ErrorKind::Cancelled => println!("cancelled"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
