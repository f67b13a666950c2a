//! Named sources of cryptography.

use std::sync::Arc;
use std::sync::LazyLock;

use rustls::crypto::CryptoProvider;

use crate::params;

/// A source of cryptography for standard TLS.
///
/// Never installed as the process' default: it is handed to each configuration, so that a listener may use
/// another one than its neighbour.
#[derive(Debug, Clone)]
pub struct Provider {
    /// The name by which a configuration asks for it.
    pub name: &'static str,
    /// Its algorithms.
    pub crypto: Arc<CryptoProvider>,
    /// Whether it is a validated FIPS module.
    pub fips: bool,
}

/// The standard provider, aws-lc: every suite and key exchange that rustls knows, X25519MLKEM768 first.
pub fn standard() -> &'static Provider {
    static STANDARD: LazyLock<Provider> = LazyLock::new(|| {
        let mut crypto = rustls::crypto::aws_lc_rs::default_provider();
        let algorithms = &mut crypto.signature_verification_algorithms;
        algorithms.mapping = Vec::leak(params::in_boringssls_order(algorithms.mapping));
        Provider { name: "aws-lc", fips: crypto.fips(), crypto: Arc::new(crypto) }
    });
    &STANDARD
}
