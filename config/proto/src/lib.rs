//! Envoy's v3 API as generated protobuf types, with a [field table](schema).
//!
//! Everything under `generated` is written by `cargo run -p palanquin-proto-gen` and committed, so
//! that building the proxy needs neither protoc nor a build script. There is no logic here.
//!
//! The Rust code covers what `gen/roots.txt` names and all it refers to; the modules are the
//! protobuf packages (`envoy::config::cluster::v3::Cluster`). `prost::Name::type_url` gives the URL
//! that an `Any` carries. The feature `server` adds the server side of the discovery services.

pub mod schema;

#[allow(
    missing_docs,
    unused_qualifications,
    elided_lifetimes_in_paths,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    clippy::nursery,
    rustdoc::all,
    reason = "generated code; this is the one place that says so"
)]
mod generated {
    include!("generated/mod.rs");
}

pub use generated::*;
