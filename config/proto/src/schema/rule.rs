//! What a field's value must satisfy: the part of `validate.rules` that Envoy's API uses.

/// One constraint. Several on one field must all hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// A string that is an IP address or a host name.
    Address,
    /// The enum number must be a declared one.
    DefinedOnly,
    /// Strictly greater; durations in seconds.
    Gt(f64),
    /// Greater or equal; durations in seconds.
    Gte(f64),
    /// A string that is an HTTP header name; the strict form allows token characters only, the
    /// other forbids NUL, CR and LF.
    HeaderName(bool),
    /// A string that is an HTTP header value; strict forbids control characters.
    HeaderValue(bool),
    /// A string that is a host name.
    Hostname,
    /// The empty value is fine whatever the other rules say.
    IgnoreEmpty,
    /// One of these numbers (enums and integers).
    InNumbers(&'static [i64]),
    /// One of these strings.
    InStrings(&'static [&'static str]),
    /// A string that is an IP address.
    Ip,
    /// Rules for each item of a list.
    Items(&'static [Self]),
    /// Rules for each key of a map.
    Keys(&'static [Self]),
    /// Strictly less; durations in seconds.
    Lt(f64),
    /// Less or equal; durations in seconds.
    Lte(f64),
    /// At most so many bytes.
    MaxBytes(u64),
    /// At most so many items.
    MaxItems(u64),
    /// At most so many characters.
    MaxLen(u64),
    /// At most so many entries.
    MaxPairs(u64),
    /// At least so many bytes.
    MinBytes(u64),
    /// At least so many items.
    MinItems(u64),
    /// At least so many characters.
    MinLen(u64),
    /// At least so many entries.
    MinPairs(u64),
    /// None of these numbers.
    NotInNumbers(&'static [i64]),
    /// None of these strings.
    NotInStrings(&'static [&'static str]),
    /// A string that matches this regular expression (RE2).
    Pattern(&'static str),
    /// A string that begins so.
    Prefix(&'static str),
    /// The field must be set.
    Required,
    /// A string that ends so.
    Suffix(&'static str),
    /// No item twice.
    Unique,
    /// A string that is an absolute URI.
    Uri,
    /// A string that is a URI or a relative reference.
    UriRef,
    /// Rules for each value of a map.
    Values(&'static [Self]),
}
