//! HTTP protocol options, of both sides.

use std::time::Duration;

use palanquin_proto::envoy::config::cluster::v3::Cluster;
use palanquin_proto::envoy::config::cluster::v3::cluster::ClusterProtocolSelection;
use palanquin_proto::envoy::config::core::v3 as pb;
use palanquin_proto::envoy::extensions::upstreams::http::v3 as upstream_pb;
use prost_types::Any;

use super::Lowering;
use crate::ir::cluster::Http2Settings;
use crate::ir::cluster::UpstreamHttp1;
use crate::ir::cluster::UpstreamProtocol;

/// The key of `typed_extension_protocol_options` for HTTP.
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// `common_http_protocol_options.idle_timeout` when it is not set.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_hours(1);

/// What a cluster speaks.
#[derive(Debug)]
pub(super) struct UpstreamOptions {
    pub(super) protocol: UpstreamProtocol,
    pub(super) http1: UpstreamHttp1,
    pub(super) http2: Http2Settings,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) max_connection_duration: Option<Duration>,
    pub(super) max_requests_per_connection: Option<u32>,
    pub(super) max_stream_duration: Option<Duration>,
}

/// What a client may ask for at a time when nothing is configured. Envoy has 1024; its edge guide, 100.
const DOWNSTREAM_STREAMS: u32 = 100;

/// The most that a configuration may allow a client: with more, a few connections hold all of a worker.
const MAX_DOWNSTREAM_STREAMS: u32 = 1000;

impl Default for Http2Settings {
    /// Envoy 1.40's defaults.
    fn default() -> Self {
        Self {
            max_concurrent_streams: 1024,
            initial_stream_window_size: 16 << 20,
            initial_connection_window_size: 24 << 20,
            allow_connect: false,
            keepalive: None,
        }
    }
}

impl Lowering<'_> {
    /// `core.v3.Http2ProtocolOptions`.
    pub(super) fn http2_settings(&mut self, options: &pb::Http2ProtocolOptions) -> Http2Settings {
        let defaults = Http2Settings::default();
        let mut number = |field, value: Option<u32>, least, default| match value {
            Some(value) if !(least..=i32::MAX as u32).contains(&value) => {
                self.error_in(field, format!("{value} is not in {least}..={}", i32::MAX));
                default
            }
            value => value.unwrap_or(default),
        };
        Http2Settings {
            max_concurrent_streams: number(
                "max_concurrent_streams",
                options.max_concurrent_streams,
                1,
                defaults.max_concurrent_streams,
            ),
            initial_stream_window_size: number(
                "initial_stream_window_size",
                options.initial_stream_window_size,
                65_535,
                defaults.initial_stream_window_size,
            ),
            initial_connection_window_size: number(
                "initial_connection_window_size",
                options.initial_connection_window_size,
                65_535,
                defaults.initial_connection_window_size,
            ),
            allow_connect: options.allow_connect,
            keepalive: options.connection_keepalive.as_ref().and_then(|keepalive| {
                self.field("connection_keepalive", |cx| cx.keepalive(keepalive))
            }),
        }
    }

    /// The same towards clients, who may ask for less of us at a time.
    pub(super) fn downstream_http2(&mut self, options: &pb::Http2ProtocolOptions) -> Http2Settings {
        let mut settings = self.http2_settings(options);
        match options.max_concurrent_streams {
            None => settings.max_concurrent_streams = DOWNSTREAM_STREAMS,
            Some(asked) if asked > MAX_DOWNSTREAM_STREAMS => {
                settings.max_concurrent_streams = MAX_DOWNSTREAM_STREAMS;
                self.warning_in(
                    "max_concurrent_streams",
                    format!(
                        "{asked} is more than one client may have: {MAX_DOWNSTREAM_STREAMS} it is"
                    ),
                );
            }
            Some(_) => {}
        }
        settings
    }

    fn keepalive(&mut self, keepalive: &pb::KeepaliveSettings) -> Option<(Duration, Duration)> {
        let timeout = self.duration("timeout", keepalive.timeout.as_ref());
        if keepalive.timeout.is_none() {
            self.error_in("timeout", "is necessary");
        }
        for (field, value) in [("interval", keepalive.interval), ("timeout", keepalive.timeout)] {
            let limit = self.duration(field, value.as_ref());
            if limit.is_some_and(|limit| limit < Duration::from_millis(1)) {
                self.error_in(field, "must be 1ms or more");
            }
        }
        // Without an interval only idle connections are pinged before their next use, which we do not do.
        let interval = self.duration("interval", keepalive.interval.as_ref());
        interval.zip(timeout)
    }

    /// `typed_extension_protocol_options`, or the older fields of the cluster when there is none.
    pub(super) fn upstream_options(&mut self, cluster: &Cluster) -> Option<UpstreamOptions> {
        let typed = cluster.typed_extension_protocol_options.get(HTTP_OPTIONS);
        for key in cluster.typed_extension_protocol_options.keys() {
            if key == HTTP_OPTIONS {
                continue;
            }
            self.entry("typed_extension_protocol_options", key, |cx| {
                if key.starts_with("envoy.") {
                    cx.warning("is not supported yet and ignored");
                } else {
                    cx.error("didn't find a registered implementation for this name")
                        .did_you_mean(key, [HTTP_OPTIONS]);
                }
            });
        }
        match typed {
            Some(any) => self.entry("typed_extension_protocol_options", HTTP_OPTIONS, |cx| {
                cx.typed_options(any)
            }),
            None => Some(self.old_options(cluster)),
        }
    }

    fn typed_options(&mut self, any: &Any) -> Option<UpstreamOptions> {
        use upstream_pb::http_protocol_options::UpstreamProtocolOptions as Choice;
        use upstream_pb::http_protocol_options::explicit_http_config::ProtocolConfig;
        let options: upstream_pb::HttpProtocolOptions = self.unpack(any)?;
        let mut lowered = self.common_options(options.common_http_protocol_options.as_ref());
        let (http1, http2, http3) = match &options.upstream_protocol_options {
            None => {
                self.error("one of explicit_http_config, use_downstream_protocol_config, auto_config is necessary");
                return None;
            }
            Some(Choice::ExplicitHttpConfig(explicit)) => {
                lowered.protocol = UpstreamProtocol::Http1;
                match &explicit.protocol_config {
                    None => {
                        self.error_in(
                            "explicit_http_config",
                            "one of http_protocol_options, http2_protocol_options is necessary",
                        );
                        return None;
                    }
                    Some(ProtocolConfig::HttpProtocolOptions(http1)) => (Some(http1), None, false),
                    Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                        lowered.protocol = UpstreamProtocol::Http2;
                        (None, Some(("explicit_http_config", http2)), false)
                    }
                    Some(ProtocolConfig::Http3ProtocolOptions(_)) => {
                        self.field("explicit_http_config", |cx| {
                            cx.error_in("http3_protocol_options", "HTTP/3 is not supported yet");
                        });
                        return None;
                    }
                }
            }
            Some(Choice::UseDownstreamProtocolConfig(downstream)) => {
                lowered.protocol = UpstreamProtocol::Downstream;
                (
                    downstream.http_protocol_options.as_ref(),
                    downstream
                        .http2_protocol_options
                        .as_ref()
                        .map(|http2| ("use_downstream_protocol_config", http2)),
                    downstream.http3_protocol_options.is_some(),
                )
            }
            Some(Choice::AutoConfig(auto)) => {
                lowered.protocol = UpstreamProtocol::Alpn;
                (
                    auto.http_protocol_options.as_ref(),
                    auto.http2_protocol_options.as_ref().map(|http2| ("auto_config", http2)),
                    auto.http3_protocol_options.is_some(),
                )
            }
        };
        if http3 {
            self.warning("HTTP/3 is not supported yet: HTTP/1 and HTTP/2 are used");
        }
        lowered.http1.enable_trailers = http1.is_some_and(|http1| http1.enable_trailers);
        if let Some((field, http2)) = http2 {
            lowered.http2 = self.field(field, |cx| {
                cx.field("http2_protocol_options", |cx| cx.http2_settings(http2))
            });
        }
        Some(lowered)
    }

    #[expect(deprecated, reason = "Envoy still accepts the old fields")]
    fn old_options(&mut self, cluster: &Cluster) -> UpstreamOptions {
        let common = cluster.common_http_protocol_options.as_ref();
        let mut lowered =
            self.field("common_http_protocol_options", |cx| cx.common_options(common));
        if let Some(http1) = &cluster.http_protocol_options {
            lowered.http1.enable_trailers = http1.enable_trailers;
        }
        if let Some(http2) = &cluster.http2_protocol_options {
            lowered.protocol = UpstreamProtocol::Http2;
            lowered.http2 = self.field("http2_protocol_options", |cx| cx.http2_settings(http2));
        }
        if cluster.protocol_selection() == ClusterProtocolSelection::UseDownstreamProtocol {
            lowered.protocol = UpstreamProtocol::Downstream;
        }
        if lowered.max_requests_per_connection.is_none() {
            lowered.max_requests_per_connection =
                cluster.max_requests_per_connection.filter(|limit| *limit > 0);
        }
        lowered
    }

    fn common_options(&mut self, common: Option<&pb::HttpProtocolOptions>) -> UpstreamOptions {
        let defaults = pb::HttpProtocolOptions::default();
        let common = common.unwrap_or(&defaults);
        UpstreamOptions {
            protocol: UpstreamProtocol::Http1,
            http1: UpstreamHttp1::default(),
            http2: Http2Settings::default(),
            idle_timeout: self.timeout(
                "idle_timeout",
                common.idle_timeout.as_ref(),
                Some(IDLE_TIMEOUT),
            ),
            max_connection_duration: self.timeout(
                "max_connection_duration",
                common.max_connection_duration.as_ref(),
                None,
            ),
            max_requests_per_connection: common
                .max_requests_per_connection
                .filter(|limit| *limit > 0),
            max_stream_duration: self.timeout(
                "max_stream_duration",
                common.max_stream_duration.as_ref(),
                None,
            ),
        }
    }
}
