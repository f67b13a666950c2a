//! Sends spans to a collector over OTLP/gRPC.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry::KeyValue;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_otlp::WithTonicConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use palanquin_config::ir::tracing::Exporter;
use tonic::metadata::MetadataKey;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use super::attributes;
use super::record::SpanRecord;

/// One collector. Retryable failures (gRPC `UNAVAILABLE` and its like, throttling) are tried again with
/// back-off, three times at most; everything within the exporter's timeout.
#[derive(Debug)]
pub(super) struct Collector {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    timeout: Duration,
}

/// Why spans did not reach the collector.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("the collector refused the spans or is away")]
    Failed(#[source] opentelemetry_sdk::error::OTelSdkError),
    #[error("the collector did not answer within {0:?}")]
    Timeout(Duration),
}

impl Collector {
    /// The collector that `config` names, over a channel to it. Connects with the first export.
    ///
    /// # Errors
    /// When OpenTelemetry refuses the settings.
    pub(super) fn new(
        config: &Arc<Exporter>,
        channel: Channel,
    ) -> Result<Self, opentelemetry_otlp::ExporterBuildError> {
        let mut metadata = MetadataMap::new();
        for (name, value) in &config.metadata {
            // Checked when lowered; binary names (`-bin`) are not for texts.
            if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse())
            {
                metadata.append(name, value);
            }
        }
        let mut exporter = SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_metadata(metadata)
            .with_timeout(config.timeout)
            .build()?;
        let attributes = config
            .resource
            .iter()
            .map(|(name, value)| KeyValue::new(Arc::clone(name), Arc::clone(value)));
        let resource = Resource::builder_empty()
            .with_attribute(KeyValue::new("telemetry.sdk.name", "palanquin"))
            .with_attribute(KeyValue::new("telemetry.sdk.language", "rust"))
            .with_attribute(KeyValue::new("telemetry.sdk.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.name", Arc::clone(&config.service_name)))
            .with_attributes(attributes)
            .build();
        exporter.set_resource(&resource);
        let scope = InstrumentationScope::builder("palanquin")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Ok(Self { exporter, scope, timeout: config.timeout })
    }

    /// Sends records; `Ok` when the collector took them.
    pub(super) async fn export(&self, records: &[SpanRecord]) -> Result<(), ExportError> {
        let mut spans = Vec::with_capacity(records.len() * 2);
        for record in records {
            attributes::spans(record, &self.scope, &mut spans);
        }
        match tokio::time::timeout(self.timeout, self.exporter.export(spans)).await {
            Ok(result) => result.map_err(ExportError::Failed),
            Err(_) => Err(ExportError::Timeout(self.timeout)),
        }
    }
}
