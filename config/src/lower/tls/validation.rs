//! `CertificateValidationContext`: whom to trust.

use palanquin_proto::envoy::extensions::transport_sockets::tls::v3 as pb;
use pb::certificate_validation_context::TrustChainVerification;
use pb::secret::Type;
use pb::subject_alt_name_matcher::SanType;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;

use super::super::Lowering;
use super::super::secret::source_of;
use super::super::secret::watched;
use crate::ir::tls::SanKind;
use crate::ir::tls::SanMatcher;
use crate::ir::tls::SecretSource;
use crate::ir::tls::ValidationContext;

impl Lowering<'_> {
    pub(in crate::lower) fn validation_context(
        &mut self,
        message: &pb::CertificateValidationContext,
    ) -> Option<SecretSource<ValidationContext>> {
        let before = self.error_count();
        let validator = message.custom_validator_config.as_ref();
        let spiffe = validator.and_then(|config| {
            self.field("custom_validator_config", |cx| cx.custom_validator(config))
        });
        if message.ca_certificate_provider_instance.is_some() {
            self.error_in("ca_certificate_provider_instance", "is not supported yet");
        }
        if message.require_signed_certificate_timestamp == Some(true) {
            self.error_in("require_signed_certificate_timestamp", "is not supported yet");
        }
        let trusted_ca = self.trusted_ca(message);
        let certificate_hashes =
            self.list("verify_certificate_hash", &message.verify_certificate_hash, |cx, text| {
                let hash = from_hex(text);
                if hash.is_none() {
                    cx.error(format!("{text:?} is not a SHA-256 in hexadecimal"));
                }
                hash
            });
        let spki_pins =
            self.list("verify_certificate_spki", &message.verify_certificate_spki, |cx, text| {
                let hash = from_base64(text);
                if hash.is_none() {
                    cx.error(format!("{text:?} is not a SHA-256 in base64"));
                }
                hash
            });
        let san_matchers = self.san_matchers(message);
        let crls = message.crl.as_ref().and_then(|source| {
            self.field("crl", |cx| {
                let bytes = cx.data_source(source)?;
                if bytes.is_empty() {
                    // Who generates it has nothing to revoke yet.
                    cx.warning("is empty: nothing is revoked");
                    return None;
                }
                cx.pem_list(&bytes, "X509 CRL", "revocation list")
            })
        });
        let crls =
            [crls.unwrap_or_default(), self.crls_among_authorities(message, trusted_ca.as_ref())]
                .concat();
        let accept_untrusted =
            match TrustChainVerification::try_from(message.trust_chain_verification) {
                Ok(TrustChainVerification::VerifyTrustChain) => false,
                Ok(TrustChainVerification::AcceptUntrusted) => true,
                Err(_) => {
                    self.error_in("trust_chain_verification", "is not a way to verify");
                    false
                }
            };
        if message.max_verify_depth.is_some_and(|depth| depth > 100) {
            self.error_in("max_verify_depth", "is more than 100");
        }
        (self.error_count() == before).then_some(())?;
        let context = ValidationContext {
            trusted_ca,
            certificate_hashes,
            spki_pins,
            san_matchers,
            crls,
            only_leaf_crl: message.only_verify_leaf_cert_crl,
            allow_expired: message.allow_expired_certificate,
            accept_untrusted,
            max_verify_depth: message.max_verify_depth,
            suppress_client_ca_list: message.suppress_client_ca_list,
            spiffe,
        };
        let sources = [message.trusted_ca.as_ref(), message.crl.as_ref()];
        let paths = watched(message.watched_directory.as_ref(), &sources);
        Some(source_of(context, paths, || Type::ValidationContext(message.clone())))
    }

    /// What makes no sense, or is unsafe, without an issuer to trust. Not asked of a default that a secret
    /// will complete.
    pub(super) fn check_trust(&mut self, context: &ValidationContext) -> Option<()> {
        if context.trusted_ca.is_some() || context.spiffe.is_some() {
            return Some(());
        }
        let before = self.error_count();
        if !context.crls.is_empty() {
            self.error_in("crl", "Failed to load CRL without trusted CA");
        }
        if !context.san_matchers.is_empty() {
            self.error(
                "SAN-based verification of peer certificates without trusted CA is insecure and \
                 not allowed",
            )
            .hint("set trusted_ca");
        }
        if context.allow_expired {
            self.error_in(
                "allow_expired_certificate",
                "Certificate validity period is always ignored without trusted CA",
            );
        }
        (self.error_count() == before).then_some(())
    }

    /// Envoy takes revocation lists that stand beside the trusted certificates, too. `trusted_ca` is what was read
    /// of them: what cannot be read was reported then.
    fn crls_among_authorities(
        &mut self,
        message: &pb::CertificateValidationContext,
        trusted_ca: Option<&Vec<CertificateDer<'static>>>,
    ) -> Vec<CertificateRevocationListDer<'static>> {
        let source = message.trusted_ca.as_ref().filter(|_| trusted_ca.is_some());
        let found = source.and_then(|source| {
            self.field("trusted_ca", |cx| {
                let bytes = cx.data_source(source)?;
                let lists = CertificateRevocationListDer::pem_slice_iter(&bytes);
                lists.collect::<Result<Vec<_>, _>>().ok()
            })
        });
        found.unwrap_or_default()
    }

    fn trusted_ca(
        &mut self,
        message: &pb::CertificateValidationContext,
    ) -> Option<Vec<CertificateDer<'static>>> {
        match (&message.trusted_ca, message.system_root_certs.is_some()) {
            (Some(_), true) => {
                self.error("trusted_ca and system_root_certs exclude each other");
                None
            }
            (Some(source), false) => {
                self.field("trusted_ca", |cx| cx.certificates(source, "CA certificate"))
            }
            (None, true) => self.field("system_root_certs", Lowering::system_roots),
            (None, false) => None,
        }
    }

    fn system_roots(&mut self) -> Option<Vec<CertificateDer<'static>>> {
        for path in SYSTEM_ROOTS {
            let Ok(bytes) = std::fs::read(path) else { continue };
            let roots: Vec<_> = CertificateDer::pem_slice_iter(&bytes).flatten().collect();
            if !roots.is_empty() {
                return Some(roots);
            }
        }
        self.error("the system has no root certificates")
            .hint(format!("looked for {}", SYSTEM_ROOTS.join(", ")));
        None
    }

    fn san_matchers(&mut self, message: &pb::CertificateValidationContext) -> Vec<SanMatcher> {
        let typed = &message.match_typed_subject_alt_names;
        let mut matchers = self.list("match_typed_subject_alt_names", typed, |cx, one| {
            let kind = cx.san_kind(one)?;
            let Some(matcher) = &one.matcher else {
                cx.error_in("matcher", "is necessary");
                return None;
            };
            let matcher = cx.field("matcher", |cx| cx.string_matcher(matcher))?;
            Some(SanMatcher { kind, matcher })
        });
        // The old form has no type: each matcher is tried on all.
        #[allow(deprecated, reason = "a field of the API that is still in use")]
        let untyped = &message.match_subject_alt_names;
        if !untyped.is_empty() && !typed.is_empty() {
            self.warning_in(
                "match_subject_alt_names",
                "has no effect beside match_typed_subject_alt_names",
            );
            return matchers;
        }
        let each = self.list("match_subject_alt_names", untyped, Lowering::string_matcher);
        for matcher in each {
            for kind in [SanKind::Dns, SanKind::Uri, SanKind::Email, SanKind::IpAddress] {
                matchers.push(SanMatcher { kind, matcher: matcher.clone() });
            }
        }
        matchers
    }

    fn san_kind(&mut self, message: &pb::SubjectAltNameMatcher) -> Option<SanKind> {
        match SanType::try_from(message.san_type) {
            Ok(SanType::Dns) => Some(SanKind::Dns),
            Ok(SanType::Email) => Some(SanKind::Email),
            Ok(SanType::IpAddress) => Some(SanKind::IpAddress),
            Ok(SanType::Uri) => Some(SanKind::Uri),
            Ok(SanType::OtherName) if is_oid(&message.oid) => {
                Some(SanKind::OtherName(message.oid.as_str().into()))
            }
            Ok(SanType::OtherName) => {
                self.error_in("oid", format!("{:?} is not an object identifier", message.oid))
                    .hint("e.g. 1.3.6.1.4.1.311.20.2.3");
                None
            }
            Ok(SanType::Unspecified) | Err(_) => {
                self.error_in("san_type", "is necessary")
                    .hint("one of EMAIL, DNS, URI, IP_ADDRESS, OTHER_NAME");
                None
            }
        }
    }
}

/// 64 digits, perhaps with colons between bytes as `openssl x509 -fingerprint` prints them.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = match text.len() {
        64 => text.bytes().collect(),
        95 if text.bytes().skip(2).step_by(3).all(|byte| byte == b':') => {
            text.bytes().enumerate().filter(|(at, _)| at % 3 != 2).map(|(_, byte)| byte).collect()
        }
        _ => return None,
    };
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        if !pair.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// 32 bytes in base64: 43 digits and one `=`.
fn from_base64(text: &str) -> Option<[u8; 32]> {
    if text.len() != 44 {
        return None;
    }
    base64(text)?.try_into().ok()
}

/// Base64 of RFC 4648 §4, with its padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn is_oid(text: &str) -> bool {
    text.contains('.')
        && text.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|b| b.is_ascii_digit()))
}

/// Where distributions keep them; the first that holds one counts, as in Envoy.
const SYSTEM_ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[cfg(test)]
mod tests {
    use super::from_base64;
    use super::from_hex;
    use super::is_oid;

    #[test]
    fn a_hash_is_read_with_and_without_colons() {
        assert_eq!(from_hex(&"0a".repeat(32)), Some([10; 32]));
        assert_eq!(from_hex(&["0A"; 32].join(":")), Some([10; 32]));
        assert_eq!(from_hex(&["0A"; 32].join("-")), None);
        assert_eq!(from_hex(&"0g".repeat(32)), None);
        assert_eq!(from_hex(&"+1".repeat(32)), None);
        assert_eq!(from_hex("0a"), None);
    }

    #[test]
    fn a_pin_is_32_bytes_in_base64() {
        let pin = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let hash = from_base64(pin).unwrap();
        assert_eq!(hash[..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(hash[31], 0x55);
        assert_eq!(from_base64("47DEQpj8"), None);
        assert_eq!(from_base64(&pin.replace('+', "-")), None);
    }

    #[test]
    fn an_object_identifier_is_numbers_with_dots() {
        assert!(is_oid("1.3.6.1.4.1.311.20.2.3"));
        assert!(!is_oid("1..3"));
        assert!(!is_oid("abc"));
        assert!(!is_oid(""));
    }
}
