//! Where a tenant's id comes from, and whom to believe.

use std::cell::RefCell;

use http::HeaderName;
use http::Request;
use palanquin_config::ir::matcher::StringMatcher;
use palanquin_filter_api::Body;
use palanquin_filter_api::MetadataValue;
use palanquin_filter_api::StreamCx;
use regex::Regex;
use smallvec::SmallVec;

use super::id;

thread_local! {
    /// For ids on their way to lower case.
    static BUFFER: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A valid id, short enough to stay on the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Id(SmallVec<[u8; 64]>);

impl Id {
    fn new(text: &str) -> Self {
        Self(SmallVec::from_slice(text.as_bytes()))
    }

    /// The id. It was made from a text, so it is one.
    pub(super) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Sources in order; the first valid id wins.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

/// One source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) from: From,
    /// Only peers with such a SPIFFE id are believed; empty: whoever it is, where the source itself can
    /// be believed.
    pub(super) trusted_peers: Vec<Box<str>>,
    /// The part of the value that is the id: its first group.
    pub(super) extract: Option<Regex>,
    pub(super) valid: Option<StringMatcher>,
    pub(super) must_agree: bool,
}

/// Where a value is found.
#[derive(Debug)]
pub(super) enum From {
    BaggageKey(Box<str>),
    Constant(Box<str>),
    Header(HeaderName),
    HostLabel(Label),
    Metadata { namespace: Box<str>, path: Vec<Box<str>> },
    PathSegment(usize),
    PeerSpiffe(SpiffeTemplate),
    SniLabel(Label),
}

/// One label of a host name, counted from the left, before a suffix.
#[derive(Debug)]
pub(super) struct Label {
    pub(super) index: usize,
    /// Without a leading dot, in lower case; may be empty.
    pub(super) suffix: Box<str>,
}

/// `/ns/{tenant}/sa/*` within a trust domain.
#[derive(Debug)]
pub(super) struct SpiffeTemplate {
    pub(super) trust_domain: Box<str>,
    pub(super) segments: Vec<Segment>,
}

/// One segment of a template.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Any,
    Literal(Box<str>),
    Tenant,
}

/// What the sources say together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Absent,
    Found {
        id: Id,
        source: &'static str,
    },
    /// A source gave something that is no id, and no other gave one.
    Invalid,
    /// A source that must agree does not.
    Mismatch,
}

impl Sources {
    pub(super) fn new(sources: Vec<Source>) -> Self {
        Self(sources)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks the sources in order. After the first id only those are asked that must agree with it.
    pub(super) fn identify(&self, request: &Request<Body>, cx: &StreamCx) -> Identity {
        BUFFER.with_borrow_mut(|buffer| {
            let mut winner: Option<(Id, &'static str)> = None;
            let mut invalid = false;
            for source in &self.0 {
                if winner.is_some() && !source.must_agree {
                    continue;
                }
                match (source.read(request, cx, buffer), &winner) {
                    (Read::Absent, _) => {}
                    (Read::Invalid, Some(_)) => return Identity::Mismatch,
                    (Read::Invalid, None) => invalid = true,
                    (Read::Id, Some((id, _))) => {
                        if id.as_str() != buffer {
                            return Identity::Mismatch;
                        }
                    }
                    (Read::Id, None) => {
                        winner = Some((Id::new(buffer), source.from.name()));
                    }
                }
            }
            match winner {
                Some((id, source)) => Identity::Found { id, source },
                None if invalid => Identity::Invalid,
                None => Identity::Absent,
            }
        })
    }
}

/// The result of one source; the id is in the buffer.
enum Read {
    Absent,
    Id,
    Invalid,
}

impl Source {
    fn read(&self, request: &Request<Body>, cx: &StreamCx, buffer: &mut String) -> Read {
        if !self.is_trusted(cx) {
            return Read::Absent;
        }
        match self.from.value(request, cx) {
            Value::Absent => Read::Absent,
            Value::Malformed => Read::Invalid,
            Value::Text(text) => self.check(text, buffer),
        }
    }

    fn check(&self, value: &str, buffer: &mut String) -> Read {
        let part = match &self.extract {
            None => value,
            Some(regex) => match regex.captures(value).and_then(|groups| groups.get(1)) {
                Some(group) => group.as_str(),
                None => return Read::Absent,
            },
        };
        match id::normalize(part, self.valid.as_ref(), buffer) {
            Some(_) => Read::Id,
            None => Read::Invalid,
        }
    }

    /// Anybody can send a header: it is believed from listed peers only, and from nobody when none is
    /// listed. The other sources are what they are, unless the list narrows them.
    fn is_trusted(&self, cx: &StreamCx) -> bool {
        if self.trusted_peers.is_empty() {
            return !self.from.is_claimed();
        }
        let Some(peer) = spiffe_id(cx) else { return false };
        self.trusted_peers.iter().any(|prefix| {
            peer.strip_prefix(&**prefix).is_some_and(|rest| {
                // `spiffe://acme.io` must not stand for `spiffe://acme.io.evil`.
                rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/')
            })
        })
    }
}

/// A value before it is checked.
enum Value<'a> {
    Absent,
    Malformed,
    Text(&'a str),
}

impl<'a> std::convert::From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}

impl From {
    /// Whether the client merely says so.
    pub(super) fn is_claimed(&self) -> bool {
        matches!(self, Self::Header(_) | Self::BaggageKey(_))
    }

    /// For logs and metadata.
    fn name(&self) -> &'static str {
        match self {
            Self::BaggageKey(_) => "baggage",
            Self::Constant(_) => "constant",
            Self::Header(_) => "header",
            Self::HostLabel(_) => "host",
            Self::Metadata { .. } => "metadata",
            Self::PathSegment(_) => "path",
            Self::PeerSpiffe(_) => "spiffe",
            Self::SniLabel(_) => "sni",
        }
    }

    fn value<'v>(&'v self, request: &'v Request<Body>, cx: &'v StreamCx) -> Value<'v> {
        match self {
            Self::Constant(id) => Value::Text(id),
            Self::Header(name) => {
                let mut values = request.headers().get_all(name).iter();
                match (values.next(), values.next()) {
                    (None, _) => Value::Absent,
                    (Some(only), None) => only.to_str().map_or(Value::Malformed, Value::Text),
                    // Which of two is meant is anybody's guess.
                    (Some(_), Some(_)) => Value::Malformed,
                }
            }
            Self::BaggageKey(key) => request
                .headers()
                .get_all("baggage")
                .iter()
                .filter_map(|value| value.to_str().ok())
                .find_map(|list| baggage_member(list, key))
                .into(),
            Self::HostLabel(label) => host(request).and_then(|host| label.of(host)).into(),
            Self::SniLabel(label) => {
                cx.info.connection.sni.as_deref().and_then(|name| label.of(name)).into()
            }
            Self::PathSegment(index) => {
                let segment = request.uri().path().split('/').nth(*index);
                segment.filter(|segment| !segment.is_empty()).into()
            }
            Self::PeerSpiffe(template) => {
                spiffe_id(cx).and_then(|id| template.tenant_of(id)).into()
            }
            Self::Metadata { namespace, path } => match cx.metadata.get(namespace, path) {
                Some(MetadataValue::String(text)) => Value::Text(text),
                Some(MetadataValue::Null) | None => Value::Absent,
                Some(_) => Value::Malformed,
            },
        }
    }
}

impl Label {
    /// The label of a host name, without regard to case; `None` when the suffix or the label is missing.
    fn of<'h>(&self, host: &'h str) -> Option<&'h str> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let labels = if self.suffix.is_empty() {
            host
        } else {
            let start = host.len().checked_sub(self.suffix.len())?;
            let tail = host.get(start..)?;
            let rest = host.get(..start)?;
            tail.eq_ignore_ascii_case(&self.suffix).then_some(rest)?.strip_suffix('.')?
        };
        labels.split('.').nth(self.index).filter(|label| !label.is_empty())
    }
}

impl SpiffeTemplate {
    /// Reads a template such as `/ns/{tenant}/sa/*`; `Err` says what is wrong with it.
    pub(super) fn parse(trust_domain: &str, template: &str) -> Result<Self, String> {
        let Some(path) = template.strip_prefix('/') else {
            return Err(format!("{template:?} does not begin with /"));
        };
        let segments: Vec<_> = path
            .split('/')
            .map(|segment| match segment {
                "{tenant}" => Segment::Tenant,
                "*" => Segment::Any,
                literal => Segment::Literal(literal.into()),
            })
            .collect();
        let tenants = segments.iter().filter(|segment| **segment == Segment::Tenant).count();
        if tenants != 1 {
            return Err(format!("{template:?} must have {{tenant}} as one of its segments"));
        }
        let odd = |segment: &Segment| match segment {
            Segment::Literal(text) => text.is_empty() || text.contains(['{', '}', '*']),
            Segment::Any | Segment::Tenant => false,
        };
        if segments.iter().any(odd) {
            return Err(format!("{template:?}: a segment is a text, * or {{tenant}}"));
        }
        Ok(Self { trust_domain: trust_domain.into(), segments })
    }

    fn tenant_of<'i>(&self, id: &'i str) -> Option<&'i str> {
        let path = id.strip_prefix("spiffe://")?.strip_prefix(&*self.trust_domain)?;
        let mut parts = path.strip_prefix('/')?.split('/');
        let mut tenant = None;
        for segment in &self.segments {
            let part = parts.next()?;
            match segment {
                Segment::Any if part.is_empty() => return None,
                Segment::Any => {}
                Segment::Literal(want) if **want == *part => {}
                Segment::Literal(_) => return None,
                Segment::Tenant => tenant = Some(part),
            }
        }
        parts.next().is_none().then_some(tenant)?
    }
}

fn spiffe_id(cx: &StreamCx) -> Option<&str> {
    cx.info.connection.tls.as_ref()?.peer.as_ref()?.spiffe_id()
}

/// The host that was asked for, without its port.
fn host(request: &Request<Body>) -> Option<&str> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(http::header::HOST)?.to_str().ok()?,
    };
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // An IPv6 address has no labels.
    (!authority.starts_with('[')).then(|| authority.split(':').next().unwrap_or(authority))
}

/// One member of a W3C `baggage` list, less its properties.
fn baggage_member<'l>(list: &'l str, key: &str) -> Option<&'l str> {
    list.split(',').find_map(|member| {
        let (name, value) = member.split_once('=')?;
        (name.trim() == key).then(|| value.split(';').next().unwrap_or(value).trim())
    })
}

#[cfg(test)]
mod tests {
    use super::{Label, SpiffeTemplate, baggage_member};

    #[test]
    fn a_template_takes_one_segment_and_nothing_longer() {
        let template = SpiffeTemplate::parse("acme.io", "/ns/{tenant}/sa/*").unwrap();
        assert_eq!(template.tenant_of("spiffe://acme.io/ns/gold/sa/web"), Some("gold"));
        for other in [
            "spiffe://acme.io/ns/gold/sa/web/x",
            "spiffe://acme.io/ns/gold",
            "spiffe://acme.io.evil/ns/gold/sa/web",
            "spiffe://other.io/ns/gold/sa/web",
        ] {
            assert_eq!(template.tenant_of(other), None, "{other}");
        }
        assert!(SpiffeTemplate::parse("acme.io", "/ns/*").is_err());
        assert!(SpiffeTemplate::parse("acme.io", "/ns/x{tenant}").is_err());
    }

    #[test]
    fn a_label_is_counted_before_the_suffix() {
        let label = Label { index: 0, suffix: "app.example.com".into() };
        assert_eq!(label.of("Acme.APP.example.com"), Some("Acme"));
        assert_eq!(label.of("acme.app.example.com."), Some("acme"));
        assert_eq!(label.of("app.example.com"), None);
        assert_eq!(label.of("acmeapp.example.com"), None);
        assert_eq!(Label { index: 1, suffix: "".into() }.of("a.b.c"), Some("b"));
    }

    #[test]
    fn a_baggage_member_loses_its_properties() {
        assert_eq!(baggage_member("a=1, tenant.id = acme ;p=2,b=3", "tenant.id"), Some("acme"));
        assert_eq!(baggage_member("xtenant.id=acme", "tenant.id"), None);
    }
}
