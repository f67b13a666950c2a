//! Tracing: sampling, tags, and the OpenTelemetry exporter.

use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::core::v3 as core_pb;
use palanquin_proto::envoy::config::route::v3 as route_pb;
use palanquin_proto::envoy::config::trace::v3 as trace_pb;
use palanquin_proto::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as hcm_pb;
use palanquin_proto::envoy::extensions::tracers::opentelemetry::resource_detectors::v3 as detectors;
use palanquin_proto::envoy::r#type::metadata::v3::metadata_key::path_segment::Segment;
use palanquin_proto::envoy::r#type::metadata::v3::metadata_kind::Kind as MetadataKind;
use palanquin_proto::envoy::r#type::tracing::v3 as tag_pb;
use palanquin_proto::envoy::r#type::v3::{FractionalPercent, Percent};
use prost_types::Any;

use super::Lowering;
use super::core::parts_per_million;
use crate::ir::format::Format;
use crate::ir::format::Missing;
use crate::ir::tracing::{CustomTag, Exporter, RouteTracing, Sampler, TagValue, Tracing};

/// Everything.
const ALL: u32 = 1_000_000;
/// How long an export may take when the configuration does not say.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Envoy's `service.name` when there is none.
const DEFAULT_SERVICE: &str = "unknown_service:envoy";
const CONFIG: &str = "envoy.config.trace.v3.OpenTelemetryConfig";

/// Envoy's tracers that we do not have: requests are served without them.
const UNSUPPORTED: &[&str] = &[
    "envoy.config.trace.v3.DatadogConfig",
    "envoy.config.trace.v3.DynamicOtConfig",
    "envoy.config.trace.v3.LightstepConfig",
    "envoy.config.trace.v3.OpenCensusConfig",
    "envoy.config.trace.v3.SkyWalkingConfig",
    "envoy.config.trace.v3.XRayConfig",
    "envoy.config.trace.v3.ZipkinConfig",
    "envoy.extensions.tracers.fluentd.v3.FluentdConfig",
];

impl Lowering<'_> {
    /// `HttpConnectionManager.Tracing`, at the current field. `None` without an error when there is no
    /// provider, or one that we do not have: then requests are served without spans.
    pub fn tracing(&mut self, tracing: &hcm_pb::Tracing) -> Option<Tracing> {
        if tracing.verbose {
            self.warning_in("verbose", "annotations of spans are not supported yet");
        }
        let custom_tags = self.list("custom_tags", &tracing.custom_tags, Self::custom_tag);
        let operation = self.operation("operation", &tracing.operation);
        let upstream_operation = self.operation("upstream_operation", &tracing.upstream_operation);
        let (exporter, sampler) = match &tracing.provider {
            None => {
                self.warning("without a provider nothing is traced").hint("set provider");
                return None;
            }
            Some(provider) => self.field("provider", |cx| cx.provider(provider))?,
        };
        Some(Tracing {
            client_sampling: percent(tracing.client_sampling.as_ref()),
            random_sampling: percent(tracing.random_sampling.as_ref()),
            overall_sampling: percent(tracing.overall_sampling.as_ref()),
            custom_tags,
            max_path_tag_length: tracing.max_path_tag_length.unwrap_or(256),
            // Envoy: off unless asked for. Here on, unless refused: a proxied request is two spans.
            spawn_upstream_span: tracing.spawn_upstream_span.unwrap_or(true),
            operation,
            upstream_operation,
            no_context_propagation: tracing.no_context_propagation,
            sampler,
            direction: self.direction(),
            exporter: Arc::new(exporter),
        })
    }

    /// `route.v3.Tracing`, at the current field.
    pub fn route_tracing(&mut self, tracing: &route_pb::Tracing) -> Option<RouteTracing> {
        let share = |share: Option<&FractionalPercent>| {
            share.map_or(ALL, |share| parts_per_million(*share))
        };
        Some(RouteTracing {
            client_sampling: share(tracing.client_sampling.as_ref()),
            random_sampling: share(tracing.random_sampling.as_ref()),
            overall_sampling: share(tracing.overall_sampling.as_ref()),
            custom_tags: self.list("custom_tags", &tracing.custom_tags, Self::custom_tag),
            operation: self.operation("operation", &tracing.operation),
            upstream_operation: self.operation("upstream_operation", &tracing.upstream_operation),
        })
    }

    fn operation(&mut self, field: &str, text: &str) -> Option<Format> {
        if text.is_empty() { None } else { self.format(field, text, Missing::Empty) }
    }

    fn provider(&mut self, provider: &trace_pb::tracing::Http) -> Option<(Exporter, Sampler)> {
        let Some(trace_pb::tracing::http::ConfigType::TypedConfig(any)) = &provider.config_type
        else {
            self.error("typed_config is necessary");
            return None;
        };
        self.field("typed_config", |cx| {
            let any = cx.open(any)?;
            let found = cx.type_name(&any).to_owned();
            if found == CONFIG {
                let config = cx.unpack::<trace_pb::OpenTelemetryConfig>(&any)?;
                return cx.open_telemetry(&config);
            }
            if UNSUPPORTED.contains(&&*found) {
                cx.warning(format!("tracer {found} is not supported; nothing is traced"))
                    .hint(format!("use {CONFIG}"));
            } else {
                cx.error(format!("no tracer is registered for {found:?}"))
                    .did_you_mean(&found, [CONFIG]);
            }
            None
        })
    }

    fn open_telemetry(
        &mut self,
        config: &trace_pb::OpenTelemetryConfig,
    ) -> Option<(Exporter, Sampler)> {
        let service = match &config.grpc_service {
            Some(service) if config.http_service.is_none() => service,
            Some(_) => {
                self.error("grpc_service and http_service exclude each other");
                return None;
            }
            None if config.http_service.is_some() => {
                self.warning_in(
                    "http_service",
                    "OTLP over HTTP is not supported yet; nothing is traced",
                )
                .hint("use grpc_service");
                return None;
            }
            None => {
                self.warning("without grpc_service spans go nowhere; nothing is traced");
                return None;
            }
        };
        let mut resource = Vec::new();
        for (index, detector) in config.resource_detectors.iter().enumerate() {
            self.item("resource_detectors", index, |cx| {
                cx.resource_detector(detector, &mut resource);
            });
        }
        let sampler = match &config.sampler {
            None => Sampler::Shares,
            Some(sampler) => self.field("sampler", |cx| cx.sampler(sampler)),
        };
        let service_name = match config.service_name.as_str() {
            "" => DEFAULT_SERVICE,
            name => name,
        };
        self.field("grpc_service", |cx| {
            use core_pb::grpc_service::TargetSpecifier;
            let Some(TargetSpecifier::EnvoyGrpc(target)) = &service.target_specifier else {
                cx.error("envoy_grpc is necessary")
                    .hint("google_grpc is not supported; name a cluster");
                return None;
            };
            if service.retry_policy.is_some() || target.retry_policy.is_some() {
                cx.warning_in("retry_policy", "ignored: exports are retried three times");
            }
            cx.field("envoy_grpc", |cx| {
                if target.cluster_name.is_empty() {
                    cx.error_in("cluster_name", "must not be empty");
                }
                cx.check_cluster("cluster_name", "unknown cluster", &target.cluster_name);
            });
            let metadata = cx.list("initial_metadata", &service.initial_metadata, |cx, header| {
                let name = cx.header_name("key", &header.key)?;
                cx.header_value("value", &header.value)?;
                Some((Arc::from(name.as_str()), Arc::from(header.value.as_str())))
            });
            let timeout = cx.timeout("timeout", service.timeout.as_ref(), Some(EXPORT_TIMEOUT));
            let exporter = Exporter {
                cluster: target.cluster_name.as_str().into(),
                authority: target.authority.as_str().into(),
                timeout: timeout.unwrap_or(EXPORT_TIMEOUT),
                metadata,
                service_name: service_name.into(),
                resource,
            };
            Some((exporter, sampler))
        })
    }

    fn resource_detector(
        &mut self,
        detector: &core_pb::TypedExtensionConfig,
        resource: &mut Vec<(Arc<str>, Arc<str>)>,
    ) {
        let Some(any) = self.opened(detector.typed_config.as_ref()) else { return };
        match self.type_name(&any).rsplit('.').next().unwrap_or_default() {
            "EnvironmentResourceDetectorConfig" => {
                // OpenTelemetry: key=value pairs, separated by commas.
                let given = std::env::var("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
                for (key, value) in given.split(',').filter_map(|pair| pair.split_once('=')) {
                    resource.push((key.trim().into(), value.trim().into()));
                }
            }
            "StaticConfigResourceDetectorConfig" => {
                let config = self.unpack::<detectors::StaticConfigResourceDetectorConfig>(&any);
                for (key, value) in config.iter().flat_map(|config| &config.attributes) {
                    resource.push((key.as_str().into(), value.as_str().into()));
                }
            }
            _ => {
                let name = &detector.name;
                self.warning(format!("resource detector {name:?} is not supported yet"));
            }
        }
    }

    fn sampler(&mut self, sampler: &core_pb::TypedExtensionConfig) -> Sampler {
        let Some(any) = self.opened(sampler.typed_config.as_ref()) else { return Sampler::Shares };
        if self.type_name(&any).ends_with(".AlwaysOnSamplerConfig") {
            return Sampler::AlwaysOn;
        }
        let name = &sampler.name;
        self.warning(format!(
            "sampler {name:?} is not supported yet: the shares of the connection manager decide"
        ));
        Sampler::Shares
    }

    fn opened(&mut self, any: Option<&Any>) -> Option<Any> {
        if any.is_none() {
            self.error("typed_config is necessary");
        }
        self.open(any?)
    }

    fn custom_tag(&mut self, tag: &tag_pb::CustomTag) -> Option<CustomTag> {
        use tag_pb::custom_tag::Type;
        if tag.tag.is_empty() {
            self.error_in("tag", "must not be empty");
        }
        let optional = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
        let value = match &tag.r#type {
            None => {
                self.error(
                    "one of literal, environment, request_header, metadata, value is necessary",
                );
                None
            }
            Some(Type::Literal(literal)) => {
                if literal.value.is_empty() {
                    self.field("literal", |cx| {
                        cx.error_in("value", "must not be empty");
                    });
                }
                Some(TagValue::Literal(literal.value.as_str().into()))
            }
            Some(Type::Environment(variable)) => {
                let value = std::env::var(&variable.name).ok();
                let value = value.as_deref().unwrap_or(&variable.default_value);
                Some(TagValue::Literal(value.into()))
            }
            Some(Type::RequestHeader(header)) => self
                .field("request_header", |cx| cx.header_name("name", &header.name))
                .map(|name| TagValue::Header(name, optional(&header.default_value))),
            Some(Type::Metadata(metadata)) => {
                self.field("metadata", |cx| cx.metadata_tag(metadata))
            }
            Some(Type::Value(text)) => {
                self.format("value", text, Missing::Empty).map(TagValue::Format)
            }
        }?;
        Some(CustomTag { tag: tag.tag.as_str().into(), value })
    }

    fn metadata_tag(&mut self, metadata: &tag_pb::custom_tag::Metadata) -> Option<TagValue> {
        let kind = metadata.kind.as_ref().and_then(|kind| kind.kind);
        if !matches!(kind, Some(MetadataKind::Request(_))) {
            self.warning_in("kind", "only request metadata is read; the tag is left out");
            return None;
        }
        let Some(key) = &metadata.metadata_key else {
            self.error_in("metadata_key", "is necessary");
            return None;
        };
        let path = key.path.iter().filter_map(|segment| match &segment.segment {
            Some(Segment::Key(key)) => Some(Arc::from(key.as_str())),
            _ => None,
        });
        let default = &metadata.default_value;
        Some(TagValue::Metadata {
            namespace: key.key.as_str().into(),
            path: path.collect(),
            default: (!default.is_empty()).then(|| default.as_str().into()),
        })
    }
}

/// A share in parts per million; everything when it is not given.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=10^6")]
fn percent(percent: Option<&Percent>) -> u32 {
    percent.map_or(ALL, |percent| (percent.value.clamp(0.0, 100.0) * 10_000.0).round() as u32)
}
