//! Both ends against the `h2` crate, and against frames that a test writes.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::request::Parts;
use http_body_util::BodyExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;

use palanquin_filter_api::Body;

use super::*;
use crate::codec::Drain;
use crate::codec::Outgoing;
use crate::codec::SendErrorKind;
use crate::codec::Service;
use crate::codec::Violation;

mod client;
mod server;

/// Runs a test on a worker's kind of runtime, with a clock that does not wait.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build_local(tokio::runtime::LocalOptions::default())
        .unwrap();
    runtime.block_on(test);
}

fn keepalive() -> KeepaliveSettings {
    KeepaliveSettings { interval: Duration::from_secs(10), timeout: Duration::from_secs(3) }
}
