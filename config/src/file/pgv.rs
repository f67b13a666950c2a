//! The rules that Envoy's API states for its fields (`validate.rules`), checked on values.
//!
//! Trap: a rule on a scalar holds for its zero too, so an absent `string` with `min_len: 1` is a
//! fault; but a rule on a member of a oneof or on a wrapper only holds when it is set.

use std::net::IpAddr;

use palanquin_proto::schema::{Field, Kind, Label, Rule};

/// Checks that a field may be left out; for fields outside of oneofs.
pub(crate) fn check_absent(field: &'static Field) -> Result<(), String> {
    let rules = field.rules();
    let empty = match (field.label(), field.kind()) {
        _ if rules.contains(&Rule::Required) => return Err("is missing".to_owned()),
        (Label::Map | Label::Repeated, _) => check_count(rules, 0),
        (Label::Optional, _) | (_, Kind::Message(_)) => Ok(()),
        (_, Kind::String) => check_text(rules, ""),
        (_, Kind::Bytes) => check_bytes(rules, 0),
        _ => check_number(rules, 0.0),
    };
    empty.map_err(|_| "is missing".to_owned())
}

/// Checks the length of a list or the number of entries of a map.
pub(crate) fn check_count(rules: &[Rule], count: usize) -> Result<(), String> {
    let ignore_empty = count == 0 && rules.contains(&Rule::IgnoreEmpty);
    let count = count as u64;
    for rule in rules.iter().filter(|_| !ignore_empty) {
        match *rule {
            Rule::MinItems(limit) | Rule::MinPairs(limit) if count < limit => {
                return Err(format!("needs at least {limit} item(s), has {count}"));
            }
            Rule::MaxItems(limit) | Rule::MaxPairs(limit) if count > limit => {
                return Err(format!("takes at most {limit} item(s), has {count}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks the length of bytes.
pub(crate) fn check_bytes(rules: &[Rule], length: usize) -> Result<(), String> {
    let length = length as u64;
    for rule in rules {
        match *rule {
            Rule::MinLen(limit) | Rule::MinBytes(limit) if length < limit => {
                return Err(at_least(limit, "byte"));
            }
            Rule::MaxLen(limit) | Rule::MaxBytes(limit) if length > limit => {
                return Err(format!("has {length} bytes, the limit is {limit}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks a number, a duration in seconds, an enum or a boolean.
pub(crate) fn check_number(rules: &[Rule], value: f64) -> Result<(), String> {
    let is_one_of = |numbers: &[i64]| {
        #[expect(clippy::cast_precision_loss, clippy::float_cmp, reason = "small whole numbers")]
        numbers.iter().any(|number| *number as f64 == value)
    };
    for rule in rules {
        let fault = match *rule {
            Rule::Gt(limit) if value <= limit => format!("must be greater than {limit}"),
            Rule::Gte(limit) if value < limit => format!("must be at least {limit}"),
            Rule::Lt(limit) if value >= limit => format!("must be less than {limit}"),
            Rule::Lte(limit) if value > limit => format!("must be at most {limit}"),
            Rule::InNumbers(numbers) if !is_one_of(numbers) => {
                format!("must be one of {numbers:?}")
            }
            Rule::NotInNumbers(numbers) if is_one_of(numbers) => {
                format!("must not be one of {numbers:?}")
            }
            _ => continue,
        };
        return Err(format!("{fault}, found {value}"));
    }
    Ok(())
}

/// Checks a string.
pub(crate) fn check_text(rules: &[Rule], text: &str) -> Result<(), String> {
    if text.is_empty() && rules.contains(&Rule::IgnoreEmpty) {
        return Ok(());
    }
    for rule in rules {
        text_rule(rule, text)?;
    }
    Ok(())
}

fn text_rule(rule: &Rule, text: &str) -> Result<(), String> {
    let characters = || text.chars().count() as u64;
    let bytes = text.len() as u64;
    let fault = match *rule {
        Rule::MinLen(limit) if characters() < limit => at_least(limit, "character"),
        Rule::MinBytes(limit) if bytes < limit => at_least(limit, "byte"),
        Rule::MaxLen(limit) if characters() > limit => {
            format!("has {} characters, the limit is {limit}", characters())
        }
        Rule::MaxBytes(limit) if bytes > limit => {
            format!("has {bytes} bytes, the limit is {limit}")
        }
        Rule::InStrings(texts) if !texts.contains(&text) => format!("must be one of {texts:?}"),
        Rule::NotInStrings(texts) if texts.contains(&text) => {
            format!("must not be one of {texts:?}")
        }
        Rule::Prefix(prefix) if !text.starts_with(prefix) => {
            format!("must begin with {prefix:?}")
        }
        Rule::Suffix(suffix) if !text.ends_with(suffix) => format!("must end with {suffix:?}"),
        Rule::Pattern(pattern) if !matches(pattern, text) => format!("must match {pattern}"),
        Rule::HeaderName(strict) if !is_header_name(text, strict) => {
            "is not an HTTP header name".to_owned()
        }
        Rule::HeaderValue(strict) if !is_header_value(text, strict) => {
            "is not an HTTP header value".to_owned()
        }
        Rule::Ip if text.parse::<IpAddr>().is_err() => "is not an IP address".to_owned(),
        Rule::Hostname if !is_hostname(text) => "is not a host name".to_owned(),
        Rule::Address if text.parse::<IpAddr>().is_err() && !is_hostname(text) => {
            "is neither an IP address nor a host name".to_owned()
        }
        Rule::Uri if !is_uri(text) => "is not an absolute URI".to_owned(),
        Rule::UriRef if text.contains([' ', '\n', '\r', '\t']) => "is not a URI".to_owned(),
        _ => return Ok(()),
    };
    Err(fault)
}

fn at_least(limit: u64, unit: &str) -> String {
    match limit {
        1 => "must not be empty".to_owned(),
        _ => format!("needs at least {limit} {unit}s"),
    }
}

/// The patterns are the API's own; one that this engine refuses checks nothing.
fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).map_or(true, |pattern| pattern.is_match(text))
}

fn is_header_name(text: &str, strict: bool) -> bool {
    if !strict {
        return !text.contains(['\0', '\n', '\r']);
    }
    // RFC 9110 §5.6.2 token, and HTTP/2's pseudo headers.
    let name = text.strip_prefix(':').unwrap_or(text);
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

fn is_header_value(text: &str, strict: bool) -> bool {
    if !strict {
        return !text.contains(['\0', '\n', '\r']);
    }
    text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// RFC 1034 §3.5, with a digit allowed first (RFC 1123 §2.1).
fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !rest.contains([' ', '\n', '\r', '\t'])
    })
}

#[cfg(test)]
mod tests {
    use palanquin_proto::schema::Rule;

    use super::{check_count, check_number, check_text};

    #[test]
    fn limits_are_inclusive_or_not_as_named() {
        assert!(check_number(&[Rule::Lte(5.0)], 5.0).is_ok());
        assert!(check_number(&[Rule::Lt(5.0)], 5.0).is_err());
        assert!(check_number(&[Rule::Gt(0.0)], 0.0).is_err());
        assert!(check_number(&[Rule::Gte(0.0)], 0.0).is_ok());
    }

    #[test]
    fn ignore_empty_excuses_only_the_empty_value() {
        let rules = [Rule::IgnoreEmpty, Rule::MinLen(3)];
        assert!(check_text(&rules, "").is_ok());
        assert!(check_text(&rules, "ab").is_err());
        assert!(check_count(&[Rule::IgnoreEmpty, Rule::MinItems(1)], 0).is_ok());
    }

    #[test]
    fn header_names_may_be_pseudo_headers_but_hold_no_spaces() {
        let rules = [Rule::HeaderName(true)];
        assert!(check_text(&rules, ":path").is_ok());
        assert!(check_text(&rules, "x-a b").is_err());
        assert!(check_text(&rules, "").is_err());
        assert!(check_text(&[Rule::HeaderValue(false)], "a\nb").is_err());
    }

    #[test]
    fn uris_and_host_names_are_told_from_other_text() {
        assert!(check_text(&[Rule::Uri], "spiffe://a/b").is_ok());
        assert!(check_text(&[Rule::Uri], "no uri").is_err());
        assert!(check_text(&[Rule::Hostname], "a-1.example.").is_ok());
        assert!(check_text(&[Rule::Hostname], "-a.example").is_err());
    }
}
