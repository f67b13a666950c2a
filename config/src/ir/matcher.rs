//! Matchers: strings, headers, query parameters, paths.

use http::HeaderMap;
use http::HeaderName;
use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::MetadataValue;
use regex::bytes::Regex;

/// `type.matcher.v3.StringMatcher`.
#[derive(Debug, Clone)]
pub struct StringMatcher {
    /// How to compare.
    pub pattern: StringPattern,
    /// ASCII case is ignored. Not for [`StringPattern::Regex`], which says so itself.
    pub ignore_case: bool,
}

/// What a [`StringMatcher`] compares with.
#[derive(Debug, Clone)]
pub enum StringPattern {
    /// Contains this.
    Contains(Box<str>),
    /// Equals this.
    Exact(Box<str>),
    /// Begins with this.
    Prefix(Box<str>),
    /// Matches as a whole (RE2 `FullMatch`; anchored when lowered).
    Regex(Regex),
    /// Ends with this.
    Suffix(Box<str>),
}

impl StringMatcher {
    /// Whether `value` matches. Header values may be no UTF-8, so bytes are compared; a regex sees them as
    /// they are and never fails open on them.
    pub fn matches(&self, value: &[u8]) -> bool {
        match (&self.pattern, self.ignore_case) {
            (StringPattern::Regex(regex), _) => regex.is_match(value),
            (StringPattern::Exact(want), false) => value == want.as_bytes(),
            (StringPattern::Exact(want), true) => value.eq_ignore_ascii_case(want.as_bytes()),
            (StringPattern::Prefix(want), false) => value.starts_with(want.as_bytes()),
            (StringPattern::Prefix(want), true) => value
                .get(..want.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(want.as_bytes())),
            (StringPattern::Suffix(want), false) => value.ends_with(want.as_bytes()),
            (StringPattern::Suffix(want), true) => value
                .len()
                .checked_sub(want.len())
                .and_then(|start| value.get(start..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(want.as_bytes())),
            (StringPattern::Contains(want), ignore_case) => {
                want.is_empty()
                    || value.windows(want.len()).any(|window| {
                        window == want.as_bytes()
                            || ignore_case && window.eq_ignore_ascii_case(want.as_bytes())
                    })
            }
        }
    }
}

/// `route.v3.HeaderMatcher`.
#[derive(Debug, Clone)]
pub struct HeaderMatcher {
    /// The header; `:authority` is looked up as `host`, `:path` and `:method` come from the request line.
    pub name: HeaderField,
    /// What its value must be.
    pub test: HeaderTest,
    /// The result is turned round.
    pub invert: bool,
    /// An absent header is treated as an empty one.
    pub treat_missing_as_empty: bool,
}

/// Where a matched value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderField {
    /// `:authority` or `host`.
    Authority,
    /// `:method`.
    Method,
    /// An ordinary header; of several lines one must match, as in Envoy since 1.37.
    Name(HeaderName),
    /// `:path`, with the query.
    Path,
    /// `:scheme`.
    Scheme,
}

/// What a header's value must be.
#[derive(Debug, Clone)]
pub enum HeaderTest {
    /// There at all (`present_match: true`).
    Present,
    /// Not there (`present_match: false`).
    Absent,
    /// An integer in `start..end`.
    Range(std::ops::Range<i64>),
    /// A string.
    String(StringMatcher),
}

/// The parts of a request that matchers look at.
#[derive(Debug, Clone, Copy)]
pub struct RequestView<'a> {
    /// The method.
    pub method: &'a str,
    /// The scheme, `http` or `https`.
    pub scheme: &'a str,
    /// The authority.
    pub authority: &'a str,
    /// The path with its query.
    pub path_and_query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl HeaderMatcher {
    /// Whether the request has the header as asked. A header that is missing matches neither a value test
    /// nor its inversion (unless treated as empty), as in Envoy.
    pub fn matches(&self, request: &RequestView<'_>) -> bool {
        let value: Option<&[u8]> = match &self.name {
            HeaderField::Authority => Some(request.authority.as_bytes()),
            HeaderField::Method => Some(request.method.as_bytes()),
            HeaderField::Path => Some(request.path_and_query.as_bytes()),
            HeaderField::Scheme => Some(request.scheme.as_bytes()),
            HeaderField::Name(name) => {
                let mut values = request.headers.get_all(name).iter();
                let first = values.next().map(http::HeaderValue::as_bytes);
                // One more line than the first suffices, too.
                if values.any(|value| self.test.holds(value.as_bytes())) {
                    return !self.invert;
                }
                first
            }
        };
        let found = match (&self.test, value) {
            (HeaderTest::Present, value) => value.is_some() || self.treat_missing_as_empty,
            (HeaderTest::Absent, value) => value.is_none() && !self.treat_missing_as_empty,
            (_, None) if !self.treat_missing_as_empty => return false,
            (test, value) => test.holds(value.unwrap_or_default()),
        };
        found != self.invert
    }
}

impl HeaderTest {
    fn holds(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Absent => false,
            Self::Range(range) => std::str::from_utf8(value)
                .ok()
                .and_then(|text| text.parse().ok())
                .is_some_and(|number| range.contains(&number)),
            Self::String(matcher) => matcher.matches(value),
        }
    }
}

/// `route.v3.QueryParameterMatcher`.
#[derive(Debug, Clone)]
pub struct QueryMatcher {
    /// The parameter's name; the first parameter of that name counts.
    pub name: Box<str>,
    /// What its value must be; `None`: it need only be there.
    pub value: Option<StringMatcher>,
    /// `present_match: false`: it must be absent.
    pub absent: bool,
}

impl QueryMatcher {
    /// Whether `query` (without `?`) has the parameter as asked.
    pub fn matches(&self, query: &str) -> bool {
        let found = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(name, _)| *name == &*self.name);
        match (found, &self.value) {
            (None, _) => self.absent,
            (Some(_), None) => !self.absent,
            (Some((_, value)), Some(matcher)) => matcher.matches(value.as_bytes()),
        }
    }
}

/// A metadata value at a path must match (`type.matcher.v3.MetadataMatcher`).
#[derive(Debug, Clone)]
pub struct MetadataMatcher {
    /// The namespace (`filter`).
    pub namespace: Box<str>,
    /// Keys down to the value.
    pub path: Vec<Box<str>>,
    /// What the value must be.
    pub value: ValueMatcher,
    /// The result is turned round.
    pub invert: bool,
}

impl MetadataMatcher {
    /// Whether the metadata has the value as asked; a value that is missing matches nothing but
    /// [`ValueMatcher::Present`]`(false)`.
    pub fn matches(&self, metadata: &DynamicMetadata) -> bool {
        let found = match metadata.get(&self.namespace, &self.path) {
            Some(value) => self.value.matches(value),
            None => matches!(self.value, ValueMatcher::Present(false)),
        };
        found != self.invert
    }
}

/// `type.matcher.v3.ValueMatcher`.
#[derive(Debug, Clone)]
pub enum ValueMatcher {
    /// This boolean.
    Bool(bool),
    /// This number exactly.
    Double(f64),
    /// A list one of whose elements matches.
    ListContains(Box<Self>),
    /// Null.
    Null,
    /// One of these.
    Or(Vec<Self>),
    /// There (`true`) or not.
    Present(bool),
    /// A number in `start..end`.
    DoubleRange(std::ops::Range<f64>),
    /// A string.
    String(StringMatcher),
}

impl ValueMatcher {
    /// Whether `value` is as asked.
    pub fn matches(&self, value: &MetadataValue) -> bool {
        match (self, value) {
            (Self::Bool(want), MetadataValue::Bool(found)) => want == found,
            #[expect(clippy::float_cmp, reason = "the exact value is what was asked for")]
            (Self::Double(want), MetadataValue::Number(found)) => want == found,
            (Self::DoubleRange(range), MetadataValue::Number(found)) => range.contains(found),
            (Self::ListContains(one), MetadataValue::List(items)) => {
                items.iter().any(|item| one.matches(item))
            }
            (Self::Null, MetadataValue::Null) => true,
            (Self::Or(any), _) => any.iter().any(|one| one.matches(value)),
            (Self::Present(want), _) => *want,
            (Self::String(matcher), MetadataValue::String(found)) => {
                matcher.matches(found.as_bytes())
            }
            _ => false,
        }
    }
}
