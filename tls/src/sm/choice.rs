//! Which world a client is served in.

use palanquin_config::ir::sm::SmPolicy;
use palanquin_rfc8998::offer;
use rustls::crypto::CryptoProvider;
use rustls::server::ClientHello;

use crate::certificates::Certificates;

/// What becomes of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    /// TLS 1.2 or 1.3 with standard algorithms.
    Standard,
    /// TLS 1.3 with those of RFC 8998.
    Sm,
    /// There is nothing for it: `handshake_failure`.
    Neither,
}

/// What a client can do here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// It offers a suite, a group and the signature scheme of SM that are allowed here.
    pub(crate) sm: bool,
    /// It offers a suite, a group and a signature scheme of the standard stack, which is served here.
    pub(crate) standard: bool,
    /// The standard stack is served here; it may find better words for what is missing.
    pub(crate) serves_standard: bool,
}

impl Offer {
    pub(crate) fn choose(self, policy: SmPolicy) -> World {
        match policy {
            SmPolicy::PreferSm | SmPolicy::SmOnly if self.sm => World::Sm,
            SmPolicy::PreferStandard if self.standard => World::Standard,
            SmPolicy::PreferStandard if self.sm => World::Sm,
            SmPolicy::SmOnly => World::Neither,
            _ if self.serves_standard => World::Standard,
            _ => World::Neither,
        }
    }
}

/// Whether a hello can be answered by the SM provider.
pub(crate) fn offers_sm(crypto: &CryptoProvider, hello: &ClientHello<'_>) -> bool {
    offer::accepts(
        crypto,
        hello.cipher_suites(),
        hello.named_groups().unwrap_or_default(),
        hello.signature_schemes(),
    )
}

/// Whether a hello can be answered by the standard provider, as far as it shows: a suite, a group and a
/// signature scheme in common. A hello of TLS 1.2 may name no groups.
pub(crate) fn offers_standard(
    crypto: &CryptoProvider,
    certificates: &Certificates,
    hello: &ClientHello<'_>,
) -> bool {
    let suite =
        crypto.cipher_suites.iter().any(|ours| hello.cipher_suites().contains(&ours.suite()));
    let group = hello
        .named_groups()
        .is_none_or(|groups| crypto.kx_groups.iter().any(|ours| groups.contains(&ours.name())));
    let fits = |key: &dyn rustls::sign::SigningKey| key.choose_scheme(hello.signature_schemes());
    suite && group && certificates.all().iter().any(|one| fits(&*one.certified.key).is_some())
}

#[cfg(test)]
mod tests {
    use palanquin_config::ir::sm::SmPolicy;

    use super::Offer;
    use super::World;

    #[test]
    fn the_policy_decides_only_where_both_are_possible() {
        use SmPolicy::PreferSm;
        use SmPolicy::PreferStandard;
        use SmPolicy::SmOnly;
        let both = Offer { sm: true, standard: true, serves_standard: true };
        let sm = Offer { standard: false, ..both };
        let standard = Offer { sm: false, ..both };
        let neither = Offer { sm: false, standard: false, serves_standard: true };
        let sm_port = |offer| Offer { standard: false, serves_standard: false, ..offer };
        for (offer, policy, expected) in [
            (both, PreferSm, World::Sm),
            (both, PreferStandard, World::Standard),
            (both, SmOnly, World::Sm),
            (sm, PreferSm, World::Sm),
            (sm, PreferStandard, World::Sm),
            (standard, PreferSm, World::Standard),
            (standard, PreferStandard, World::Standard),
            (standard, SmOnly, World::Neither),
            (neither, PreferSm, World::Standard),
            (neither, PreferStandard, World::Standard),
            (sm_port(both), PreferStandard, World::Sm),
            (sm_port(standard), PreferSm, World::Neither),
            (sm_port(standard), PreferStandard, World::Neither),
        ] {
            assert_eq!(offer.choose(policy), expected, "{offer:?} {policy:?}");
        }
    }
}
