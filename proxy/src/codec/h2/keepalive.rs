//! Pings that find out whether the peer is still there (`Http2ProtocolOptions.connection_keepalive`).

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use h2::Ping;
use h2::PingPong;
use tokio::time::Instant;
use tokio::time::Sleep;

/// How often a connection is tried, and how long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveSettings {
    /// From one answer to the next ping.
    pub interval: Duration,
    /// From a ping to its answer; the connection is given up after it.
    pub timeout: Duration,
}

/// The pings of one connection; polled by its driver.
pub(super) struct Keepalive {
    pings: PingPong,
    settings: KeepaliveSettings,
    timer: Pin<Box<Sleep>>,
    waits_for_answer: bool,
}

impl Keepalive {
    /// `None` without settings, or when somebody else has the connection's pings.
    pub(super) fn new(
        pings: Option<PingPong>,
        settings: Option<KeepaliveSettings>,
    ) -> Option<Self> {
        let (pings, settings) = pings.zip(settings)?;
        let timer = Box::pin(tokio::time::sleep(settings.interval));
        Some(Self { pings, settings, timer, waits_for_answer: false })
    }

    /// Sends and awaits pings as their time comes. Ready when the peer does not answer.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.waits_for_answer {
                match self.pings.poll_pong(cx) {
                    Poll::Ready(Ok(_)) => self.wait(false, self.settings.interval),
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => return self.timer.as_mut().poll(cx),
                }
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            if self.pings.send_ping(Ping::opaque()).is_err() {
                return Poll::Ready(());
            }
            self.wait(true, self.settings.timeout);
        }
    }

    fn wait(&mut self, for_answer: bool, limit: Duration) {
        self.waits_for_answer = for_answer;
        self.timer.as_mut().reset(Instant::now() + limit);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::DuplexStream;

    use super::*;

    const SETTINGS: KeepaliveSettings =
        KeepaliveSettings { interval: Duration::from_secs(10), timeout: Duration::from_secs(3) };

    /// Drives a client until its peer is given up.
    async fn gives_up(io: DuplexStream) {
        let (_requests, mut connection) = h2::client::handshake(io).await.unwrap();
        let mut keepalive = Keepalive::new(connection.ping_pong(), Some(SETTINGS)).unwrap();
        poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(end) => panic!("the connection ended: {end:?}"),
            Poll::Pending => keepalive.poll(cx),
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_answer_is_given_up() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let begun = Instant::now();
        gives_up(near).await;
        let waited = begun.elapsed();
        let limit = SETTINGS.interval + SETTINGS.timeout;
        assert!(waited >= limit && waited < limit * 2, "{waited:?}");
        drop(far);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_stays() {
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut server = h2::server::handshake::<_, Bytes>(far).await.unwrap();
            while server.accept().await.is_some() {}
        });
        let many = SETTINGS.interval * 20;
        assert!(tokio::time::timeout(many, gives_up(near)).await.is_err());
    }
}
