//! One endpoint's identity and counts. It lives on while updates change its weight, health or labels.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use http::StatusCode;

use palanquin_config::ir::endpoint::Address;

/// An endpoint: where it is, and what was done with it. Shared by all workers.
#[derive(Debug)]
pub struct Host {
    endpoint: EndpointId,
    name: Arc<str>,
    /// What was done with it, for `/clusters` and for balancing by load.
    pub stats: HostStats,
}

/// What makes an endpoint the same in two updates.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndpointId {
    /// Where it listens.
    pub address: Address,
    /// Its host name; empty when it has none.
    pub hostname: Arc<str>,
    /// Its place among the cluster's `transport_socket_matches`; `None`: it uses the cluster's own TLS.
    pub transport: Option<usize>,
}

impl Host {
    /// A host nothing was done with yet.
    pub fn new(endpoint: EndpointId) -> Self {
        let name = endpoint.address.to_string().into();
        Self { endpoint, name, stats: HostStats::default() }
    }

    /// Its identity.
    pub fn endpoint(&self) -> &EndpointId {
        &self.endpoint
    }

    /// Its address as `%UPSTREAM_HOST%` shows it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Counts the outcome of an attempt: a 5xx is an error.
    pub fn observe_status(&self, status: StatusCode) {
        let count =
            if status.is_server_error() { &self.stats.rq_error } else { &self.stats.rq_success };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt without a response.
    pub fn observe_failure(&self) {
        self.stats.rq_error.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that took too long.
    pub fn observe_timeout(&self) {
        self.stats.rq_timeout.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! host_stats {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of one host over all workers. Relaxed atomics: they are shown and compared, nothing else.
        #[derive(Default)]
        pub struct HostStats {
            $($name: AtomicU64,)*
        }

        impl HostStats {
            $($(#[$doc])* pub fn $name(&self) -> u64 {
                self.$name.load(Ordering::Relaxed)
            })*

            /// Every count with its name, in the order of `/clusters`.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name()),)*].into_iter()
            }
        }
    };
}

host_stats! {
    /// Connections, open or being made.
    cx_active,
    /// Connections that could not be made.
    cx_connect_fail,
    /// Connections ever begun.
    cx_total,
    /// Requests in flight.
    rq_active,
    /// Requests that failed: no response, or a 5xx.
    rq_error,
    /// Requests that wait for a connection.
    rq_pending_active,
    /// Requests answered without a 5xx.
    rq_success,
    /// Requests that took too long.
    rq_timeout,
    /// Requests ever sent.
    rq_total,
}

impl HostStats {
    pub(super) fn connecting(&self) {
        self.cx_active.fetch_add(1, Ordering::Relaxed);
        self.cx_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connect_failed(&self) {
        self.cx_connect_fail.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.cx_active.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) {
        self.rq_pending_active.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self) {
        self.rq_pending_active.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn request_begun(&self) {
        self.rq_active.fetch_add(1, Ordering::Relaxed);
        self.rq_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn request_over(&self) {
        self.rq_active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for HostStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.all()).finish()
    }
}
