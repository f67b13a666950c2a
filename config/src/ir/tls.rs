//! TLS settings of both sides. Keys and certificates are here as PEM or DER bytes; `palanquin-tls` turns
//! them into handshake configurations.

/// `DownstreamTlsContext`.
#[derive(Debug)]
pub struct DownstreamTls {}

/// `UpstreamTlsContext`.
#[derive(Debug)]
pub struct UpstreamTls {}
