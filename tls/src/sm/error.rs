//! What is wrong with the SM part of a configuration.

use palanquin_sm::keys::KeyFileError;
use palanquin_tlcp::DualCertificateError;
use thiserror::Error;

/// SM certificates, keys and policies that do not fit together.
#[derive(Debug, Error)]
pub enum SmFault {
    /// A certificate for encryption without its companion.
    #[error(
        "the SM certificate for encryption has no certificate for signing with the same names or subject beside it"
    )]
    EncryptionAlone,
    /// The key file cannot be opened.
    #[error("{0}")]
    Key(#[source] KeyFileError),
    /// SM certificates, but no suite for them.
    #[error("there is an SM certificate, but no SM suite is allowed")]
    NoSuite,
    /// A server that shall speak TLCP only has no pair.
    #[error("the suites of TLCP need a pair of SM certificates, for signing and for encryption")]
    NoPair,
    /// A client that shall speak ECDHE of TLCP has no pair.
    #[error(
        "the ECDHE suites of TLCP need a pair of SM certificates, for signing and for encryption"
    )]
    NoPairForEcdhe,
    /// The policy asks for what is not there.
    #[error("the policy sm_only needs an SM certificate")]
    NothingForPolicy,
    /// A pair that is none for TLCP.
    #[error("the pair of SM certificates cannot be used: {0}")]
    Pair(#[source] DualCertificateError),
    /// Two certificates for one purpose.
    #[error(
        "two SM certificates for {purpose} carry the same names: of a pair, one has the KeyUsage digitalSignature and one keyEncipherment"
    )]
    SamePurpose {
        /// What both are for.
        purpose: &'static str,
    },
    /// A client speaks SM with SM certificates only.
    #[error(
        "a standard certificate cannot be used together with SM suites, curves or certificates"
    )]
    StandardCertificate,
    /// A certificate that may do neither.
    #[error("the KeyUsage of the SM certificate allows neither signatures nor encryption")]
    Useless,
}
