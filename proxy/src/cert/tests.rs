//! Names are read strictly: they end in certificates and in names of files.

use super::*;

#[test]
fn hosts_wildcards_and_addresses_are_names_of_a_server() {
    for good in ["a.example", "*.example", "10.0.0.1", "::1", "localhost", "A.Example"] {
        assert!(good.parse::<ServerName>().is_ok(), "{good}");
    }
    for bad in ["", "a..b", "*", "a.*.b", "a b", "a/b", "caf\u{e9}.example", "https://a.example"] {
        assert!(bad.parse::<ServerName>().is_err(), "{bad}");
    }
}

#[test]
fn spiffe_ids_have_a_trust_domain_and_a_path() {
    for good in ["spiffe://td/ns/x/sa/y", "spiffe://a.b-c_d/x"] {
        assert!(good.parse::<SpiffeId>().is_ok(), "{good}");
    }
    for bad in [
        "td/x",
        "spiffe://",
        "spiffe:///x",
        "spiffe://td",
        "spiffe://TD/x",
        "spiffe://td/",
        "spiffe://td/../x",
        "spiffe://td:1/x",
    ] {
        assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
    }
}

#[test]
fn a_client_cannot_name_a_file_elsewhere() {
    assert!("cart".parse::<Client>().is_ok());
    assert!("cart=spiffe://td/cart".parse::<Client>().is_ok());
    for bad in ["", "../x", "a/b", "a.b", "x=td", "=spiffe://td/x"] {
        assert!(bad.parse::<Client>().is_err(), "{bad}");
    }
}
