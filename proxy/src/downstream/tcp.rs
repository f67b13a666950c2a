//! The TCP proxy: bytes from one side to the other.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use palanquin_config::ir::listener::TcpProxy;
use palanquin_filter_api::ConnectionInfo;
use palanquin_tls::Transport;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::upstream::PickCx;
use crate::worker::Worker;

/// How much is copied at a time.
const CHUNK: usize = 16 * 1024;

/// Serves a connection to its end. Without an endpoint it is closed.
pub(crate) async fn serve(
    downstream: Transport,
    info: Rc<ConnectionInfo>,
    proxy: &TcpProxy,
    worker: &Rc<Worker>,
) {
    let total: u64 = proxy.clusters.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut value = worker.rng.below(total);
    let drawn = proxy.clusters.iter().find(|(_, weight)| {
        let weight = u64::from(*weight);
        let hit = value < weight;
        value = value.saturating_sub(weight);
        hit
    });
    let Some(cluster) = drawn.and_then(|(name, _)| worker.snapshot().cluster(name)) else { return };
    let pick = PickCx {
        subset: &[],
        weighted_subset: &[],
        labels: &[],
        avoid: &[],
        re_picks: 1,
        rng: &worker.rng,
    };
    let Ok(host) = cluster.pick(&pick) else { return };
    let upstream = match cluster.shared().dialer().dial(&host, &[]).await {
        Ok(dialed) => dialed.transport,
        Err(failure) => {
            tracing::debug!(%failure, connection = info.id, "cannot connect upstream");
            return;
        }
    };
    let last = std::cell::Cell::new(Instant::now());
    let (down_read, down_write) = tokio::io::split(downstream);
    let (up_read, up_write) = tokio::io::split(upstream);
    let both = async {
        tokio::join!(copy(down_read, up_write, &last), copy(up_read, down_write, &last));
    };
    match proxy.idle_timeout {
        None => both.await,
        Some(limit) => {
            tokio::select! {
                () = both => {}
                () = idle(&last, limit) => {}
            }
        }
    }
}

/// Copies until the end, which is passed on as the end of that direction only.
async fn copy<R, W>(mut from: R, mut to: W, last: &std::cell::Cell<Instant>)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        last.set(Instant::now());
        if to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() {
            break;
        }
    }
    // The other side may be gone already; nothing is left to tell it.
    drop(to.shutdown().await);
}

/// Ready when nothing was copied for `limit`.
async fn idle(last: &std::cell::Cell<Instant>, limit: Duration) {
    let mut sleep = pin!(tokio::time::sleep(limit));
    loop {
        sleep.as_mut().await;
        let deadline = last.get() + limit;
        if deadline <= Instant::now() {
            return;
        }
        sleep.as_mut().reset(deadline);
    }
}
