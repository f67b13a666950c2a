//! Listeners: where to accept, and which chain serves a connection.

use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::core::v3::TrafficDirection;
use palanquin_proto::envoy::config::listener::v3 as pb;
use palanquin_proto::envoy::extensions::filters::listener::proxy_protocol::v3::ProxyProtocol as ProxyProtocolConfig;
use prost::Message;

use super::Environment;
use super::Lowered;
use super::Lowering;
use super::Rejected;
use super::cluster::BUFFER_LIMIT;
use crate::extension::known;
use crate::extension::known::Verdict;
use crate::ir::Digest;
use crate::ir::endpoint::Address;
use crate::ir::listener::FilterChain;
use crate::ir::listener::FilterChainMatch;
use crate::ir::listener::Inspect;
use crate::ir::listener::Listener;
use crate::ir::listener::ProxyProtocol;
use crate::ir::listener::SourceType;
use crate::ir::tracing::Direction;

/// `listener_filters_timeout` when it is not set.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(15);
/// `tcp_backlog_size` when it is not set.
const BACKLOG: u32 = 128;

/// Lowers a `Listener` as a control plane (or a file) sent it.
pub fn lower_listener(
    environment: Environment<'_>,
    bytes: &[u8],
) -> Result<Lowered<Listener>, Rejected> {
    let mut cx = Lowering::new(environment);
    let message: Option<pb::Listener> = cx.decode(bytes);
    let name = message.as_ref().map(|message| message.name.clone()).unwrap_or_default();
    let value = message.and_then(|message| cx.listener(&message, Digest::of(bytes)));
    cx.finish("Listener", &name, value)
}

impl Lowering<'_> {
    pub(super) fn static_listener(&mut self, message: &pb::Listener) -> Option<Listener> {
        self.listener(message, Digest::of(&message.encode_to_vec()))
    }

    fn listener(&mut self, message: &pb::Listener, digest: Digest) -> Option<Listener> {
        self.check_listener_kind(message)?;
        let direction = match message.traffic_direction() {
            TrafficDirection::Inbound => Some(Direction::Inbound),
            TrafficDirection::Outbound => Some(Direction::Outbound),
            TrafficDirection::Unspecified => None,
        };
        self.set_direction(direction.unwrap_or_default());
        let address = self.field("address", |cx| cx.address(message.address.as_ref()));
        let additional =
            self.list("additional_addresses", &message.additional_addresses, |cx, one| {
                cx.field("address", |cx| cx.address(one.address.as_ref()))
            });
        let mut inspect = self.listener_filters(&message.listener_filters);
        if message.use_original_dst == Some(true) {
            inspect.original_destination = true;
            self.warning_in(
                "use_original_dst",
                "is not supported yet: connections are not handed to the listener of their original destination",
            );
        }
        if message.filter_chains.is_empty() && message.default_filter_chain.is_none() {
            self.error_in("filter_chains", "no filter chains specified");
        }
        let chains = self.list("filter_chains", &message.filter_chains, |cx, chain| {
            cx.filter_chain(chain).map(Arc::new)
        });
        let default_chain = message
            .default_filter_chain
            .as_ref()
            .and_then(|chain| self.field("default_filter_chain", |cx| cx.filter_chain(chain)));
        self.check_distinct(&message.filter_chains);
        let inspect_timeout = self.timeout(
            "listener_filters_timeout",
            message.listener_filters_timeout.as_ref(),
            Some(INSPECT_TIMEOUT),
        );
        let address = address?;
        let text = address.to_string();
        let name = if message.name.is_empty() { &text } else { &message.name };
        let stat_prefix = if message.stat_prefix.is_empty() {
            text.replace(':', "_")
        } else {
            message.stat_prefix.replace(':', "_")
        };
        Some(Listener {
            name: name.as_str().into(),
            stat_prefix: stat_prefix.into(),
            digest,
            addresses: std::iter::once(address).chain(additional).collect(),
            bind_to_port: message.bind_to_port.unwrap_or_else(|| old_bind_to_port(message)),
            chains,
            default_chain: default_chain.map(Arc::new),
            inspect,
            inspect_timeout,
            continue_on_inspect_timeout: message.continue_on_listener_filters_timeout,
            buffer_limit: message.per_connection_buffer_limit_bytes.unwrap_or(BUFFER_LIMIT),
            backlog: message.tcp_backlog_size.unwrap_or(BACKLOG),
            direction,
        })
    }

    /// Kinds of listeners that are no TCP listeners, and other ways to find a chain.
    fn check_listener_kind(&mut self, message: &pb::Listener) -> Option<()> {
        let errors = self.error_count();
        if message.udp_listener_config.is_some() || is_udp(message) {
            self.error_in("udp_listener_config", "UDP and QUIC listeners are not supported yet");
        }
        if message.api_listener.is_some() {
            self.error_in("api_listener", "API listeners are not supported");
        }
        if message.listener_specifier.is_some() {
            self.error_in("internal_listener", "internal listeners are not supported yet");
        }
        if message.filter_chain_matcher.is_some() {
            self.error_in("filter_chain_matcher", "matching trees are not supported yet")
                .hint("use filter_chain_match");
        }
        if message.fcds_config.is_some() {
            self.error_in("fcds_config", "filter chain discovery is not supported yet");
        }
        if message.transparent == Some(true) {
            self.error_in("transparent", "transparent sockets are not supported yet");
        }
        (self.error_count() == errors).then_some(())
    }

    fn listener_filters(&mut self, filters: &[pb::ListenerFilter]) -> Inspect {
        use pb::listener_filter::ConfigType;
        let mut inspect = Inspect::default();
        for (index, filter) in filters.iter().enumerate() {
            self.item("listener_filters", index, |cx| {
                if filter.filter_disabled.is_some() {
                    cx.warning_in(
                        "filter_disabled",
                        "is not supported yet: the filter always runs",
                    );
                }
                let any = match &filter.config_type {
                    Some(ConfigType::TypedConfig(any)) => any,
                    Some(ConfigType::ConfigDiscovery(_)) => {
                        cx.error_in("config_discovery", "is not supported yet");
                        return;
                    }
                    None => {
                        cx.error_in("typed_config", "is necessary");
                        return;
                    }
                };
                cx.field("typed_config", |cx| {
                    let Some(any) = cx.open(any) else { return };
                    let name = cx.type_name(&any).to_owned();
                    match name.strip_prefix("envoy.extensions.filters.listener.").unwrap_or(&name) {
                        "tls_inspector.v3.TlsInspector" => inspect.tls = true,
                        "http_inspector.v3.HttpInspector" => inspect.http = true,
                        "original_dst.v3.OriginalDst" => inspect.original_destination = true,
                        "proxy_protocol.v3.ProxyProtocol" => {
                            let config: Option<ProxyProtocolConfig> = cx.unpack(&any);
                            inspect.proxy_protocol = config.map(|config| ProxyProtocol {
                                optional: config.allow_requests_without_proxy_protocol,
                            });
                        }
                        _ => cx.unknown_listener_filter(&name),
                    }
                });
            });
        }
        inspect
    }

    fn unknown_listener_filter(&mut self, name: &str) {
        match known::listener_filter(name) {
            Some(Verdict::Ignore(loss)) => {
                self.warning(format!("{name} is not supported yet and ignored: {loss}"));
            }
            Some(Verdict::Refuse(reason)) => {
                self.error(format!("{name} is not supported yet, and {reason}"));
            }
            None => {
                self.error(format!("unknown listener filter {name:?}"))
                    .hint("supported: tls_inspector, http_inspector, original_dst, proxy_protocol");
            }
        }
    }

    fn filter_chain(&mut self, chain: &pb::FilterChain) -> Option<FilterChain> {
        let matches = match &chain.filter_chain_match {
            Some(matches) => self.field("filter_chain_match", |cx| cx.filter_chain_match(matches)),
            None => Some(FilterChainMatch::default()),
        };
        let tls = match &chain.transport_socket {
            Some(socket) => self.field("transport_socket", |cx| cx.downstream_transport(socket)),
            None => Some(None),
        };
        let mut tls = tls;
        if let Some(policy) = self.sm_policy(chain.metadata.as_ref()) {
            match tls.as_mut().and_then(Option::as_mut).and_then(Arc::get_mut) {
                Some(tls) => tls.sm_policy = policy,
                None => {
                    self.warning_in("metadata", "palanquin.sm has no effect without TLS");
                }
            }
        }
        #[expect(deprecated, reason = "Envoy still accepts the old field")]
        if chain.use_proxy_proto == Some(true) {
            self.error_in("use_proxy_proto", "is not supported")
                .hint("use the proxy_protocol listener filter");
        }
        let transport_connect_timeout = self.timeout(
            "transport_socket_connect_timeout",
            chain.transport_socket_connect_timeout.as_ref(),
            None,
        );
        let network = self.network_filters(&chain.filters);
        Some(FilterChain {
            name: chain.name.as_str().into(),
            matches: matches?,
            tls: tls?,
            transport_connect_timeout,
            network: network?,
        })
    }

    fn filter_chain_match(&mut self, message: &pb::FilterChainMatch) -> Option<FilterChainMatch> {
        use pb::filter_chain_match::ConnectionSourceType;
        if !message.address_suffix.is_empty() || message.suffix_len.is_some() {
            self.error("address_suffix and suffix_len are not implemented, by Envoy either");
        }
        let errors = self.error_count();
        let port = |cx: &mut Self, port: u32| match u16::try_from(port) {
            Ok(port) if port > 0 => Some(port),
            _ => {
                cx.error(format!("{port} is not a port"));
                None
            }
        };
        let destination_port = message
            .destination_port
            .and_then(|number| self.field("destination_port", |cx| port(cx, number)));
        let source_ports =
            self.list("source_ports", &message.source_ports, |cx, number| port(cx, *number));
        let server_names = self.list("server_names", &message.server_names, |cx, name| {
            let name = name.to_ascii_lowercase();
            let bare = name.strip_prefix('*').unwrap_or(&name);
            if bare.contains('*')
                || bare.is_empty()
                || (bare.len() < name.len() && !bare.starts_with('.'))
            {
                cx.error(format!("partial wildcards are not supported in server_names: {name:?}"));
                return None;
            }
            Some(bare.into())
        });
        let lowered = FilterChainMatch {
            destination_port,
            destination_ranges: self.list("prefix_ranges", &message.prefix_ranges, Self::cidr),
            source_type: match message.source_type() {
                ConnectionSourceType::Any => SourceType::Any,
                ConnectionSourceType::SameIpOrLoopback => SourceType::SameIpOrLoopback,
                ConnectionSourceType::External => SourceType::External,
            },
            source_ranges: self.list(
                "source_prefix_ranges",
                &message.source_prefix_ranges,
                Self::cidr,
            ),
            direct_source_ranges: self.list(
                "direct_source_prefix_ranges",
                &message.direct_source_prefix_ranges,
                Self::cidr,
            ),
            source_ports,
            server_names,
            transport_protocol: message.transport_protocol.as_str().into(),
            application_protocols: message
                .application_protocols
                .iter()
                .map(|protocol| protocol.as_str().into())
                .collect(),
        };
        (self.error_count() == errors).then_some(lowered)
    }
}

fn is_udp(message: &pb::Listener) -> bool {
    use palanquin_proto::envoy::config::core::v3::address::Address as Kind;
    use palanquin_proto::envoy::config::core::v3::socket_address::Protocol;
    let address = message.address.as_ref().and_then(|address| address.address.as_ref());
    matches!(address, Some(Kind::SocketAddress(socket)) if socket.protocol() == Protocol::Udp)
}

#[expect(deprecated, reason = "Istio still sends the old field")]
fn old_bind_to_port(message: &pb::Listener) -> bool {
    message.deprecated_v1.as_ref().and_then(|v1| v1.bind_to_port).unwrap_or(true)
}

impl Listener {
    /// The first address: it names the listener in logs and statistics.
    pub fn address(&self) -> Option<&Address> {
        self.addresses.first()
    }
}
