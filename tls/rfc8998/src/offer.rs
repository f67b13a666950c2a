//! Which world a client means: RFC 8998 or the rest of TLS.
//!
//! A client of both worlds sends one hello with suites, groups and signature schemes of both. rustls chooses
//! each of them on its own, so the choice between the worlds is made here, before, on the whole hello: a
//! client means SM only if one suite, one group and the signature scheme are there together.

use rustls::CipherSuite;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::server::ClientHello;

use crate::SM2SIG_SM3;
use crate::provider;

/// Whether a handshake by [`provider`] can work out with this client.
pub fn offers_sm(hello: &ClientHello<'_>) -> bool {
    accepts(
        provider(),
        hello.cipher_suites(),
        hello.named_groups().unwrap_or_default(),
        hello.signature_schemes(),
    )
}

/// The same with a provider that was narrowed to some suites and groups, and the parts of the hello.
pub fn accepts(
    provider: &CryptoProvider,
    suites: &[CipherSuite],
    groups: &[NamedGroup],
    schemes: &[SignatureScheme],
) -> bool {
    provider.cipher_suites.iter().any(|ours| suites.contains(&ours.suite()))
        && provider.kx_groups.iter().any(|ours| groups.contains(&ours.name()))
        && schemes.contains(&SM2SIG_SM3)
}

#[cfg(test)]
mod tests {
    use rustls::CipherSuite;
    use rustls::NamedGroup;
    use rustls::SignatureScheme;

    use super::accepts;
    use crate::CURVE_SM2;
    use crate::CURVE_SM2_MLKEM768;
    use crate::SM2SIG_SM3;
    use crate::TLS_SM4_CCM_SM3;
    use crate::provider;

    #[test]
    fn sm_is_meant_only_when_suite_group_and_signature_scheme_come_together() {
        let suites = [CipherSuite::TLS13_AES_128_GCM_SHA256, TLS_SM4_CCM_SM3];
        let schemes = [SignatureScheme::ED25519, SM2SIG_SM3];
        for group in [CURVE_SM2, CURVE_SM2_MLKEM768] {
            let groups = [NamedGroup::X25519, group];
            assert!(accepts(provider(), &suites, &groups, &schemes));
            assert!(!accepts(provider(), &suites[..1], &groups, &schemes));
            assert!(!accepts(provider(), &suites, &groups[..1], &schemes));
            assert!(!accepts(provider(), &suites, &groups, &schemes[..1]));
        }
    }
}
