//! An xDS client: protocol only, it knows bytes, names and versions.
//!
//! One [`XdsClient`] keeps one aggregated stream (ADS), incremental or state of the world, and
//! tells its owner what arrived as [`Event`]s. The owner decodes and judges the resources and
//! answers each [`Update`] through its [`Token`]; only then does the client send ACK or NACK.
//! Nothing here knows what a listener or a cluster is.
//!
//! ```text
//!  owner ──subscribe, answer──► client.rs ──► stream.rs (one task) ──► state/ (sans-IO)
//!  owner ◄──── Event ─────────      "            "  ▲
//!                                       transport.rs: gRPC over any channel
//! ```
//!
//! The surprising thing: all types share one stream, so a type whose update is unanswered cannot
//! stop the reading of the others. Such a response is *held*, see
//! [`ResourceType::with_max_unanswered`].

mod backoff;
mod client;
mod error;
mod rate_limit;
mod resource;
pub mod state;
mod stats;
mod stream;
mod transport;

pub use backoff::BackoffPolicy;
pub use client::Config;
pub use client::Event;
pub use client::Subscription;
pub use client::Token;
pub use client::Update;
pub use client::XdsClient;
pub use client::XdsEvents;
pub use client::XdsHandle;
pub use error::ResourceError;
pub use error::StreamError;
pub use rate_limit::RateLimit;
pub use resource::Absence;
pub use resource::Change;
pub use resource::Protocol;
pub use resource::Resource;
pub use resource::ResourceType;
pub use resource::WILDCARD;
pub use resource::peek_name;
pub use stats::Stats;
pub use stats::TypeStats;
