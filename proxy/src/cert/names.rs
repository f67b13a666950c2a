//! Names as they stand on the command line.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use palanquin_pki::San;

/// A host name or an address of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(String);

impl ServerName {
    /// Names that every server here has.
    pub(super) fn always() -> [Self; 3] {
        ["localhost", "127.0.0.1", "::1"].map(|name| Self(name.to_owned()))
    }

    /// As it was given.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn san(&self) -> San {
        self.0.parse::<IpAddr>().map_or_else(|_| San::Dns(self.0.clone()), San::Ip)
    }
}

impl FromStr for ServerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let labels = text.strip_prefix("*.").unwrap_or(text);
        let is_label = |label: &str| {
            let middle = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len()) && label.bytes().all(middle)
        };
        let is_name = text.len() <= 253 && labels.split('.').all(is_label);
        if is_name || text.parse::<IpAddr>().is_ok() {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NameError("a host name such as a.example, *.example, or an IP address"))
        }
    }
}

/// A SPIFFE ID: `spiffe://TRUST-DOMAIN/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpiffeId(String);

impl SpiffeId {
    /// An ID whose parts are known to be good.
    pub(super) fn below(trust_domain: &str, name: &str) -> Self {
        Self(format!("spiffe://{trust_domain}/{name}"))
    }

    /// The whole URI.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands between `//` and the path.
    pub(super) fn trust_domain(&self) -> &str {
        let rest = &self.0[SCHEME.len()..];
        rest.split_once('/').map_or(rest, |(domain, _)| domain)
    }
}

const SCHEME: &str = "spiffe://";

impl FromStr for SpiffeId {
    type Err = NameError;

    /// SPIFFE-ID §2: lower case in the trust domain, a path of non-empty segments that are not dots.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = NameError("a SPIFFE ID such as spiffe://td/ns/x/sa/y");
        let parts = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once('/'));
        let Some((domain, path)) = parts else { return Err(wrong) };
        let in_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(in_path);
        if !domain.is_empty()
            && domain.bytes().all(in_domain)
            && path.split('/').all(is_segment)
            && text.len() <= 2048
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(wrong)
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A client: its files' name, and perhaps its SPIFFE ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The name of its files and its common name.
    pub(super) name: String,
    pub(super) spiffe: Option<SpiffeId>,
}

impl Client {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), spiffe: None }
    }
}

impl FromStr for Client {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, spiffe) = match text.split_once('=') {
            Some((name, id)) => (name, Some(id.parse()?)),
            None => (text, None),
        };
        // It becomes the name of a file and the end of a SPIFFE ID.
        let in_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=64).contains(&name.len()) && name.bytes().all(in_name) {
            Ok(Self { name: name.to_owned(), spiffe })
        } else {
            Err(NameError("NAME or NAME=spiffe://td/path, the name of letters, digits, - and _"))
        }
    }
}

/// What was expected instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NameError(&'static str);
