//! The national suites beside standard TLS: what a context allows of them, and which of the two is preferred.
//!
//! Each world has names of its own (`TLS_SM4_GCM_SM3`, `curveSM2`), so one list of the API can hold both. Names
//! of one world restrict only that world; which worlds a listener serves is decided by its certificates and by
//! [`SmPolicy`].

use super::tls::CipherSuite;

/// Suites and groups of RFC 8998 and TLCP that a context allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmParams {
    /// A name of the SM world stands in one of the lists. A client with such names speaks SM only.
    pub is_named: bool,
    /// Suites of TLS 1.3 (RFC 8998) in order of preference: the named ones, or all when no SM suite is named.
    pub tls13_suites: Vec<CipherSuite>,
    /// Suites of TLCP in order of preference: the named ones, or all when no SM suite is named.
    pub tlcp_suites: Vec<CipherSuite>,
    /// Groups of TLS 1.3 in order of preference: the named ones, or all. Never empty.
    pub curves: Vec<SmCurve>,
}

impl SmParams {
    /// TLS_SM4_GCM_SM3 and TLS_SM4_CCM_SM3.
    pub const TLS13_SUITES: [CipherSuite; 2] = [CipherSuite(0x00c6), CipherSuite(0x00c7)];
    /// ECC first, as it needs no client certificates; GCM before CBC.
    pub const TLCP_SUITES: [CipherSuite; 4] =
        [CipherSuite(0xe053), CipherSuite(0xe013), CipherSuite(0xe051), CipherSuite(0xe011)];
}

impl Default for SmParams {
    fn default() -> Self {
        Self {
            is_named: false,
            tls13_suites: Self::TLS13_SUITES.to_vec(),
            tlcp_suites: Self::TLCP_SUITES.to_vec(),
            curves: vec![SmCurve::Sm2MlKem768, SmCurve::Sm2],
        }
    }
}

/// A group of RFC 8998 or its hybrid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmCurve {
    /// `curveSM2`.
    Sm2,
    /// `curveSM2MLKEM768`: hybrid post-quantum.
    Sm2MlKem768,
}

/// What a listener with certificates of both worlds takes: `metadata.filter_metadata["palanquin.sm"].policy` of
/// the filter chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum SmPolicy {
    /// SM with every client that offers it, standard TLS with the others.
    #[default]
    PreferSm,
    /// Standard TLS with every client that offers it, SM with the others.
    PreferStandard,
    /// A client that does not offer SM is refused.
    SmOnly,
}
