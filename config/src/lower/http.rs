//! The HTTP connection manager.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderValue;
use palanquin_filter_api::stats;
use palanquin_proto::envoy::config::core::v3 as core_pb;
use palanquin_proto::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction;
use palanquin_proto::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use palanquin_proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as hcm;
use palanquin_proto::envoy::extensions::http::original_ip_detection::xff::v3::XffConfig;
use palanquin_proto::envoy::extensions::request_id::uuid::v3::UuidRequestIdConfig;
use prost::Name;

use super::Lowering;
use super::protocol::IDLE_TIMEOUT;
use crate::extension::ChainTemplate;
use crate::ir::http::Codec;
use crate::ir::http::ConnectionManager;
use crate::ir::http::EscapedSlashes;
use crate::ir::http::ForwardClientCert;
use crate::ir::http::ForwardClientCertMode;
use crate::ir::http::Http1Settings;
use crate::ir::http::InternalAddresses;
use crate::ir::http::PathNormalization;
use crate::ir::http::RequestId;
use crate::ir::http::Routes;
use crate::ir::http::ServerHeader;
use crate::ir::http::StripPort;
use crate::ir::http::Underscores;

/// The source of [`ConnectionManager::id`].
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// What happens to HTTP/1 connections all the same.
const CLOSES: &str =
    "an invalid HTTP/1 message always ends its connection: where the next one begins is unknown";

const STREAM_IDLE_TIMEOUT: Duration = Duration::from_mins(5);
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// `max_request_headers_kb` when it is not set, and its limit.
const HEADERS_KB: (u32, u32) = (60, 8192);
/// `max_headers_count` when it is not set.
const MAX_HEADERS: u32 = 100;

impl Lowering<'_> {
    pub(super) fn connection_manager(
        &mut self,
        message: &HttpConnectionManager,
    ) -> Option<ConnectionManager> {
        if message.stat_prefix.is_empty() {
            self.error_in("stat_prefix", "must not be empty");
        }
        let filters = self.http_filters(&message.http_filters);
        let unbound = ChainTemplate::default();
        let template = filters.as_ref().map_or(&unbound, |filters| &filters.template);
        let routes = self.routes(message, template);
        let access_logs = self.access_logs("access_log", &message.access_log);
        let tracing = message
            .tracing
            .as_ref()
            .and_then(|tracing| self.field("tracing", |cx| cx.tracing(tracing)));
        let common = message.common_http_protocol_options.unwrap_or_default();
        let limits = self.connection_limits(&common);
        let http1 = self.downstream_http1(message);
        let http2 = self.field("http2_protocol_options", |cx| {
            cx.downstream_http2(&message.http2_protocol_options.clone().unwrap_or_default())
        });
        let xff = self.forwarded_for(message);
        let request_id = self.request_id(message);
        let server_name = match message.server_name.as_str() {
            "" => Some(HeaderValue::from_static("envoy")),
            name => self.header_value("server_name", name),
        };
        let via = match message.via.as_str() {
            "" => None,
            via => self.header_value("via", via),
        };
        let max_request_headers_bytes = self.max_headers_bytes(message.max_request_headers_kb);
        let stream_idle_timeout = self.timeout(
            "stream_idle_timeout",
            message.stream_idle_timeout.as_ref(),
            Some(STREAM_IDLE_TIMEOUT),
        );
        let request_timeout =
            self.timeout("request_timeout", message.request_timeout.as_ref(), None);
        let request_headers_timeout =
            self.timeout("request_headers_timeout", message.request_headers_timeout.as_ref(), None);
        let delayed_close_timeout = self.timeout(
            "delayed_close_timeout",
            message.delayed_close_timeout.as_ref(),
            Some(DELAYED_CLOSE_TIMEOUT),
        );
        let internal_addresses = self.internal_addresses(message);
        let upgrades = self.upgrades(&message.upgrade_configs);
        let strip_port = self.strip_port(message);
        let (codec, filters) = (self.codec(message)?, filters?);
        let spawn_upstream_span = spawns_upstream_span(message, &filters.router);
        Some(ConnectionManager {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            stat_prefix: message.stat_prefix.as_str().into(),
            stats: self.http_stats(&message.stat_prefix),
            codec,
            http1: http1?,
            http2,
            routes: routes?,
            filters: filters.template,
            access_logs,
            tracing: tracing.map(Arc::new),
            server_name: server_name?,
            server_header: server_header(message),
            max_request_headers_bytes,
            max_headers: common.max_headers_count.unwrap_or(MAX_HEADERS),
            request_headers_timeout,
            request_timeout,
            stream_idle_timeout,
            max_stream_duration: limits.max_stream_duration,
            idle_timeout: limits.idle_timeout,
            max_connection_duration: limits.max_connection_duration,
            max_requests_per_connection: common
                .max_requests_per_connection
                .filter(|limit| *limit > 0),
            delayed_close_timeout,
            use_remote_address: message.use_remote_address.unwrap_or(false),
            xff_num_trusted_hops: xff.0,
            skip_xff_append: xff.1,
            proxy_100_continue: message.proxy_100_continue,
            internal_addresses,
            via,
            generate_request_id: message.generate_request_id.unwrap_or(true),
            preserve_external_request_id: message.preserve_external_request_id,
            request_id,
            always_set_request_id_in_response: message.always_set_request_id_in_response,
            forward_client_cert: forward_client_cert(message),
            path: PathNormalization {
                normalize: message.normalize_path.unwrap_or(false),
                merge_slashes: message.merge_slashes,
                escaped_slashes: escaped_slashes(message),
            },
            strip_port,
            strip_trailing_host_dot: message.strip_trailing_host_dot,
            underscores: match common.headers_with_underscores_action() {
                HeadersWithUnderscoresAction::Allow => Underscores::Allow,
                HeadersWithUnderscoresAction::DropHeader => Underscores::DropHeader,
                HeadersWithUnderscoresAction::RejectRequest => Underscores::Reject,
            },
            upgrades,
            suppress_envoy_headers: filters.router.suppress_envoy_headers,
            spawn_upstream_span,
        })
    }

    fn routes(
        &mut self,
        message: &HttpConnectionManager,
        filters: &ChainTemplate,
    ) -> Option<Routes> {
        match &message.route_specifier {
            None => {
                self.error("one of rds, route_config is necessary");
                None
            }
            Some(hcm::RouteSpecifier::RouteConfig(config)) => {
                let table =
                    Arc::new(self.field("route_config", |cx| cx.inline_route_table(config))?);
                Some(Routes::Inline(Arc::new(filters.bind(&table))))
            }
            Some(hcm::RouteSpecifier::Rds(rds)) => self.field("rds", |cx| {
                let source = cx.config_source("config_source", rds.config_source.as_ref());
                if rds.route_config_name.is_empty() {
                    cx.error_in("route_config_name", "must not be empty");
                }
                let source = source?;
                Some(Routes::Rds {
                    name: rds.route_config_name.as_str().into(),
                    initial_fetch_timeout: source.initial_fetch_timeout,
                    path: source.path,
                })
            }),
            Some(hcm::RouteSpecifier::ScopedRoutes(_)) => {
                self.error_in("scoped_routes", "scoped routes are not supported yet")
                    .hint("use rds or route_config");
                None
            }
        }
    }

    fn codec(&mut self, message: &HttpConnectionManager) -> Option<Codec> {
        match message.codec_type() {
            hcm::CodecType::Auto => Some(Codec::Auto),
            hcm::CodecType::Http1 => Some(Codec::Http1),
            hcm::CodecType::Http2 => Some(Codec::Http2),
            hcm::CodecType::Http3 => {
                self.error_in("codec_type", "HTTP3 is not supported yet");
                None
            }
        }
    }

    fn connection_limits(&mut self, common: &core_pb::HttpProtocolOptions) -> ConnectionLimits {
        self.field("common_http_protocol_options", |cx| ConnectionLimits {
            idle_timeout: cx.timeout(
                "idle_timeout",
                common.idle_timeout.as_ref(),
                Some(IDLE_TIMEOUT),
            ),
            max_connection_duration: cx.timeout(
                "max_connection_duration",
                common.max_connection_duration.as_ref(),
                None,
            ),
            max_stream_duration: cx.timeout(
                "max_stream_duration",
                common.max_stream_duration.as_ref(),
                None,
            ),
        })
    }

    fn downstream_http1(&mut self, message: &HttpConnectionManager) -> Option<Http1Settings> {
        let options = message.http_protocol_options.clone().unwrap_or_default();
        let host = options.default_host_for_http_10.as_str();
        let default_host_for_http_10 = match host {
            "" => None,
            host => Some(self.field("http_protocol_options", |cx| {
                cx.header_value("default_host_for_http_10", host)
            })?),
        };
        self.unusual_http1(&options, message);
        Some(Http1Settings {
            accept_http_10: options.accept_http_10,
            allow_custom_methods: options.allow_custom_methods,
            default_host_for_http_10,
            enable_trailers: options.enable_trailers,
        })
    }

    /// Wishes that are not fulfilled, whose opposite is what everybody has.
    fn unusual_http1(
        &mut self,
        options: &core_pb::Http1ProtocolOptions,
        message: &HttpConnectionManager,
    ) {
        self.field("http_protocol_options", |cx| {
            if options.allow_absolute_url == Some(false) {
                cx.warning_in("allow_absolute_url", "cannot be turned off: RFC 9112 requires it");
            }
            if options.override_stream_error_on_invalid_http_message == Some(true) {
                cx.warning_in("override_stream_error_on_invalid_http_message", CLOSES);
            }
        });
        if message.stream_error_on_invalid_http_message == Some(true) {
            self.warning_in("stream_error_on_invalid_http_message", CLOSES);
        }
    }

    fn max_headers_bytes(&mut self, kilobytes: Option<u32>) -> u32 {
        let (default, limit) = HEADERS_KB;
        let kilobytes = kilobytes.unwrap_or(default);
        if kilobytes == 0 || kilobytes > limit {
            self.error_in("max_request_headers_kb", format!("{kilobytes} is not in 1..={limit}"));
        }
        kilobytes.min(limit) * 1024
    }

    /// How far `x-forwarded-for` is trusted, and whether it is left as it is: the fields of the
    /// connection manager, or the `xff` extension that replaces them.
    fn forwarded_for(&mut self, message: &HttpConnectionManager) -> (u32, bool) {
        let extensions = &message.original_ip_detection_extensions;
        if !extensions.is_empty() && message.use_remote_address == Some(true) {
            self.error_in(
                "original_ip_detection_extensions",
                "original IP detection extensions and use_remote_address may not be mixed",
            );
        }
        if !extensions.is_empty() && message.xff_num_trusted_hops > 0 {
            self.error_in(
                "original_ip_detection_extensions",
                "original IP detection extensions and xff_num_trusted_hops may not be mixed",
            );
        }
        if !message.early_header_mutation_extensions.is_empty() {
            self.error_in(
                "early_header_mutation_extensions",
                "are not supported yet, and may remove headers that must not reach the upstream",
            );
        }
        let mut result = (message.xff_num_trusted_hops, message.skip_xff_append);
        let found = self.list("original_ip_detection_extensions", extensions, |cx, extension| {
            cx.field("typed_config", |cx| {
                let any = cx.open(extension.typed_config.as_ref()?)?;
                let name = cx.type_name(&any).to_owned();
                if name != XffConfig::full_name() {
                    cx.error(format!("{name} is not supported yet, and decides who a client is"));
                    return None;
                }
                let xff: XffConfig = cx.unpack(&any)?;
                if xff.xff_trusted_cidrs.is_some() {
                    cx.error_in("xff_trusted_cidrs", "is not supported yet");
                }
                Some((xff.xff_num_trusted_hops, xff.skip_xff_append.unwrap_or(true)))
            })
        });
        if let Some(first) = found.first() {
            result = *first;
        }
        result
    }

    /// `request_id_extension`: Envoy's only one.
    fn request_id(&mut self, message: &HttpConnectionManager) -> RequestId {
        let Some(extension) = &message.request_id_extension else { return RequestId::default() };
        let config = self.field("request_id_extension", |cx| {
            cx.field("typed_config", |cx| {
                cx.unpack::<UuidRequestIdConfig>(extension.typed_config.as_ref()?)
            })
        });
        let Some(config) = config else { return RequestId::default() };
        RequestId {
            pack_trace_reason: config.pack_trace_reason.unwrap_or(true),
            use_for_trace_sampling: config.use_request_id_for_trace_sampling.unwrap_or(true),
        }
    }

    fn internal_addresses(&mut self, message: &HttpConnectionManager) -> InternalAddresses {
        match &message.internal_address_config {
            // Since 1.33 nobody is internal without a configuration, not even this host.
            None => InternalAddresses::default(),
            Some(config) => self.field("internal_address_config", |cx| InternalAddresses {
                ranges: cx.list("cidr_ranges", &config.cidr_ranges, Self::cidr),
            }),
        }
    }

    fn upgrades(&mut self, upgrades: &[hcm::UpgradeConfig]) -> Vec<(Box<str>, bool)> {
        let mut seen = Vec::new();
        self.list("upgrade_configs", upgrades, |cx, upgrade| {
            let name = upgrade.upgrade_type.to_ascii_lowercase();
            if seen.contains(&name) {
                cx.error(format!("multiple upgrade configs with the same name: {name:?}"));
            }
            if !upgrade.filters.is_empty() {
                cx.error_in("filters", "a chain of its own for an upgrade is not supported yet");
            }
            seen.push(name.clone());
            Some((name.into(), upgrade.enabled.unwrap_or(true)))
        })
    }

    fn strip_port(&mut self, message: &HttpConnectionManager) -> StripPort {
        let any =
            matches!(message.strip_port_mode, Some(hcm::StripPortMode::StripAnyHostPort(true)));
        match (message.strip_matching_host_port, any) {
            (true, true) => {
                self.error("strip_matching_host_port and strip_any_host_port exclude each other");
                StripPort::None
            }
            (true, false) => StripPort::Matching,
            (false, true) => StripPort::Any,
            (false, false) => StripPort::None,
        }
    }

    fn http_stats(&self, prefix: &str) -> Arc<stats::Scope> {
        let labels = vec![("envoy_http_conn_manager_prefix", Arc::from(prefix))];
        self.stats().scope(&stats::http::KIND, &format!("http.{prefix}"), labels)
    }
}

/// Limits of connections and streams in time.
struct ConnectionLimits {
    idle_timeout: Option<Duration>,
    max_connection_duration: Option<Duration>,
    max_stream_duration: Option<Duration>,
}

fn server_header(message: &HttpConnectionManager) -> ServerHeader {
    match message.server_header_transformation() {
        hcm::ServerHeaderTransformation::Overwrite => ServerHeader::Overwrite,
        hcm::ServerHeaderTransformation::AppendIfAbsent => ServerHeader::AppendIfAbsent,
        hcm::ServerHeaderTransformation::PassThrough => ServerHeader::PassThrough,
    }
}

fn escaped_slashes(message: &HttpConnectionManager) -> EscapedSlashes {
    use hcm::PathWithEscapedSlashesAction as Action;
    match message.path_with_escaped_slashes_action() {
        Action::ImplementationSpecificDefault | Action::KeepUnchanged => EscapedSlashes::Keep,
        Action::RejectRequest => EscapedSlashes::Reject,
        Action::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
        Action::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
    }
}

fn forward_client_cert(message: &HttpConnectionManager) -> ForwardClientCert {
    use hcm::ForwardClientCertDetails as Details;
    let mode = match message.forward_client_cert_details() {
        Details::Sanitize => ForwardClientCertMode::Sanitize,
        Details::ForwardOnly => ForwardClientCertMode::ForwardOnly,
        Details::AppendForward => ForwardClientCertMode::AppendForward,
        Details::SanitizeSet => ForwardClientCertMode::SanitizeSet,
        Details::AlwaysForwardOnly => ForwardClientCertMode::AlwaysForwardOnly,
    };
    let set = message.set_current_client_cert_details.unwrap_or_default();
    ForwardClientCert {
        mode,
        subject: set.subject.unwrap_or(false),
        cert: set.cert,
        chain: set.chain,
        dns: set.dns,
        uri: set.uri,
    }
}

/// The router's `start_child_span` is the old form of `spawn_upstream_span`.
fn spawns_upstream_span(
    message: &HttpConnectionManager,
    router: &palanquin_proto::envoy::extensions::filters::http::router::v3::Router,
) -> bool {
    #[expect(deprecated, reason = "Envoy still accepts the old field")]
    let old = router.start_child_span;
    message.tracing.as_ref().and_then(|tracing| tracing.spawn_upstream_span).unwrap_or(old)
}
