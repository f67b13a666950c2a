//! The contract between Palanquin and an HTTP filter.
//!
//! A filter author reads this crate only. [`HttpFilter`] is the trait to implement, [`StreamCx`] what a
//! filter knows about the request, [`Body`] what streams through it, [`LocalReply`] how it answers itself,
//! and [`stats`] how it counts.

mod body;
mod certificate;
mod chain;
mod context;
mod filter;
mod flags;
mod identity;
mod metadata;
mod reply;
pub mod stats;
mod stream_info;

pub use body::{Body, BodyError};
pub use certificate::{ChainFacts, FindIssuer, Issuer, encoded_pem};
pub use chain::FilterChain;
pub use context::{StreamCx, Upstreams};
pub use filter::{Flow, HttpFilter};
pub use flags::ResponseFlags;
pub use identity::{Later, PeerIdentity, TlsInfo, VerifiedBy};
pub use metadata::{DynamicMetadata, MetadataMap, MetadataValue};
pub use reply::{GrpcStatus, LocalReply};
pub use stream_info::{ConnectionInfo, StreamInfo, Timing, UpstreamInfo};
