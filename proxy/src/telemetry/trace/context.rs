//! W3C Trace Context, Level 1: reading and writing `traceparent` and `tracestate`.
//!
//! Parsing allocates nothing. A `traceparent` that is not valid, or comes twice, begins a new trace and
//! takes the `tracestate` with it; an invalid `tracestate` is dropped alone (§3.2.3, §3.3.1.5).

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

/// `traceparent`
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// §3.3.1.1: a list of at most 32 members.
const MAX_MEMBERS: usize = 32;
/// §3.3.1.5: at least so many bytes are propagated; more is cut.
const MAX_STATE: usize = 512;
/// §3.3.1.5: members longer than this go first.
const LONG_MEMBER: usize = 128;

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ParentContext {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) sampled: bool,
}

impl ParentContext {
    /// The request's parent, if it has a valid one.
    pub(crate) fn extract(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let (only, None) = (values.next()?, values.next()) else { return None };
        Self::parse(only.as_bytes().trim_ascii())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(55)?;
        let [version, trace_id, span_id, flags] = fields(known)?;
        let version = hex::<1>(version)?[0];
        let rest_is_valid = match version {
            0 => rest.is_empty(),
            0xff => false,
            // A later version may append fields, each after a dash.
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let trace_id = hex::<16>(trace_id)?;
        let span_id = hex::<8>(span_id)?;
        let flags = hex::<1>(flags)?[0];
        let valid = rest_is_valid && trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

/// The value of a `traceparent` of ours.
pub(crate) fn traceparent(trace_id: [u8; 16], span_id: [u8; 8], sampled: bool) -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&trace_id, &mut text[3..35]);
    write_hex(&span_id, &mut text[36..52]);
    text[54] = b'0' + u8::from(sampled);
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Makes the request's `tracestate` one valid header, or removes it. One that is valid stays as it came.
pub(crate) fn normalize_tracestate(headers: &mut HeaderMap) {
    let mut values = headers.get_all(TRACESTATE).iter();
    let Some(first) = values.next() else { return };
    if values.next().is_none() && is_plain(first.as_bytes()) {
        return;
    }
    let combined = combine(headers);
    match combined.and_then(|text| HeaderValue::from_bytes(&text).ok()) {
        Some(value) => {
            headers.insert(TRACESTATE, value);
        }
        None => {
            headers.remove(TRACESTATE);
        }
    }
}

/// One value that needs no change: valid, short, without empty members and spaces around them.
fn is_plain(value: &[u8]) -> bool {
    value.len() <= MAX_STATE
        && value.split(|byte| *byte == b',').count() <= MAX_MEMBERS
        && value
            .split(|byte| *byte == b',')
            .all(|member| member.len() == member.trim_ascii().len() && is_member(member))
}

/// The members of all `tracestate` headers in order; `None` when there is none, or one is invalid.
fn combine(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut members = Vec::new();
    for value in headers.get_all(TRACESTATE) {
        for member in value.as_bytes().split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            if member.is_empty() {
                continue;
            }
            if !is_member(member) || members.len() == MAX_MEMBERS {
                return None;
            }
            members.push(member);
        }
    }
    let size = |members: &[&[u8]]| members.iter().map(|member| member.len() + 1).sum::<usize>();
    while size(&members) > MAX_STATE + 1 {
        let long = members.iter().rposition(|member| member.len() > LONG_MEMBER);
        members.remove(long.unwrap_or(members.len() - 1));
    }
    Some(members.join(&b","[..])).filter(|joined| !joined.is_empty())
}

/// `key=value` (§3.3.1.3). Keys may begin with a digit, as Level 2 allows.
fn is_member(member: &[u8]) -> bool {
    let Some(at) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..at], &member[at + 1..]);
    let value_is_valid = matches!(value.len(), 1..=256)
        && value.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
        && value.last() != Some(&b' ');
    value_is_valid && is_key(key)
}

fn is_key(key: &[u8]) -> bool {
    let part = |text: &[u8], longest: usize| {
        (1..=longest).contains(&text.len())
            && (text[0].is_ascii_lowercase() || text[0].is_ascii_digit())
            && text.iter().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'_' | b'-' | b'*' | b'/')
            })
    };
    match key.iter().position(|byte| *byte == b'@') {
        None => part(key, 256),
        Some(at) => part(&key[..at], 241) && part(&key[at + 1..], 14),
    }
}

/// Splits at dashes: 2, 32, 16 and 2 digits.
fn fields(text: &[u8]) -> Option<[&[u8]; 4]> {
    let dashes = [2, 35, 52].iter().all(|at| text.get(*at) == Some(&b'-'));
    dashes.then_some([&text[..2], &text[3..35], &text[36..52], &text[53..]])
}

/// Lower-case hexadecimal digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_traceparent_is_read_and_written() {
        let parent = ParentContext::extract(&headers("traceparent", &[GOOD])).unwrap();
        assert!(parent.sampled);
        assert_eq!(traceparent(parent.trace_id, parent.span_id, true), GOOD);
        let unsampled = format!("{}00", &GOOD[..53]);
        assert_eq!(traceparent(parent.trace_id, parent.span_id, false), unsampled);
        let flags = format!("{}fe", &GOOD[..53]);
        assert!(!ParentContext::extract(&headers("traceparent", &[&flags])).unwrap().sampled);
    }

    #[test]
    fn what_is_no_traceparent_begins_a_new_trace() {
        // After the cases of the W3C harness: version, length, digits, zeroes.
        let later = GOOD.replacen("00", "cc", 1);
        for good in [GOOD.to_owned(), later.clone(), format!("{later}-what"), format!(" {GOOD}\t")]
        {
            assert!(ParentContext::extract(&headers("traceparent", &[&good])).is_some(), "{good}");
        }
        for bad in [
            String::new(),
            format!("{GOOD}.what"),
            format!("{GOOD}-what"),
            format!("{GOOD}-"),
            format!("{later}.what"),
            GOOD.replacen("00", "ff", 1),
            GOOD.replacen("00", "0", 1),
            GOOD.replacen("00", ".0", 1),
            GOOD.replacen("00", "000", 1),
            GOOD.to_uppercase(),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            GOOD.replace("0af7651916cd43dd8448eb211c80319c", ".af7651916cd43dd8448eb211c80319c"),
            GOOD.replace("0af7", "af7"),
            GOOD.replace("0af7", "00af7"),
            GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            GOOD.replace("b7ad6b7169203331", "b7ad6b716920333"),
            GOOD.replace("b7ad6b7169203331", ".7ad6b7169203331"),
            GOOD.replace("-01", "-.0"),
            GOOD.replace("-01", "-0"),
            GOOD.replace("-01", "-001"),
            GOOD.replace('-', "_"),
        ] {
            assert!(ParentContext::extract(&headers("traceparent", &[&bad])).is_none(), "{bad}");
        }
        assert!(ParentContext::extract(&headers("traceparent", &[GOOD, GOOD])).is_none());
    }

    fn state(values: &[&str]) -> Option<String> {
        let mut headers = headers("tracestate", values);
        normalize_tracestate(&mut headers);
        let mut left = headers.get_all("tracestate").iter();
        let only = left.next().map(|value| value.to_str().unwrap().to_owned());
        assert!(left.next().is_none());
        only
    }

    #[test]
    fn tracestates_are_combined_in_order() {
        assert_eq!(state(&["foo=1,bar=2"]).unwrap(), "foo=1,bar=2");
        assert_eq!(state(&["foo=1", "bar=2", "baz=3"]).unwrap(), "foo=1,bar=2,baz=3");
        assert_eq!(state(&["foo=1", ""]).unwrap(), "foo=1");
        assert_eq!(state(&["foo=1 \t , \t bar=2, \t baz=3"]).unwrap(), "foo=1,bar=2,baz=3");
        assert_eq!(state(&["foo=1\t \t,\t \tbar=2,\t \tbaz=3"]).unwrap(), "foo=1,bar=2,baz=3");
        assert_eq!(state(&["foo=1,foo=1"]).unwrap(), "foo=1,foo=1");
        assert_eq!(state(&["", ","]), None);
        assert_eq!(state(&[]), None);
    }

    #[test]
    fn an_invalid_member_drops_the_tracestate() {
        for bad in [
            "foo",
            "foo=",
            "=1",
            "foo =1",
            "FOO=1",
            "foo.bar=1",
            "foo=bar=baz",
            "foo@=1",
            "@foo=1",
            "foo@@bar=1",
            "foo@bar@baz=1",
            "foo=1,bar",
            "foo=\u{e9}",
        ] {
            assert_eq!(state(&[bad]), None, "{bad}");
            assert_eq!(state(&["good=1", bad]), None, "{bad}");
        }
        for good in [
            "abcdefghijklmnopqrstuvwxyz0123456789_-*/=1",
            "0af7@x=1",
            "foo@bar=1",
            "a=!\"#$%&'()*+-./0:;<>?@A[\\]^_`a{|}~ b",
        ] {
            assert_eq!(state(&[good]).as_deref(), Some(good));
        }
    }

    #[test]
    fn limits_of_the_tracestate_hold() {
        let members =
            |count: usize| (0..count).map(|i| format!("bar{i:02}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(state(&[&members(32)]), Some(members(32)));
        assert_eq!(state(&[&members(33)]), None);
        let key = |length| format!("{}=1", "z".repeat(length));
        assert_eq!(state(&["foo=1", &key(256)]), Some(format!("foo=1,{}", key(256))));
        assert_eq!(state(&["foo=1", &key(257)]), None);
        let tenant = |a, b| format!("{}@{}=1", "t".repeat(a), "v".repeat(b));
        assert!(state(&[&tenant(241, 14)]).is_some());
        assert_eq!(state(&[&tenant(242, 14)]), None);
        assert_eq!(state(&[&tenant(241, 15)]), None);
        let value = |length| format!("v={}", "x".repeat(length));
        assert!(state(&[&value(256)]).is_some());
        assert_eq!(state(&[&value(257)]), None);
        // 600 bytes: the long one goes first, short ones stay.
        let long = [members(30), value(250), value(200)].join(",");
        assert_eq!(state(&[&long]).unwrap(), [members(30), value(250)].join(","));
    }
}
