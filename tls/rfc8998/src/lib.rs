//! RFC 8998 and curveSM2MLKEM768 as a provider of cryptography for rustls.
