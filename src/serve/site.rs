//! Everything that is served, and who answers for what.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::asked::{Asked, Refused};
use super::body::Body;
use super::limits::ServeLimits;
use super::page::{self, Sizes};
use super::registry::{self, Images};
use super::shelf::{Found, Key, Maker, Shelf};
use super::summary::Summaries;
use super::{conditions, repository};
use crate::base::WithCauses;
use crate::repo::Repo;

/// How often it is asked whether there is room on the shelf.
const POLL: Duration = Duration::from_millis(50);

/// How a site is reached, which decides about how much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// By HTTP.
    Http,
    /// By HTTPS.
    Https,
    /// As plain files: one image of each ref, pages for the directories of newest commits, and none for files.
    Files,
}

impl Extent {
    /// The scheme of its URLs, if it has any.
    pub(super) const fn scheme(self) -> Option<&'static str> {
        match self {
            Self::Http => Some("http"),
            Self::Https => Some("https"),
            Self::Files => None,
        }
    }
}

/// What all connections share.
#[derive(Debug)]
pub(super) struct Site {
    /// The repository.
    pub(super) repo: Arc<Repo>,
    /// What was made on the way.
    pub(super) shelf: Arc<Shelf>,
    /// The images that were asked for.
    pub(super) images: Images,
    /// What the repository says of itself.
    pub(super) summaries: Arc<Summaries>,
    /// How large commits are.
    pub(super) sizes: Arc<Sizes>,
    /// How it is reached.
    pub(super) extent: Extent,
    /// How long room on the shelf is waited for.
    shelf_time: Duration,
    /// One permit for each large object that is being packed.
    pub(super) packing: Arc<Semaphore>,
}

impl Site {
    pub(super) fn new(
        repo: Arc<Repo>,
        shelf: Arc<Shelf>,
        images: Images,
        summaries: Summaries,
        extent: Extent,
        limits: &ServeLimits,
        jobs: NonZeroUsize,
    ) -> Self {
        let packing = Arc::new(Semaphore::new(jobs.get()));
        let (summaries, sizes) = (Arc::new(summaries), Arc::default());
        Self { repo, shelf, images, summaries, sizes, extent, shelf_time: limits.shelf_time, packing }
    }

    /// Looks for something on the shelf, and waits for room there; a client that waited long enough is told so.
    pub(super) async fn find(&self, key: Key, promised: Option<u64>) -> Result<Found, Answer> {
        let deadline = Instant::now() + self.shelf_time;
        loop {
            let shelf = Arc::clone(&self.shelf);
            match blocking(move || shelf.find(key, promised)).await? {
                Ok(Some(found)) => return Ok(found),
                Ok(None) if Instant::now() < deadline => sleep(POLL).await,
                Ok(None) => return Err(Answer::busy()),
                Err(error) => return Err(Answer::failed(&error)),
            }
        }
    }

    /// Has `work` write what others read meanwhile, in its turn.
    pub(super) fn make(
        &self,
        mut maker: Maker,
        work: impl FnOnce(&mut Maker) -> crate::store::Result<()> + Send + 'static,
    ) {
        let permits = Arc::clone(&self.packing);
        tokio::spawn(async move {
            let Ok(permit) = permits.acquire_owned().await else { return };
            let made = spawn_blocking(move || {
                match work(&mut maker) {
                    Ok(()) => maker.finish(),
                    Err(error) => tracing::warn!(error = %WithCauses(&error), "cannot be made"),
                }
                drop(permit);
            });
            // Whoever waits for it is told by the maker.
            let _ = made.await;
        });
    }

    /// Answers a request.
    pub(super) async fn respond(&self, request: &Request<Incoming>) -> Response<Body> {
        let (method, path) = (request.method(), request.uri().path());
        let response = match Asked::of(request) {
            Ok(asked) => conditions::response(&asked, self.answer(&asked).await),
            Err(refused) => conditions::response(&Asked::nothing(), refusal(refused, path)),
        };
        tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
        response
    }

    /// Answers a request, whatever its conditions.
    pub(super) async fn answer(&self, asked: &Asked) -> Answer {
        match asked.parts()[..] {
            ["repo", ref path @ ..] => repository::answer(self, asked, path).await,
            ["v2", ref path @ ..] => registry::answer(self, asked, path).await,
            ref path => page::answer(self, asked, path).await.unwrap_or_else(|| {
                Answer::missing("nothing here; the repository is at /repo/, its images are at /v2/")
            }),
        }
    }
}

fn refusal(refused: Refused, path: &str) -> Answer {
    match refused {
        Refused::Method => {
            let answer = match path.split('/').nth(1) == Some("v2") {
                true => registry::read_only(),
                false => Answer::says(StatusCode::METHOD_NOT_ALLOWED, "this server can only be read from"),
            };
            answer.with(ALLOW, HeaderValue::from_static("GET, HEAD"))
        }
        Refused::Path => Answer::says(StatusCode::BAD_REQUEST, "this path cannot be understood"),
    }
}

/// Does `work`, which reads from the disk or takes the processor, on a thread for such things.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Answer> {
    spawn_blocking(work).await.map_err(|error| Answer::failed(&error))
}
