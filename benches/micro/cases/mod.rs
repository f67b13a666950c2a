//! The cases: what is prepared, and what is counted.

mod config;
mod filters;
mod http1;
mod lower;
mod pick;
mod route;
mod telemetry;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::Request;
use palanquin_filter_api::{Body, stats};

/// One thing to count.
pub(crate) struct Case {
    /// `group/what/size`
    pub(crate) name: String,
    /// What one operation is, for the table.
    pub(crate) what: &'static str,
    /// How often the closure is called while it is counted.
    calls: u32,
    /// How many operations one call does.
    operations_per_call: u32,
    prepare: Box<dyn Fn() -> Box<dyn FnMut()> + Send + Sync>,
}

impl Case {
    /// A case of 100 calls of what `prepare` gives, one operation each. The same number of calls, not counted, comes
    /// before, so that what is made on first use is there.
    pub(crate) fn new<Op: FnMut() + 'static>(
        name: impl Into<String>,
        what: &'static str,
        prepare: impl Fn() -> Op + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            what,
            calls: 100,
            operations_per_call: 1,
            prepare: Box::new(move || Box::new(prepare())),
        }
    }

    /// One call is `operations` operations, and is counted once.
    pub(crate) fn of(self, operations: u32) -> Self {
        Self { calls: 1, operations_per_call: operations, ..self }
    }

    /// How many operations are counted.
    pub(crate) fn operations(&self) -> u32 {
        self.calls * self.operations_per_call
    }

    /// Prepares and runs it, on a thread that counts statistics as a worker does.
    pub(crate) fn run(&self) {
        stats::enter_worker(0);
        let mut operation = (self.prepare)();
        for _ in 0..self.calls {
            operation();
        }
        collect_instructions(&mut *operation, self.calls);
    }
}

/// The function callgrind counts in; the driver knows it by name.
#[inline(never)]
fn collect_instructions(operation: &mut dyn FnMut(), calls: u32) {
    for _ in 0..calls {
        operation();
    }
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    [
        route::cases(),
        filters::cases(),
        pick::cases(),
        http1::cases(),
        telemetry::cases(),
        lower::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The output of a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing in this case waits"),
    }
}

/// A request as most clients send it, in the form codecs hand over.
fn request(host: &str, path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", host)
        .header("user-agent", "curl/8.5.0")
        .header("accept", "*/*")
        .body(Body::Empty)
        .expect("the callers pass valid hosts and paths")
}
