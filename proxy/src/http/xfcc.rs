//! One element of `x-forwarded-client-cert`.

use std::fmt::Write;

use palanquin_config::ir::http::ForwardClientCert;
use palanquin_filter_api::PeerIdentity;

/// `By=...;Hash=...;Cert="...";Chain="...";Subject="...";URI=...;DNS=...` of a peer's certificate, in
/// Envoy's order. `By` and `Hash` are always told, the rest as `rules` says.
pub(crate) fn element(
    peer: &PeerIdentity,
    local: Option<&PeerIdentity>,
    rules: &ForwardClientCert,
) -> String {
    let mut out = String::new();
    for uri in local.iter().flat_map(|local| &local.uri_sans) {
        field(&mut out, "By", uri);
    }
    if !peer.sha256.is_empty() {
        field(&mut out, "Hash", &peer.sha256);
    }
    if rules.cert {
        field(&mut out, "Cert", &format!("\"{}\"", percent_encode(&pem(&peer.der))));
    }
    if rules.chain {
        let chain: String =
            std::iter::once(&peer.der).chain(&peer.chain).map(|der| pem(der)).collect();
        field(&mut out, "Chain", &format!("\"{}\"", percent_encode(&chain)));
    }
    if rules.subject {
        // RFC 2253 has escaped what is special in it, quotes as well.
        field(&mut out, "Subject", &format!("\"{}\"", peer.subject));
    }
    if rules.uri {
        if peer.uri_sans.is_empty() {
            field(&mut out, "URI", "");
        }
        for uri in &peer.uri_sans {
            field(&mut out, "URI", uri);
        }
    }
    if rules.dns {
        for name in &peer.dns_sans {
            field(&mut out, "DNS", name);
        }
    }
    out
}

fn field(out: &mut String, name: &str, value: &str) {
    let separator = if out.is_empty() { "" } else { ";" };
    write!(out, "{separator}{name}={value}").expect("a String takes every write");
}

fn pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
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

/// Percent-encodes everything but unreserved characters (RFC 3986 §2.3).
fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a String takes every write");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_names_both_sides_and_what_the_rules_ask_for() {
        let local = PeerIdentity {
            uri_sans: vec!["spiffe://mesh/ns/a/sa/web".into()],
            ..PeerIdentity::default()
        };
        let peer = PeerIdentity {
            sha256: "ab12".into(),
            subject: "CN=\\\"x\\\"".into(),
            uri_sans: vec!["spiffe://mesh/ns/b/sa/app".into()],
            dns_sans: vec!["app.test".into()],
            ..PeerIdentity::default()
        };
        let rules = ForwardClientCert {
            subject: true,
            uri: true,
            dns: true,
            ..ForwardClientCert::default()
        };
        assert_eq!(
            element(&peer, Some(&local), &rules),
            "By=spiffe://mesh/ns/a/sa/web;Hash=ab12;Subject=\"CN=\\\"x\\\"\";\
             URI=spiffe://mesh/ns/b/sa/app;DNS=app.test"
        );
    }

    #[test]
    fn a_certificate_is_told_as_encoded_pem() {
        assert_eq!(
            pem(&[0, 1, 2, 3]),
            "-----BEGIN CERTIFICATE-----\nAAECAw==\n-----END CERTIFICATE-----\n"
        );
        assert_eq!(percent_encode("a+/=\n"), "a%2B%2F%3D%0A");
    }
}
