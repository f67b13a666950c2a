//! The whole proxy against scripted neighbours: one file per behaviour.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::large_futures, reason = "a test keeps its whole world on its stack")]

mod access_log;
mod admin;
mod balancing;
mod breaker;
mod cert;
mod demo;
mod direct_response;
mod docs;
mod drain;
mod examples;
mod grpc;
mod headers;
mod http1;
mod http2;
mod layers;
mod redirect;
mod reload;
mod retries;
mod rewrite;
mod routing;
mod sds;
mod short_form;
mod sm;
mod smuggling;
mod tenants;
mod timeouts;
mod tlcp;
mod tls;
mod traces;
mod upstreams;
mod websocket;
mod weighted;
mod xds;
