//! Connections: how many, for how long, and when they end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::error::{Error, Result};
use super::limits::{BUFFER_BYTES, MAX_HEADERS, ServeLimits};
use super::pace::{Crowd, Paced};
use super::site::Site;
use crate::base::Cancel;

/// How often it is asked whether the work is cancelled.
const POLL: Duration = Duration::from_millis(50);
/// The pause after a connection could not be taken, because there are no more descriptors for instance.
const BREATH: Duration = Duration::from_millis(100);

/// Takes connections until the work is cancelled.
pub(super) async fn accept_all(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    limits: ServeLimits,
    cancel: &Cancel,
) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Listen)?;
    let room = Arc::new(Semaphore::new(limits.connections));
    let crowd = Crowd::default();
    let (end, ending) = watch::channel(false);
    while cancel.check().is_ok() {
        crowd.set(room.available_permits() == 0);
        let Ok(taken) = timeout(POLL, next(&listener, &room)).await else { continue };
        let (stream, peer, place) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be taken");
                sleep(BREATH).await;
                continue;
            }
        };
        let (tls, site, ending) = (tls.clone(), Arc::clone(&site), ending.clone());
        let stream = (stream, crowd.clone());
        tokio::spawn(async move {
            if let Err(error) = serve_one(stream, tls, site, limits, ending).await {
                tracing::debug!(%peer, %error, "connection ended");
            }
            drop(place);
        });
    }
    end.send_replace(true);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    // Who has not got everything by then does without.
    let _ = timeout(limits.farewell_time, room.acquire_many(all)).await;
    Ok(())
}

type Taken = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// The next connection, once there is room for one.
async fn next(listener: &tokio::net::TcpListener, room: &Arc<Semaphore>) -> io::Result<Taken> {
    let place = Arc::clone(room).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, place))
}

/// Answers what comes on a connection, request by request.
async fn serve_one(
    (stream, crowd): (TcpStream, Crowd),
    tls: Option<TlsAcceptor>,
    site: Arc<Site>,
    limits: ServeLimits,
    ending: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = Paced::new(stream, &limits, crowd);
    match tls {
        None => speak(stream, site, limits, ending).await,
        Some(tls) => {
            let stream = timeout(limits.request_time, tls.accept(stream)).await??;
            speak(stream, site, limits, ending).await
        }
    }
}

async fn speak<S>(
    stream: S,
    site: Arc<Site>,
    limits: ServeLimits,
    mut ending: watch::Receiver<bool>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.respond(&request).await) }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.request_time)
            .max_headers(MAX_HEADERS)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut told = std::pin::pin!(async { drop(ending.wait_for(|ending| *ending).await) });
    let mut is_told = false;
    Ok(poll_fn(|context| {
        if !is_told && told.as_mut().poll(context).is_ready() {
            is_told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await?)
}
