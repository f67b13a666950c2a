//! `/certs`: the certificates in use, in Envoy's form.

use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use palanquin_config::ir::format::TimeFormat;
use palanquin_config::ir::tls::CommonTls;
use palanquin_config::ir::tls::SecretSource;
use palanquin_filter_api::PeerIdentity;
use palanquin_tls::identity;
use palanquin_tls::ocsp_expiry;
use serde_json::Value;
use serde_json::json;

use crate::tls_cell::Slot;

/// The certificates of each TLS context: our own, and those that it trusts.
pub(super) fn of(slots: &[Arc<dyn Slot>], now: SystemTime) -> Vec<Value> {
    let mut all = Vec::new();
    for slot in slots {
        slot.with_present(&mut |common| all.push(context(common, now)));
    }
    all
}

/// When the first stapled OCSP response expires, in seconds since the Unix epoch.
pub(super) fn first_ocsp_expiry(slots: &[Arc<dyn Slot>]) -> Option<u64> {
    let mut first: Option<u64> = None;
    for slot in slots {
        slot.with_present(&mut |common| {
            let own = common.certificates.iter().filter_map(SecretSource::value);
            let ends = own.filter_map(|certificate| ocsp_expiry(certificate));
            first = ends.chain(first).min();
        });
    }
    first
}

fn context(common: &CommonTls, now: SystemTime) -> Value {
    let own: Vec<_> = common
        .certificates
        .iter()
        .filter_map(|source| {
            let read = identity::of(&source.value()?.chain, false)?;
            Some(certificate(&read, source.path(), now))
        })
        .collect();
    let trusted: Vec<_> = common
        .validation
        .iter()
        .flat_map(|validation| {
            let certificates = validation.context.value().and_then(|one| one.trusted_ca.as_ref());
            certificates.into_iter().flatten().filter_map(|der| {
                let read = identity::of(std::slice::from_ref(der), false)?;
                Some(certificate(&read, validation.context.path(), now))
            })
        })
        .collect();
    json!({ "ca_cert": trusted, "cert_chain": own })
}

/// `admin.v3.CertificateDetails`.
fn certificate(read: &PeerIdentity, path: Option<&str>, now: SystemTime) -> Value {
    let sort = |name: &'static str, values: &[Arc<str>]| -> Vec<Value> {
        values.iter().map(|value| json!({ name: &**value })).collect()
    };
    // Envoy's order.
    let mut names = sort("dns", &read.dns_sans);
    names.extend(sort("uri", &read.uri_sans));
    names.extend(sort("ip_address", &read.ip_sans));
    json!({
        "path": path.unwrap_or("<inline>"),
        "serial_number": read.serial,
        "subject_alt_names": names,
        "days_until_expiration": days_until(read.not_after, now).to_string(),
        "valid_from": timestamp(read.not_before),
        "expiration_time": timestamp(read.not_after),
    })
}

/// Whole days; 0 when it has expired.
fn days_until(end: i64, now: SystemTime) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u64::try_from(end).unwrap_or_default().saturating_sub(now) / (24 * 60 * 60)
}

fn timestamp(seconds: i64) -> Value {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let mut text = Vec::new();
    TimeFormat::compile("%Y-%m-%dT%H:%M:%SZ").write(UNIX_EPOCH + since, &mut text);
    String::from_utf8_lossy(&text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_whole_and_never_negative() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(days_until(86_400 * 3, at(1)), 2);
        assert_eq!(days_until(86_400, at(86_401)), 0);
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
    }
}
