//! Pings that find out whether the peer is still there (`Http2ProtocolOptions.connection_keepalive`).

use std::cell::RefCell;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::Sleep;

use super::connection::Connection;

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
    settings: KeepaliveSettings,
    timer: Pin<Box<Sleep>>,
    waits_for_answer: bool,
}

impl Keepalive {
    pub(super) fn new(settings: KeepaliveSettings) -> Self {
        let timer = Box::pin(tokio::time::sleep(settings.interval));
        Self { settings, timer, waits_for_answer: false }
    }

    /// Sends and awaits pings as their time comes. Ready when the peer does not answer.
    pub(super) fn poll(
        &mut self,
        connection: &RefCell<Connection>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            if self.waits_for_answer {
                if !connection.borrow().pongs.keepalive {
                    return self.timer.as_mut().poll(cx);
                }
                self.wait(false, self.settings.interval);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            connection.borrow_mut().ping();
            self.wait(true, self.settings.timeout);
        }
    }

    fn wait(&mut self, for_answer: bool, limit: Duration) {
        self.waits_for_answer = for_answer;
        self.timer.as_mut().reset(Instant::now() + limit);
    }
}
