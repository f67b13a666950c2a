//! The two suites (RFC 8998 §2).

use rustls::CipherSuiteCommon;
use rustls::Tls13CipherSuite;
use rustls::crypto::tls13::HkdfUsingHmac;

use crate::TLS_SM4_CCM_SM3;
use crate::TLS_SM4_GCM_SM3;
use crate::hash::Hmac;
use crate::hash::Sm3;
use crate::record::CCM;
use crate::record::GCM;

/// TLS_SM4_GCM_SM3.
pub static TLS13_SM4_GCM_SM3: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: TLS_SM4_GCM_SM3,
        hash_provider: &Sm3,
        // RFC 8446 §5.5 gives 2^24.5 full records for AES; the bound depends only on the size of a block.
        confidentiality_limit: 1 << 24,
    },
    hkdf_provider: &HkdfUsingHmac(&Hmac),
    aead_alg: &GCM,
    quic: None,
};

/// TLS_SM4_CCM_SM3.
pub static TLS13_SM4_CCM_SM3: Tls13CipherSuite = Tls13CipherSuite {
    common: CipherSuiteCommon {
        suite: TLS_SM4_CCM_SM3,
        hash_provider: &Sm3,
        // CCM's bound of RFC 9147 §4.5.3.
        confidentiality_limit: 1 << 23,
    },
    hkdf_provider: &HkdfUsingHmac(&Hmac),
    aead_alg: &CCM,
    quic: None,
};
