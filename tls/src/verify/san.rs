//! Subject alternative names and how they are compared.
//!
//! Names are compared as they are, byte by byte: a dot is a dot, and a NUL does not end a name.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use palanquin_config::ir::matcher::StringPattern;
use palanquin_config::ir::tls::SanKind;
use palanquin_config::ir::tls::SanMatcher;
use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::der_parser::asn1_rs::FromDer;
use x509_parser::extensions::GeneralName;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;

use super::VerifyError;

/// The subject alternative names of a certificate, in its order.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    pub(crate) dns: Vec<&'a str>,
    pub(crate) email: Vec<&'a str>,
    pub(crate) ip: Vec<String>,
    pub(crate) uri: Vec<&'a str>,
    /// Object identifier in dotted form, and the value's contents.
    pub(crate) other: Vec<(String, Vec<u8>)>,
}

impl<'a> Names<'a> {
    /// Reads the names.
    ///
    /// # Errors
    /// When one of them holds a NUL byte or is not the text that its type demands, or when the extension is
    /// there but cannot be read (CVE-2026-47778, CVE-2025-66220: such names were taken for their beginning).
    pub(crate) fn of(certificate: &X509Certificate<'a>) -> Result<Self, VerifyError> {
        let mut names = Self::default();
        for extension in certificate.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectAlternativeName(san) => {
                    for name in &san.general_names {
                        names.add(name)?;
                    }
                }
                ParsedExtension::ParseError { .. } if extension.oid == SUBJECT_ALT_NAME => {
                    return Err(VerifyError::MalformedName);
                }
                _ => {}
            }
        }
        Ok(names)
    }

    fn add(&mut self, name: &GeneralName<'a>) -> Result<(), VerifyError> {
        match name {
            GeneralName::DNSName(text) => self.dns.push(clean(text)?),
            GeneralName::RFC822Name(text) => self.email.push(clean(text)?),
            GeneralName::URI(text) => self.uri.push(clean(text)?),
            GeneralName::IPAddress(bytes) => {
                self.ip.push(ip_text(bytes).ok_or(VerifyError::MalformedName)?);
            }
            GeneralName::OtherName(oid, value) => {
                self.other.push((oid.to_id_string(), other_value(value)));
            }
            GeneralName::Invalid(..) => return Err(VerifyError::MalformedName),
            _ => {}
        }
        Ok(())
    }

    /// Whether one name of the matcher's kind matches.
    pub(crate) fn matches(&self, wanted: &SanMatcher) -> bool {
        let text = |name: &str| wanted.matcher.matches(name.as_bytes());
        match &wanted.kind {
            SanKind::Dns => match &wanted.matcher.pattern {
                StringPattern::Exact(exact) => self.has_dns_name(exact),
                _ => self.dns.iter().any(|name| text(name)),
            },
            SanKind::Email => self.email.iter().any(|name| text(name)),
            SanKind::IpAddress => self.ip.iter().any(|name| text(name)),
            SanKind::OtherName(oid) => {
                self.other.iter().any(|(id, value)| **id == **oid && wanted.matcher.matches(value))
            }
            SanKind::Uri => self.uri.iter().any(|name| text(name)),
        }
    }

    /// All names of text form, for messages; they hold printable ASCII and control characters only, which
    /// are escaped.
    pub(crate) fn to_text(&self) -> String {
        let text = self.dns.iter().chain(&self.uri).chain(&self.email).copied();
        let all: Vec<_> = text.chain(self.ip.iter().map(String::as_str)).collect();
        all.join(", ").escape_debug().to_string()
    }

    /// Whether a DNS name of the certificate, which may hold a wildcard, covers `name`.
    pub(crate) fn has_dns_name(&self, name: &str) -> bool {
        self.dns.iter().any(|pattern| dns_name_covers(pattern, name))
    }
}

/// RFC 6125 §6.4.3 as Envoy does it: one `*` in the left-most label stands for any part of one label, and
/// not in an A-label. Letter case does not count.
pub(crate) fn dns_name_covers(pattern: &str, name: &str) -> bool {
    if pattern.eq_ignore_ascii_case(name) {
        return true;
    }
    let (Some((label, domain)), Some((first, rest))) =
        (pattern.split_once('.'), name.split_once('.'))
    else {
        return false;
    };
    let Some((before, after)) = label.split_once('*') else { return false };
    let starts = |text: &str, start: &str| {
        text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    let ends = |text: &str, end: &str| {
        text.len()
            .checked_sub(end.len())
            .and_then(|at| text.get(at..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    !after.contains('*')
        && !domain.contains('*')
        && !starts(label, "xn--")
        && domain.eq_ignore_ascii_case(rest)
        && !first.is_empty()
        && first.len() >= before.len() + after.len()
        && starts(first, before)
        && ends(first, after)
}

const SUBJECT_ALT_NAME: x509_parser::der_parser::Oid<'static> =
    x509_parser::der_parser::oid!(2.5.29.17);

fn clean(name: &str) -> Result<&str, VerifyError> {
    if name.bytes().any(|byte| byte == 0 || !byte.is_ascii()) {
        return Err(VerifyError::MalformedName);
    }
    Ok(name)
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| Ipv6Addr::from(v6).to_string())
}

/// The contents of an `otherName`'s value: `[0] EXPLICIT ANY`, usually a UTF8String.
fn other_value(value: &[u8]) -> Vec<u8> {
    let Ok((_, explicit)) = Any::from_der(value) else { return value.to_vec() };
    match Any::from_der(explicit.data) {
        Ok((_, any)) if explicit.header.is_constructed() => any.data.to_vec(),
        _ => explicit.data.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::dns_name_covers;

    #[test]
    fn a_wildcard_stands_for_one_label_only() {
        assert!(dns_name_covers("*.example.com", "a.example.com"));
        assert!(dns_name_covers("*.Example.com", "A.example.COM"));
        assert!(!dns_name_covers("*.example.com", "a.b.example.com"));
        assert!(!dns_name_covers("*.example.com", "example.com"));
        assert!(!dns_name_covers("*.example.com", ".example.com"));
    }

    #[test]
    fn a_wildcard_may_be_part_of_the_first_label_but_not_of_an_a_label() {
        assert!(dns_name_covers("w*w.example.com", "whatw.example.com"));
        assert!(!dns_name_covers("w*w.example.com", "w.example.com"));
        assert!(!dns_name_covers("xn--*.example.com", "xn--a.example.com"));
        assert!(!dns_name_covers("a.*.com", "a.example.com"));
        assert!(!dns_name_covers("**.example.com", "a.example.com"));
    }

    #[test]
    fn a_dot_is_a_dot() {
        assert!(!dns_name_covers("cert-manager.io", "cert-managerXio"));
        assert!(!dns_name_covers("cert-managerXio", "cert-manager.io"));
    }
}
