//! What the filter chain costs beside its filters.

use std::hint::black_box;
use std::sync::Arc;

use http::{Request, Response};
use palanquin::for_benches::Exchange;
use palanquin_filter_api::{Body, FilterChain, Flow, HttpFilter, StreamCx};

use super::telemetry::exchange;
use super::{Case, now, request};

/// Does nothing, so that only the chain is counted.
#[derive(Debug)]
struct Idle;

impl HttpFilter for Idle {}

/// Keeps a number from the request to the response.
#[derive(Debug)]
struct Remembers;

impl HttpFilter for Remembers {
    fn on_request<'a>(&'a self, _: &'a mut Request<Body>, cx: &'a mut StreamCx) -> Flow<'a> {
        cx.put(7_u64);
        Flow::Continue
    }

    fn on_response<'a>(&'a self, _: &'a mut Response<Body>, cx: &'a mut StreamCx) -> Flow<'a> {
        black_box(cx.get::<u64>());
        Flow::Continue
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for filters in [0, 4, 8] {
        cases.push(Case::new(format!("filters/{filters}/down"), "request hooks", move || {
            let (chain, exchange) = (chain(filters, || Arc::new(Idle)), exchange(""));
            let (mut request, mut cx) = (request("example.com", "/"), exchange.context());
            move || {
                let passed = now(black_box(&chain).on_request(&mut request, &mut cx));
                black_box(passed.is_ok());
            }
        }));
        cases.push(Case::new(format!("filters/{filters}/up"), "response hooks", move || {
            let (chain, exchange) = (chain(filters, || Arc::new(Idle)), exchange(""));
            let (mut response, mut cx) = (Response::new(Body::Empty), exchange.context());
            move || {
                let passed = now(black_box(&chain).on_response(&mut response, &mut cx));
                black_box(passed.is_ok());
            }
        }));
    }
    cases.push(Case::new("filters/8/stateful", "all hooks, a state kept by each filter", || {
        let (chain, exchange): (_, Exchange) = (chain(8, || Arc::new(Remembers)), exchange(""));
        let (mut request, mut cx) = (request("example.com", "/"), exchange.context());
        let mut response = Response::new(Body::Empty);
        move || {
            let down = now(black_box(&chain).on_request(&mut request, &mut cx));
            let up = now(chain.on_response(&mut response, &mut cx));
            chain.on_complete(&mut cx);
            black_box(down.is_ok() && up.is_ok());
        }
    }));
    cases
}

fn chain(filters: usize, filter: impl Fn() -> Arc<dyn HttpFilter>) -> FilterChain {
    FilterChain::new((0..filters).map(|_| Some(filter())).collect())
}
