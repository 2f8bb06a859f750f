//! A server in this process, with limits that a test needs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::thread::JoinHandle;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use ostree_rs::base::{Cancel, Ctx};
use ostree_rs::container::build::BuildOptions;
use ostree_rs::repo::Repo;
use ostree_rs::serve::{ServeLimits, ServeOptions, serve};

use super::server::{Reply, ask};

/// A server of a repository, for as long as the value lives.
pub(super) struct Inside {
    pub(super) address: SocketAddr,
    cancel: Cancel,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    pub(super) fn start(repo: &Path, limit: impl FnOnce(&mut ServeLimits)) -> Self {
        let open = |path: &Path| Dir::open_ambient_dir(path, ambient_authority()).unwrap();
        let (dir, scratch) = (open(repo), open(&repo.join("tmp")));
        let mut limits = ServeLimits::default();
        limit(&mut limits);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ctx = Ctx::default();
        let cancel = ctx.cancel.clone();
        let options =
            ServeOptions { scratch, images: BuildOptions::default(), limits, signer: None, tls: None };
        let work = move || serve(Repo::open(dir).unwrap(), listener, options, &ctx).unwrap();
        Self { address, cancel, thread: Some(std::thread::spawn(work)) }
    }

    pub(super) fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        ask(self.address, method, path, headers)
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[])
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.cancel.cancel();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}
