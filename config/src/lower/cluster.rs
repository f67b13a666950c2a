//! Clusters.

use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::cluster::v3 as pb;
use palanquin_proto::envoy::config::cluster::v3::circuit_breakers;
use palanquin_proto::envoy::config::core::v3::RoutingPriority;
use palanquin_proto::envoy::config::core::v3::TransportSocket;
use prost::Message;

use super::Environment;
use super::Lowered;
use super::Lowering;
use super::Rejected;
use super::core::metadata;
use super::core::metadata_map;
use crate::ir::Digest;
use crate::ir::cluster::Cluster;
use crate::ir::cluster::TcpKeepalive;
use crate::ir::cluster::Thresholds;
use crate::ir::cluster::TransportMatch;
use crate::ir::cluster::UpstreamProtocol;
use crate::ir::tls::UpstreamTls;

/// `connect_timeout` when it is not set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// `per_connection_buffer_limit_bytes` when it is not set.
pub(super) const BUFFER_LIMIT: u32 = 1 << 20;
/// `healthy_panic_threshold` when it is not set, in percent.
const PANIC_THRESHOLD: f64 = 50.0;

/// Lowers a `Cluster` as a control plane (or a file) sent it.
pub fn lower_cluster(
    environment: Environment<'_>,
    bytes: &[u8],
) -> Result<Lowered<Cluster>, Rejected> {
    let mut cx = Lowering::new(environment);
    let message: Option<pb::Cluster> = cx.decode(bytes);
    let name = message.as_ref().map(|message| message.name.clone()).unwrap_or_default();
    let value = message.and_then(|message| cx.cluster(&message, Digest::of(bytes)));
    cx.finish("Cluster", &name, value)
}

impl Lowering<'_> {
    pub(super) fn static_cluster(&mut self, message: &pb::Cluster) -> Option<Cluster> {
        self.cluster(message, Digest::of(&message.encode_to_vec()))
    }

    fn cluster(&mut self, message: &pb::Cluster, digest: Digest) -> Option<Cluster> {
        if message.name.is_empty() {
            self.error_in("name", "must not be empty");
        }
        let discovery = self.discovery(message);
        let balancing = self.balancing(message);
        let options = self.upstream_options(message);
        let breakers = lower_breakers(message.circuit_breakers.as_ref());
        let tls = self.upstream_socket(message.transport_socket.as_ref());
        let transport_matches =
            self.list("transport_socket_matches", &message.transport_socket_matches, |cx, one| {
                let tls = cx.upstream_socket(one.transport_socket.as_ref())?;
                Some(TransportMatch {
                    name: one.name.as_str().into(),
                    labels: one.r#match.as_ref().map(metadata_map).unwrap_or_default(),
                    tls,
                })
            });
        if message.transport_socket_matcher.is_some() {
            self.error_in("transport_socket_matcher", "is not supported yet")
                .hint("use transport_socket_matches");
        }
        let connect_timeout = self.duration("connect_timeout", message.connect_timeout.as_ref());
        if connect_timeout.is_some_and(|limit| limit.is_zero()) {
            self.error_in("connect_timeout", "must be greater than 0s");
        }
        let (tls, options) = (tls?, options?);
        if options.protocol == UpstreamProtocol::Alpn
            && tls.is_none()
            && transport_matches.is_empty()
        {
            self.error(format!(
                "auto_config for cluster {:?} needs a transport socket with ALPN: HTTP/1 or HTTP/2 is agreed on in the TLS handshake",
                message.name
            ))
            .hint("add a TLS transport_socket, or choose a protocol with explicit_http_config");
        }
        let panic_threshold = message
            .common_lb_config
            .as_ref()
            .and_then(|common| common.healthy_panic_threshold.as_ref())
            .map_or(PANIC_THRESHOLD, |percent| percent.value);
        let keepalive = message
            .upstream_connection_options
            .as_ref()
            .and_then(|options| options.tcp_keepalive.as_ref());
        let seconds = |value: Option<u32>| value.map(|value| Duration::from_secs(value.into()));
        let stat_name =
            if message.alt_stat_name.is_empty() { &message.name } else { &message.alt_stat_name };
        let balancing = balancing?;
        Some(Cluster {
            name: message.name.as_str().into(),
            stat_name: stat_name.as_str().into(),
            digest,
            discovery: discovery?,
            balancer: balancing.balancer,
            locality_weighted: balancing.locality_weighted,
            subsets: balancing.subsets,
            panic_threshold_percent: panic_threshold,
            connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            buffer_limit: message.per_connection_buffer_limit_bytes.unwrap_or(BUFFER_LIMIT),
            protocol: options.protocol,
            http1: options.http1,
            http2: options.http2,
            idle_timeout: options.idle_timeout,
            max_connection_duration: options.max_connection_duration,
            max_requests_per_connection: options.max_requests_per_connection,
            max_stream_duration: options.max_stream_duration,
            breakers,
            tls,
            transport_matches,
            tcp_keepalive: keepalive.map(|keepalive| TcpKeepalive {
                probes: keepalive.keepalive_probes,
                time: seconds(keepalive.keepalive_time),
                interval: seconds(keepalive.keepalive_interval),
            }),
            metadata: metadata(message.metadata.as_ref()),
        })
    }

    /// `None` after an error; `Some(None)` is plaintext.
    #[expect(clippy::option_option, reason = "the outer one is a reported error")]
    fn upstream_socket(
        &mut self,
        socket: Option<&TransportSocket>,
    ) -> Option<Option<Arc<UpstreamTls>>> {
        let Some(socket) = socket else { return Some(None) };
        self.field("transport_socket", |cx| cx.upstream_transport(socket))
    }
}

/// The first thresholds of each priority count, as in Envoy.
fn lower_breakers(breakers: Option<&pb::CircuitBreakers>) -> [Thresholds; 2] {
    let thresholds = breakers.map(|breakers| breakers.thresholds.as_slice()).unwrap_or_default();
    let of = |priority: RoutingPriority| {
        thresholds
            .iter()
            .find(|one| one.priority == priority as i32)
            .map_or_else(Thresholds::default, lower_thresholds)
    };
    [of(RoutingPriority::Default), of(RoutingPriority::High)]
}

fn lower_thresholds(message: &circuit_breakers::Thresholds) -> Thresholds {
    let defaults = Thresholds::default();
    Thresholds {
        max_connections: message.max_connections.unwrap_or(defaults.max_connections),
        max_pending_requests: message.max_pending_requests.unwrap_or(defaults.max_pending_requests),
        max_requests: message.max_requests.unwrap_or(defaults.max_requests),
        max_retries: message.max_retries.unwrap_or(defaults.max_retries),
        retry_budget: message.retry_budget.as_ref().map(|budget| {
            // Envoy's defaults: 20 %, at least 3.
            let percent = budget.budget_percent.as_ref().map_or(20.0, |percent| percent.value);
            (percent, budget.min_retry_concurrency.unwrap_or(3))
        }),
    }
}
