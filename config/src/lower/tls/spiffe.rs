//! `envoy.tls.cert_validator.spiffe`: trust domains with their bundles.

use std::sync::Arc;

use palanquin_proto::envoy::config::core::v3::DataSource;
use palanquin_proto::envoy::config::core::v3::TypedExtensionConfig;
use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::SpiffeCertValidatorConfig;
use rustls_pki_types::CertificateDer;
use serde_json::Value;

use super::super::Lowering;
use super::validation::base64;
use crate::ir::tls::TrustDomain;

impl Lowering<'_> {
    /// The only validator there is besides the default one; any other is an error.
    pub(super) fn custom_validator(
        &mut self,
        config: &TypedExtensionConfig,
    ) -> Option<Arc<[TrustDomain]>> {
        let Some(any) = &config.typed_config else {
            self.error_in("typed_config", "is necessary");
            return None;
        };
        let domains = self.field("typed_config", |cx| {
            let any = cx.open(any)?;
            if !any.type_url.ends_with(".SPIFFECertValidatorConfig") {
                cx.error(format!("the validator {:?} is not supported", config.name))
                    .hint("supported: envoy.tls.cert_validator.spiffe");
                return None;
            }
            let message = cx.unpack::<SpiffeCertValidatorConfig>(&any)?;
            cx.trust_domains(&message)
        })?;
        Some(domains.into())
    }

    fn trust_domains(&mut self, message: &SpiffeCertValidatorConfig) -> Option<Vec<TrustDomain>> {
        let before = self.error_count();
        let domains = match &message.trust_bundles {
            // As in Envoy the map takes the place of the list.
            Some(source) => self.field("trust_bundles", |cx| cx.bundle_map(source))?,
            None => self.list("trust_domains", &message.trust_domains, |cx, domain| {
                if domain.name.is_empty() {
                    cx.error_in("name", "is necessary");
                }
                if !domain.workload_trust_domain.is_empty() {
                    cx.error_in("workload_trust_domain", "is not supported yet");
                }
                let Some(bundle) = &domain.trust_bundle else {
                    cx.error_in("trust_bundle", "is necessary");
                    return None;
                };
                let roots =
                    cx.field("trust_bundle", |cx| cx.certificates(bundle, "CA certificate"))?;
                Some(TrustDomain { name: domain.name.as_str().into(), roots })
            }),
        };
        for (place, domain) in domains.iter().enumerate() {
            if domains.iter().take(place).any(|other| other.name == domain.name) {
                self.error(format!(
                    "Multiple trust bundles are given for one trust domain for {}",
                    domain.name
                ));
            }
        }
        if domains.is_empty() && self.error_count() == before {
            self.error("without a trust domain no certificate could be accepted");
        }
        (self.error_count() == before).then_some(domains)
    }

    /// A SPIFFE bundle map: several bundles as JWK sets (SPIFFE Trust Domain and Bundle §4).
    fn bundle_map(&mut self, source: &DataSource) -> Option<Vec<TrustDomain>> {
        let bytes = self.data_source(source)?;
        let map: Value = match serde_json::from_slice(&bytes) {
            Ok(map) => map,
            Err(error) => {
                self.error(format!("this is not JSON: {error}"));
                return None;
            }
        };
        let Some(bundles) = map.get("trust_domains").and_then(Value::as_object) else {
            self.error("this is not a SPIFFE bundle map: there is no object \"trust_domains\"");
            return None;
        };
        Some(bundles.iter().map(|(name, bundle)| self.bundle(name, bundle)).collect())
    }

    fn bundle(&mut self, name: &str, bundle: &Value) -> TrustDomain {
        let keys = bundle.get("keys").and_then(Value::as_array).into_iter().flatten();
        let svids = keys.filter(|key| key.get("use").and_then(Value::as_str) == Some("x509-svid"));
        let texts = svids.filter_map(|key| key.get("x5c")?.as_array()).flatten();
        let mut roots = Vec::new();
        for text in texts {
            match text.as_str().and_then(base64) {
                Some(der) => roots.push(CertificateDer::from(der)),
                None => {
                    self.error(format!("{name:?}: a certificate in x5c is not base64"));
                }
            }
        }
        if roots.is_empty() {
            self.error(format!("{name:?}: there is no key for x509-svid"));
        }
        TrustDomain { name: name.into(), roots }
    }
}
