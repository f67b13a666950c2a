//! TLS contexts of both sides.
//!
//! What would weaken a connection when ignored is an error (a validator, a handshaker or a key provider that
//! does not exist here); what merely has no effect is a warning.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::common_tls_context::ValidationContextType;
use pb::downstream_tls_context::OcspStaplePolicy;
use pb::downstream_tls_context::SessionTicketKeysType;
use rustls_pki_types::ServerName;

use super::Lowering;
use crate::ir::sm::SmPolicy;
use crate::ir::tls::CommonTls;
use crate::ir::tls::DownstreamTls;
use crate::ir::tls::KeyLog;
use crate::ir::tls::OcspPolicy;
use crate::ir::tls::PeerValidation;
use crate::ir::tls::SecretKind;
use crate::ir::tls::SecretSource;
use crate::ir::tls::ServerResumption;
use crate::ir::tls::TicketSource;
use crate::ir::tls::TlsParams;
use crate::ir::tls::UpstreamTls;
use crate::ir::tls::ValidationContext;

mod params;
mod sds;
mod sm;
mod spiffe;
#[cfg(test)]
mod tests;
mod validation;

/// BoringSSL's default for sessions: 2 h.
const SESSION_TIMEOUT: Duration = Duration::from_hours(2);

impl Lowering<'_> {
    /// `tls.v3.DownstreamTlsContext`.
    pub fn downstream_tls(&mut self, message: &pb::DownstreamTlsContext) -> Option<DownstreamTls> {
        let before = self.error_count();
        let empty = pb::CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&empty);
        let lowered = self.field("common_tls_context", |cx| cx.common_tls(common));
        if common.tls_certificates.is_empty()
            && common.tls_certificate_sds_secret_configs.is_empty()
        {
            self.error("No TLS certificates found for server context")
                .hint("set common_tls_context.tls_certificates");
        }
        if message.require_sni == Some(true) {
            self.warning_in("require_sni", "is not supported and has no effect")
                .hint("use filter_chain_match.server_names");
        }
        let require_client_certificate = message.require_client_certificate.unwrap_or(false);
        if require_client_certificate && lowered.as_ref().is_some_and(|one| !authenticates(one)) {
            self.warning_in("require_client_certificate", "any client certificate is accepted")
                .hint("set common_tls_context.validation_context.trusted_ca");
        }
        let timeout = self.duration("session_timeout", message.session_timeout.as_ref());
        let tickets = self.ticket_source(message.session_ticket_keys_type.as_ref());
        let ocsp = self.ocsp_policy(message);
        let unstapled = common.tls_certificates.iter().any(|one| one.ocsp_staple.is_none());
        if ocsp == OcspPolicy::Must && unstapled {
            self.error_in(
                "ocsp_staple_policy",
                "MUST_STAPLE needs an ocsp_staple for each certificate",
            );
        }
        (self.error_count() == before).then_some(())?;
        Some(DownstreamTls {
            common: lowered?,
            require_client_certificate,
            resumption: ServerResumption {
                tickets,
                stateful: !message.disable_stateful_session_resumption,
                // BoringSSL takes its default for zero.
                timeout: timeout.filter(|time| !time.is_zero()).unwrap_or(SESSION_TIMEOUT),
            },
            prefer_client_ciphers: message.prefer_client_ciphers,
            ocsp,
            full_scan_on_sni_mismatch: message.full_scan_certs_on_sni_mismatch.unwrap_or(false),
            sm_policy: SmPolicy::default(),
        })
    }

    /// `tls.v3.UpstreamTlsContext`.
    pub fn upstream_tls(&mut self, message: &pb::UpstreamTlsContext) -> Option<UpstreamTls> {
        let before = self.error_count();
        let empty = pb::CommonTlsContext::default();
        let common = message.common_tls_context.as_ref().unwrap_or(&empty);
        let mut lowered = self.field("common_tls_context", |cx| cx.common_tls(common));
        if let Some(lowered) = &mut lowered {
            params::limit_client(&mut lowered.params, common.tls_params.as_ref());
        }
        let certificates =
            common.tls_certificates.len() + common.tls_certificate_sds_secret_configs.len();
        if certificates > 1 && !lowered.as_ref().is_some_and(sm::is_pair) {
            self.error("Multiple TLS certificates are not supported for client contexts")
                .hint("but for the two of an SM pair; name SM suites for a pair of SDS secrets");
        }
        if let (Some(lowered), Some(params)) = (&lowered, &common.tls_params) {
            self.field("common_tls_context", |cx| {
                cx.check_sm_client(&lowered.params.sm, params);
            });
        }
        let sni = Some(message.sni.as_str()).filter(|sni| !sni.is_empty());
        if let Some(sni) = sni
            && ServerName::try_from(sni).is_err()
        {
            self.error_in("sni", format!("{sni:?} is not a server name"));
        }
        let has_validation = lowered.as_ref().is_some_and(|common| common.validation.is_some());
        if message.auto_sni_san_validation && !has_validation {
            self.error_in(
                "auto_sni_san_validation",
                "'auto_sni_san_validation' was configured without a validation context",
            )
            .hint("set common_tls_context.validation_context.trusted_ca");
        }
        if lowered.as_ref().is_some_and(|common| !authenticates(common)) {
            self.warning("the server is not authenticated")
                .hint("set common_tls_context.validation_context.trusted_ca");
        }
        if message.allow_renegotiation {
            self.warning_in("allow_renegotiation", "renegotiation is not supported and stays off");
        }
        #[allow(deprecated, reason = "a field of the API that is read to say so")]
        if message.enforce_rsa_key_usage == Some(true) {
            self.warning_in("enforce_rsa_key_usage", "is not supported and has no effect");
        }
        (self.error_count() == before).then_some(())?;
        Some(UpstreamTls {
            common: lowered?,
            sni: sni.map(Arc::from),
            auto_host_sni: message.auto_host_sni,
            auto_sni_san_validation: message.auto_sni_san_validation,
            max_session_keys: message.max_session_keys.unwrap_or(1) as usize,
        })
    }

    fn common_tls(&mut self, message: &pb::CommonTlsContext) -> Option<CommonTls> {
        let before = self.error_count();
        self.refuse_unknown(message);
        let params = match &message.tls_params {
            Some(params) => self.field("tls_params", |cx| cx.tls_params(params)),
            None => Some(TlsParams::default()),
        };
        let mut certificates =
            self.list("tls_certificates", &message.tls_certificates, |cx, certificate| {
                cx.tls_certificate(certificate)
            });
        if !message.tls_certificate_sds_secret_configs.is_empty() && !certificates.is_empty() {
            self.error_in(
                "tls_certificate_sds_secret_configs",
                "certificates are given twice: here and in tls_certificates",
            );
        }
        certificates.extend(self.list(
            "tls_certificate_sds_secret_configs",
            &message.tls_certificate_sds_secret_configs,
            |cx, config| cx.secret_ref(config, SecretKind::Certificate).map(SecretSource::Sds),
        ));
        let validation = message
            .validation_context_type
            .as_ref()
            .and_then(|validation| self.peer_validation(validation));
        let alpn = self.list("alpn_protocols", &message.alpn_protocols, |cx, protocol| {
            if protocol.is_empty() {
                cx.warning("an empty protocol says nothing");
                return None;
            }
            if protocol.len() > 255 {
                cx.error("an ALPN protocol has at most 255 bytes");
                return None;
            }
            Some(Box::from(protocol.as_bytes()))
        });
        let key_log =
            message.key_log.as_ref().and_then(|log| self.field("key_log", |cx| cx.key_log(log)));
        (self.error_count() == before).then_some(())?;
        Some(CommonTls { params: params?, certificates, validation, alpn, key_log })
    }

    /// Parts that decide about trust or keys and do not exist here.
    #[allow(deprecated, reason = "fields of the API that are read to refuse them")]
    fn refuse_unknown(&mut self, message: &pb::CommonTlsContext) {
        for (field, is_set) in [
            (
                "tls_certificate_provider_instance",
                message.tls_certificate_provider_instance.is_some(),
            ),
            ("custom_tls_certificate_selector", message.custom_tls_certificate_selector.is_some()),
            (
                "tls_certificate_certificate_provider",
                message.tls_certificate_certificate_provider.is_some(),
            ),
            (
                "tls_certificate_certificate_provider_instance",
                message.tls_certificate_certificate_provider_instance.is_some(),
            ),
            ("custom_handshaker", message.custom_handshaker.is_some()),
        ] {
            if is_set {
                self.error_in(field, "is not supported yet");
            }
        }
    }

    #[allow(deprecated, reason = "variants of the API that are read to refuse them")]
    fn peer_validation(&mut self, message: &ValidationContextType) -> Option<PeerValidation> {
        match message {
            ValidationContextType::ValidationContext(context) => {
                let context = self.field("validation_context", |cx| {
                    let context = cx.validation_context(context)?;
                    cx.check_trust(context.value()?)?;
                    Some(context)
                })?;
                Some(PeerValidation { context, sds_overlay: None })
            }
            ValidationContextType::ValidationContextSdsSecretConfig(config) => {
                let field = "validation_context_sds_secret_config";
                let secret =
                    self.field(field, |cx| cx.secret_ref(config, SecretKind::Validation))?;
                Some(PeerValidation { context: SecretSource::Sds(secret), sds_overlay: None })
            }
            ValidationContextType::CombinedValidationContext(combined) => {
                self.field("combined_validation_context", |cx| cx.combined_validation(combined))
            }
            ValidationContextType::ValidationContextCertificateProvider(_) => {
                self.error_in("validation_context_certificate_provider", "is not supported yet");
                None
            }
            ValidationContextType::ValidationContextCertificateProviderInstance(_) => {
                self.error_in(
                    "validation_context_certificate_provider_instance",
                    "is not supported yet",
                );
                None
            }
        }
    }

    #[allow(deprecated, reason = "fields of the API that are read to refuse them")]
    fn combined_validation(
        &mut self,
        message: &pb::common_tls_context::CombinedCertificateValidationContext,
    ) -> Option<PeerValidation> {
        if message.validation_context_certificate_provider.is_some() {
            self.error_in("validation_context_certificate_provider", "is not supported yet");
        }
        if message.validation_context_certificate_provider_instance.is_some() {
            self.error_in(
                "validation_context_certificate_provider_instance",
                "is not supported yet",
            );
        }
        let context = match &message.default_validation_context {
            Some(context) => {
                self.field("default_validation_context", |cx| cx.validation_context(context))?
            }
            None => SecretSource::Inline(Arc::new(ValidationContext::default())),
        };
        let field = "validation_context_sds_secret_config";
        let Some(config) = &message.validation_context_sds_secret_config else {
            self.error_in(field, "is necessary");
            return None;
        };
        let secret = self.field(field, |cx| cx.secret_ref(config, SecretKind::Validation))?;
        Some(PeerValidation { context, sds_overlay: Some(secret) })
    }

    fn ticket_source(&mut self, message: Option<&SessionTicketKeysType>) -> Option<TicketSource> {
        match message {
            None | Some(SessionTicketKeysType::DisableStatelessSessionResumption(false)) => {
                Some(TicketSource::Generated)
            }
            Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)) => None,
            Some(SessionTicketKeysType::SessionTicketKeys(keys)) => {
                let keys = self.field("session_ticket_keys", |cx| cx.ticket_keys(keys))?;
                Some(TicketSource::Keys(keys))
            }
            Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(config)) => {
                let field = "session_ticket_keys_sds_secret_config";
                let secret =
                    self.field(field, |cx| cx.secret_ref(config, SecretKind::TicketKeys))?;
                Some(TicketSource::Keys(SecretSource::Sds(secret)))
            }
        }
    }

    fn ocsp_policy(&mut self, message: &pb::DownstreamTlsContext) -> OcspPolicy {
        match OcspStaplePolicy::try_from(message.ocsp_staple_policy) {
            Ok(OcspStaplePolicy::LenientStapling) => OcspPolicy::Lenient,
            Ok(OcspStaplePolicy::StrictStapling) => OcspPolicy::Strict,
            Ok(OcspStaplePolicy::MustStaple) => OcspPolicy::Must,
            Err(_) => {
                self.error_in("ocsp_staple_policy", "is not a policy");
                OcspPolicy::Lenient
            }
        }
    }

    fn key_log(&mut self, message: &pb::TlsKeyLog) -> Option<KeyLog> {
        if message.path.is_empty() {
            self.error_in("path", "is necessary");
            return None;
        }
        let local = self.list("local_address_range", &message.local_address_range, Lowering::cidr);
        let remote =
            self.list("remote_address_range", &message.remote_address_range, |cx, range| {
                cx.cidr(range)
            });
        Some(KeyLog { path: PathBuf::from(&message.path), local, remote })
    }
}

/// Whether anything is proved about the peer; a secret that has yet to come counts as such.
fn authenticates(common: &CommonTls) -> bool {
    common.validation.as_ref().is_some_and(PeerValidation::authenticates)
}
