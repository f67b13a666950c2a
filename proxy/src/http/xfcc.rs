//! One element of `x-forwarded-client-cert`.

use std::fmt::Write;

use palanquin_config::ir::http::ForwardClientCert;
use palanquin_filter_api::PeerIdentity;
use palanquin_filter_api::encoded_pem;

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
        field(&mut out, "Cert", &format!("\"{}\"", encoded_pem([peer.der.as_slice()])));
    }
    if rules.chain {
        let chain = std::iter::once(&peer.der).chain(&peer.chain).map(Vec::as_slice);
        field(&mut out, "Chain", &format!("\"{}\"", encoded_pem(chain)));
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
}
