//! `SdsSecretConfig`: which secret, and who has it.

use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::config::core::v3::ApiConfigSource;
use palanquin_proto::envoy::config::core::v3::ConfigSource;
use palanquin_proto::envoy::config::core::v3::api_config_source::ApiType;
use palanquin_proto::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;

use super::super::Lowering;
use super::super::discovery::INITIAL_FETCH_TIMEOUT;
use crate::ir::bootstrap::Ads;
use crate::ir::tls::SecretKind;
use crate::ir::tls::SecretRef;
use crate::ir::tls::SecretService;

impl Lowering<'_> {
    /// The reference to a secret that must be of this kind.
    pub(super) fn secret_ref(
        &mut self,
        config: &pb::SdsSecretConfig,
        kind: SecretKind,
    ) -> Option<SecretRef> {
        if config.name.is_empty() {
            self.error_in("name", "a secret must have a name");
            return None;
        }
        let Some(source) = &config.sds_config else {
            return self.static_ref(&config.name, kind);
        };
        let api = match &source.config_source_specifier {
            Some(ConfigSourceSpecifier::ApiConfigSource(api)) => Some(api),
            _ => None,
        };
        let (service, initial_fetch_timeout) = if let Some(api) = api {
            self.field("sds_config", |cx| {
                let timeout = cx.fetch_timeout(source);
                let stream = cx.field("api_config_source", |cx| cx.secret_stream(api))?;
                Some((SecretService::Stream(Arc::new(stream)), timeout))
            })?
        } else {
            let source = self.config_source("sds_config", Some(source))?;
            let service = source.path.map_or(SecretService::Ads, SecretService::File);
            (service, source.initial_fetch_timeout)
        };
        Some(SecretRef { name: config.name.as_str().into(), service, initial_fetch_timeout })
    }

    /// Which static secrets there are is only known while a bootstrap is lowered; whoever puts the resource of
    /// a control plane in finds out then.
    fn static_ref(&mut self, name: &str, kind: SecretKind) -> Option<SecretRef> {
        match self.static_secret(name) {
            Some(Some(known)) if known != kind => {
                let text = format!("the static secret {name:?} is a {known}, and not a {kind}");
                self.error_in("name", text);
                None
            }
            Some(None) => {
                self.error_in("name", format!("Unknown static secret: {name:?}"))
                    .hint("put it under static_resources.secrets, or say sds_config");
                None
            }
            Some(Some(_)) | None => Some(name.into()),
        }
    }

    fn fetch_timeout(&mut self, source: &ConfigSource) -> Duration {
        let timeout = source.initial_fetch_timeout.as_ref();
        self.duration("initial_fetch_timeout", timeout).unwrap_or(INITIAL_FETCH_TIMEOUT)
    }

    /// A stream of a service of its own, such as a SPIRE or Istio agent behind a Unix socket.
    fn secret_stream(&mut self, config: &ApiConfigSource) -> Option<Ads> {
        if matches!(config.api_type(), ApiType::AggregatedGrpc | ApiType::AggregatedDeltaGrpc) {
            self.error_in("api_type", "a service of secrets has no aggregated stream")
                .hint("use GRPC or DELTA_GRPC, or ads: {} in place of api_config_source");
            return None;
        }
        self.grpc_stream(config, &|cx, grpc| {
            if grpc.cluster_name.is_empty() {
                cx.error_in("cluster_name", "must not be empty");
            } else {
                cx.check_cluster("cluster_name", "unknown cluster", &grpc.cluster_name);
            }
        })
    }
}
