//! The static table (RFC 7541 appendix A) and the size arithmetic of dynamic ones.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;
use http::HeaderName;
use http::HeaderValue;

use super::Pseudo;
use super::decode::Field;
use super::decode::FieldName;

/// Entries of the static table; dynamic ones come behind them.
pub(super) const STATIC: usize = 61;

/// The field at an index from 1 to [`STATIC`].
pub(super) fn entry(index: usize) -> Option<&'static Field> {
    ENTRIES.get(index.wrapping_sub(1))
}

/// The first index of a name.
pub(super) fn index_of(name: &HeaderName) -> Option<usize> {
    NAMES.get(name).copied()
}

/// The first index of a pseudo-header field.
pub(super) fn index_of_pseudo(name: Pseudo) -> Option<usize> {
    Some(match name {
        Pseudo::Authority => 1,
        Pseudo::Method => 2,
        Pseudo::Path => 4,
        Pseudo::Protocol => return None,
        Pseudo::Scheme => 6,
        Pseudo::Status => 8,
    })
}

/// The index of a pseudo-header field with this value.
pub(super) fn index_of_pair(name: Pseudo, value: &[u8]) -> Option<usize> {
    Some(match (name, value) {
        (Pseudo::Method, b"GET") => 2,
        (Pseudo::Method, b"POST") => 3,
        (Pseudo::Path, b"/") => 4,
        (Pseudo::Scheme, b"http") => 6,
        (Pseudo::Scheme, b"https") => 7,
        (Pseudo::Status, b"200") => 8,
        (Pseudo::Status, b"204") => 9,
        (Pseudo::Status, b"206") => 10,
        (Pseudo::Status, b"304") => 11,
        (Pseudo::Status, b"400") => 12,
        (Pseudo::Status, b"404") => 13,
        (Pseudo::Status, b"500") => 14,
        _ => return None,
    })
}

static ENTRIES: LazyLock<Vec<Field>> = LazyLock::new(|| {
    TEXT.iter()
        .map(|(name, value)| Field {
            name: match Pseudo::parse(name.as_bytes()) {
                Some(pseudo) => FieldName::Pseudo(pseudo),
                None => FieldName::Regular(HeaderName::from_static(name)),
            },
            value: HeaderValue::from_static(value),
        })
        .collect()
});

static NAMES: LazyLock<HashMap<HeaderName, usize, FixedState>> = LazyLock::new(|| {
    let regular = ENTRIES.iter().enumerate().filter_map(|(place, field)| match &field.name {
        FieldName::Regular(name) => Some((name.clone(), place + 1)),
        FieldName::Pseudo(_) => None,
    });
    regular.collect()
});

#[rustfmt::skip]
const TEXT: [(&str, &str); STATIC] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
];
