//! What logs seldom ask about certificates: computed at the first question, not in the handshake.

use std::fmt;
use std::fmt::Write as _;

use crate::PeerIdentity;

/// Digests and serial numbers of a presented chain, the peer's own certificate first. One entry per certificate;
/// hexadecimal, lower case.
#[derive(Debug, Clone, Default)]
pub struct ChainFacts {
    /// SHA-1 of each.
    pub sha1: Vec<String>,
    /// SHA-256 of each.
    pub sha256: Vec<String>,
    /// The serial number of each; empty for one that cannot be read.
    pub serials: Vec<String>,
}

/// The certificate whose key signed the peer's, found in a verified chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// SHA-256 of the certificate in lower-case hexadecimal.
    pub sha256: String,
    /// Its serial number in lower-case hexadecimal.
    pub serial: String,
}

/// Knows the issuers that a peer was verified against. A connection keeps one, so it costs no more than a
/// reference until a log asks.
pub trait FindIssuer: fmt::Debug + Send + Sync {
    /// Who issued this certificate; `None` when it was not verified, or is itself what is trusted.
    fn issuer(&self, peer: &PeerIdentity) -> Option<Issuer>;
}

/// A certificate as PEM (RFC 7468 §5), for headers and logs: everything but unreserved characters (RFC 3986
/// §2.3) percent-encoded. Several follow each other.
pub fn encoded_pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut out = String::new();
    for der in certificates {
        push_encoded(&mut out, &pem(der));
    }
    out
}

fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::with_capacity(der.len().div_ceil(3) * 4);
    for chunk in der.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            if place > chunk.len() {
                base64.push('=');
            } else {
                let index = (group >> (18 - 6 * place)) & 63;
                base64.push(char::from(ALPHABET[index as usize]));
            }
        }
    }
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}

fn push_encoded(out: &mut String, text: &str) {
    out.reserve(text.len() * 3 / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A String takes every write.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_as_encoded_pem() {
        assert_eq!(
            pem(&[0, 1, 2, 3]),
            "-----BEGIN CERTIFICATE-----\nAAECAw==\n-----END CERTIFICATE-----\n"
        );
        let encoded = encoded_pem([&[0xfb, 0xff, 3, 4][..]]);
        assert_eq!(
            encoded,
            "-----BEGIN%20CERTIFICATE-----%0A%2B%2F8DBA%3D%3D%0A-----END%20CERTIFICATE-----%0A"
        );
        assert_eq!(encoded_pem([&[0xfb, 0xff, 3, 4][..]; 2]), encoded.repeat(2));
    }
}
