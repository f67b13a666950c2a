//! `ssl.certificate.<name>.expiration_unix_time_seconds`: when the certificates in use expire.

use std::sync::Arc;

use palanquin_config::ir::tls::CommonTls;
use palanquin_filter_api::PeerIdentity;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::listener_certificate as stat;
use palanquin_tls::identity;

use super::CellStats;

/// The gauges of one context; they go with it.
pub(super) struct Expiry {
    _scopes: Vec<Arc<Scope>>,
}

impl Expiry {
    /// Shows the certificates of `common`; `names` are those of secrets, by place. A name of our own is made of
    /// the certificate's digest, as in Envoy.
    pub(super) fn show(common: &CommonTls, names: &[Option<Arc<str>>], stats: &CellStats) -> Self {
        let mut scopes = Vec::new();
        let mut show = |name: Option<&Arc<str>>, sort: &str, read: Option<Arc<PeerIdentity>>| {
            let Some(read) = read else { return };
            let name: Arc<str> = name.cloned().unwrap_or_else(|| {
                let digest = read.sha256.get(..8).unwrap_or_default();
                format!("unnamed_{sort}_{digest}").into()
            });
            let prefix = format!("{}.ssl.certificate.{name}", stats.prefix);
            let mut labels = stats.labels.clone();
            labels.push(("envoy_tls_certificate", name));
            let scope = stats.registry.scope(stats.certificates, &prefix, labels);
            let seconds = u64::try_from(read.not_after).unwrap_or_default();
            scope.set(stat::EXPIRATION_UNIX_TIME_SECONDS, seconds);
            scopes.push(scope);
        };
        for (place, source) in common.certificates.iter().enumerate() {
            let name = names.get(place).and_then(Option::as_ref);
            if let Some(certificate) = source.value() {
                show(name, "cert", identity::of(&certificate.chain, false));
            }
        }
        let context = common.validation.as_ref().and_then(|one| one.context.value());
        if let Some(first) = context.and_then(|context| context.trusted_ca.as_ref()) {
            show(None, "ca_cert", identity::of(first, false));
        }
        Self { _scopes: scopes }
    }
}
