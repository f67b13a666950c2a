//! Certificates as identities: what policy, logs and XFCC ask about them.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;

use aws_lc_rs::digest;
use palanquin_config::ir::Digest;
use palanquin_filter_api::ChainFacts;
use palanquin_filter_api::Later;
use palanquin_filter_api::PeerIdentity;
use rustls::pki_types::CertificateDer;
use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::der_parser::asn1_rs::Tag;
use x509_parser::prelude::FromDer;
use x509_parser::prelude::X509Certificate;
use x509_parser::x509::AttributeTypeAndValue;
use x509_parser::x509::X509Name;

use crate::verify::Names;

/// The identity in a presented chain; `None` when the certificate cannot be read. `validated` says whether
/// it was verified.
///
/// The last few are remembered on each thread: in a mesh the same peers come again and again, and reading a
/// certificate costs more than comparing it.
pub fn of(chain: &[CertificateDer<'_>], validated: bool) -> Option<Arc<PeerIdentity>> {
    let (leaf, rest) = chain.split_first()?;
    REMEMBERED.with_borrow_mut(|remembered| {
        if remembered.is_empty() {
            remembered.resize_with(SLOTS, || None);
        }
        let place = usize::try_from(Digest::of(leaf).0 % SLOTS as u64).unwrap_or_default();
        let slot = remembered.get_mut(place)?;
        if let Some(known) = slot.as_ref().filter(|known| is_same(known, leaf, rest, validated)) {
            return Some(Arc::clone(known));
        }
        let read = Arc::new(read(leaf, rest, validated)?);
        *slot = Some(Arc::clone(&read));
        Some(read)
    })
}

/// The first common name of a certificate's subject.
pub(crate) fn common_name(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    certificate.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// A subject or issuer in RFC 2253 form as OpenSSL prints it (`XN_FLAG_RFC2253`): last attribute first, short
/// names, bytes outside printable ASCII as `\XX`.
pub fn rfc2253(name: &X509Name<'_>) -> String {
    let mut out = String::new();
    let sets: Vec<_> = name.iter_rdn().collect();
    for (index, set) in sets.iter().rev().enumerate() {
        let attributes: Vec<_> = set.iter().collect();
        for (place, attribute) in attributes.iter().rev().enumerate() {
            match (index, place) {
                (0, 0) => {}
                (_, 0) => out.push(','),
                _ => out.push('+'),
            }
            push_attribute(&mut out, attribute);
        }
    }
    out
}

fn is_same(
    known: &PeerIdentity,
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    validated: bool,
) -> bool {
    known.validated == validated
        && known.der == leaf.as_ref()
        && known.chain.iter().map(Vec::as_slice).eq(rest.iter().map(AsRef::as_ref))
}

fn read(
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    validated: bool,
) -> Option<PeerIdentity> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    // Names that cannot be trusted are none. A verified certificate has passed the same reading.
    let names = Names::of(&certificate).unwrap_or_default();
    let shared = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    let validity = certificate.validity();
    Some(PeerIdentity {
        validated,
        uri_sans: shared(&names.uri),
        dns_sans: shared(&names.dns),
        ip_sans: names.ip.iter().map(|ip| Arc::from(ip.as_str())).collect(),
        email_sans: shared(&names.email),
        other_sans: names
            .other
            .iter()
            .map(|(_, value)| String::from_utf8_lossy(value).into())
            .collect(),
        subject: rfc2253(certificate.subject()),
        issuer: rfc2253(certificate.issuer()),
        serial: serial(certificate.raw_serial()),
        sha256: sha256(leaf),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
        der: leaf.to_vec(),
        chain: rest.iter().map(|der| der.to_vec()).collect(),
        later: Later::new(chain_facts),
    })
}

fn chain_facts(identity: &PeerIdentity) -> ChainFacts {
    let chain = || std::iter::once(&identity.der).chain(&identity.chain);
    let sha1 = |der: &Vec<u8>| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    ChainFacts {
        sha1: chain().map(|der| hex(sha1(der).as_ref())).collect(),
        sha256: chain().map(|der| sha256(der)).collect(),
        serials: chain().map(|der| serial_of(der).unwrap_or_default()).collect(),
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256(der: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, der).as_ref())
}

/// The serial number of a certificate; `None` when it cannot be read.
pub(crate) fn serial_of(der: &[u8]) -> Option<String> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| serial(certificate.raw_serial()))
}

/// Without the zero byte that keeps a DER integer positive.
fn serial(raw: &[u8]) -> String {
    let first = raw.iter().position(|byte| *byte != 0).unwrap_or(raw.len());
    let text = hex(raw.get(first..).unwrap_or_default());
    if text.is_empty() { "0".to_owned() } else { text }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn push_attribute(out: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    let short = SHORT_NAMES.iter().find(|(known, _)| *known == oid).map(|(_, short)| *short);
    out.push_str(short.unwrap_or(&oid));
    out.push('=');
    let value = attribute.attr_value();
    if let Some(text) = text_bytes(value).filter(|_| short.is_some()) {
        push_escaped(out, &text);
        return;
    }
    out.push('#');
    for byte in der_of(value) {
        let _ = write!(out, "{byte:02X}");
    }
}

/// The value as UTF-8, when it is of a string type.
fn text_bytes(value: &Any<'_>) -> Option<Vec<u8>> {
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            Some(value.data.to_vec())
        }
        // T61 is taken for Latin-1, as OpenSSL does.
        Tag::T61String => {
            Some(value.data.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes())
        }
        Tag::BmpString => {
            let units = value.data.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            Some(
                char::decode_utf16(units)
                    .map(|c| c.unwrap_or('\u{fffd}'))
                    .collect::<String>()
                    .into(),
            )
        }
        Tag::UniversalString => {
            let points = value.data.chunks_exact(4).map(|quad| match quad {
                [a, b, c, d] => u32::from_be_bytes([*a, *b, *c, *d]),
                _ => 0,
            });
            let text: String = points.map(|p| char::from_u32(p).unwrap_or('\u{fffd}')).collect();
            Some(text.into_bytes())
        }
        _ => None,
    }
}

/// RFC 2253 §2.4, with OpenSSL's `ASN1_STRFLGS_ESC_CTRL` and `ESC_MSB`.
fn push_escaped(out: &mut String, text: &[u8]) {
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b'#' if at == 0 => out.push_str("\\#"),
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
}

/// The value with its tag and length again.
fn der_of(value: &Any<'_>) -> Vec<u8> {
    let length = value.data.len();
    let mut der = vec![u8::try_from(value.tag().0).unwrap_or(0x04) | constructed(value)];
    if let Some(short) = u8::try_from(length).ok().filter(|length| *length < 0x80) {
        der.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|byte| **byte == 0).count();
        der.push(0x80 | u8::try_from(bytes.len() - skip).unwrap_or_default());
        der.extend_from_slice(bytes.get(skip..).unwrap_or_default());
    }
    der.extend_from_slice(value.data);
    der
}

fn constructed(value: &Any<'_>) -> u8 {
    if value.header.is_constructed() { 0x20 } else { 0 }
}

thread_local! {
    static REMEMBERED: RefCell<Vec<Option<Arc<PeerIdentity>>>> = const { RefCell::new(Vec::new()) };
}

/// Identities remembered per thread: with chains of 3 KiB, 400 KiB at most, and some 50 KiB more when logs ask
/// for digests.
const SLOTS: usize = 128;

/// OpenSSL's short names of what occurs in subjects.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.45", "x500UniqueIdentifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
    ("1.3.6.1.4.1.311.60.2.1.1", "jurisdictionL"),
    ("1.3.6.1.4.1.311.60.2.1.2", "jurisdictionST"),
    ("1.3.6.1.4.1.311.60.2.1.3", "jurisdictionC"),
];
