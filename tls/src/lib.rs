//! TLS transports, identities and certificate verification.
