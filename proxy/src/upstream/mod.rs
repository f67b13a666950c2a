//! Upstream: clusters, their hosts, and how a request reaches one.
//!
//! [`Cluster`] is what all workers share of a cluster, [`LocalCluster`] one worker's side of it. A request
//! picks a [`Host`] and is sent on one of the worker's own connections:
//!
//! | file | what it does |
//! |---|---|
//! | `cluster`, `host_set`, `host` | shared state: endpoints as they are now, counts |
//! | `balance/` | which host: priorities, health, localities, subsets, then the policy |
//! | `breaker` | whether: limits counted over all workers |
//! | `local`, `pool/` | a worker's connections, and the requests that wait for one |
//! | `connect` | TCP, TLS |
//! | `dns`, `connector` | names to endpoints; gRPC clients of the control thread |
//! | `failure` | what went wrong, in Envoy's words |

pub mod breaker;
pub mod connector;
pub mod dns;
pub mod failure;
pub(crate) mod forward;

pub(crate) mod attempt;
mod balance;
mod cluster;
mod connect;
mod host;
mod host_set;
mod local;
mod pool;
mod replay;
pub(crate) mod rewrite;
#[cfg(test)]
mod testing;

pub use cluster::Cluster;
pub use connect::DialError;
pub use connect::Dialer;
pub use failure::SendFailure;
pub use host::EndpointId;
pub use host::Host;
pub use host::HostStats;
pub use host_set::HostSet;
pub use host_set::Member;
pub use local::LocalCluster;
pub use local::PickCx;
pub use pool::ConnectionFacts;
pub use pool::Sent;
