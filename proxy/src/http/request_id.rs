//! `x-request-id`: a random UUID (version 4), and what Envoy reads in one.
//!
//! Envoy's `UuidRequestIdConfig`: the first eight digits of an id decide by chance whether its request is
//! traced, so that every proxy on the way decides alike; digit 14, the UUID's version, then says that it is
//! and why. Both are read from any id of the right length, whoever made it.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::worker::Rng;

/// The header.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What becomes of an id that came with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// It came from within, and is kept.
    Keep,
    /// It came from outside and is kept, but may not ask for a trace.
    KeepUntraced,
    /// It came from outside, and is replaced.
    Replace,
}

/// Why a request is traced, as an id tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceReason {
    /// It is not.
    None,
    /// By chance.
    Sampled,
    /// The client asked (`x-client-trace-id`).
    Client,
    /// A service asked (`x-envoy-force-trace`).
    Forced,
}

/// Makes sure that the request has an id.
pub(crate) fn ensure(headers: &mut HeaderMap, given: Given, rng: &Rng) -> Option<HeaderValue> {
    match headers.get(X_REQUEST_ID).filter(|id| !id.is_empty()) {
        Some(id) if given == Given::Keep => return Some(id.clone()),
        Some(id) if given == Given::KeepUntraced => {
            let (id, reason) = (id.clone(), trace_reason(id));
            if reason == TraceReason::None {
                return Some(id);
            }
            return set_trace_reason(headers, TraceReason::None).or(Some(id));
        }
        _ => {}
    }
    let id = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&uuid(rng))).ok()?;
    headers.insert(X_REQUEST_ID, id.clone());
    Some(id)
}

/// The number below 10,000 by which a request with this id is sampled; `None`: the id tells none.
pub(crate) fn sampling_number(id: &HeaderValue) -> Option<u32> {
    let digits = std::str::from_utf8(id.as_bytes().get(..8)?).ok()?;
    u32::from_str_radix(digits, 16).ok().map(|number| number % 10_000)
}

/// What an id says about tracing.
pub(crate) fn trace_reason(id: &HeaderValue) -> TraceReason {
    match id.as_bytes() {
        id if id.len() != LENGTH => TraceReason::None,
        id => match id[REASON] {
            b'9' => TraceReason::Sampled,
            b'a' => TraceReason::Forced,
            b'b' => TraceReason::Client,
            _ => TraceReason::None,
        },
    }
}

/// Writes into the request's id why it is traced. Returns the new id; `None`: an id of another form is
/// left as it is.
pub(crate) fn set_trace_reason(
    headers: &mut HeaderMap,
    reason: TraceReason,
) -> Option<HeaderValue> {
    let id = headers.get_mut(X_REQUEST_ID)?;
    let mut text: [u8; LENGTH] = id.as_bytes().try_into().ok()?;
    text[REASON] = match reason {
        TraceReason::None => b'4',
        TraceReason::Sampled => b'9',
        TraceReason::Client => b'b',
        TraceReason::Forced => b'a',
    };
    *id = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text)).ok()?;
    Some(id.clone())
}

/// A version 4 UUID in text form (RFC 9562 section 5.4).
fn uuid(rng: &Rng) -> [u8; LENGTH] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bits = (u128::from(rng.next()) << 64) | u128::from(rng.next());
    bits = bits & !(0xf << 76) | 0x4 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let mut text = [b'-'; LENGTH];
    let mut at = 0;
    for (i, byte) in bits.to_be_bytes().into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// Of a UUID in text form.
const LENGTH: usize = 36;

/// Where an id tells why it is traced: the version of the UUID.
const REASON: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    fn with(id: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_static(id))])
    }

    const SAMPLED: &str = "0000270f-1111-9222-8333-444444444444";

    #[test]
    fn an_id_has_the_form_of_a_random_uuid() {
        let text = String::from_utf8(uuid(&Rng::seeded(7)).to_vec()).unwrap();
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&text.as_bytes()[19]));
    }

    #[test]
    fn an_id_that_came_is_kept_or_replaced_or_kept_without_its_wish_to_be_traced() {
        let ensure = |given, id| ensure(&mut with(id), given, &Rng::seeded(1)).unwrap();
        assert_eq!(ensure(Given::Keep, "mine"), "mine");
        assert_eq!(ensure(Given::Keep, SAMPLED), SAMPLED);
        assert_eq!(ensure(Given::KeepUntraced, SAMPLED), "0000270f-1111-4222-8333-444444444444");
        assert_eq!(ensure(Given::KeepUntraced, "mine"), "mine");
        assert_ne!(ensure(Given::Replace, "mine"), "mine");
        assert_eq!(ensure(Given::Keep, "").len(), 36);
    }

    #[test]
    fn an_id_tells_its_number_and_its_reason() {
        let value = HeaderValue::from_static;
        assert_eq!(sampling_number(&value(SAMPLED)), Some(9999));
        assert_eq!(sampling_number(&value("0000270")), None);
        assert_eq!(sampling_number(&value("hello, world")), None);
        assert_eq!(trace_reason(&value(SAMPLED)), TraceReason::Sampled);
        assert_eq!(trace_reason(&value("0000270f-1111-92")), TraceReason::None);
        let mut headers = with(SAMPLED);
        let id = set_trace_reason(&mut headers, TraceReason::Forced).unwrap();
        assert_eq!(trace_reason(&id), TraceReason::Forced);
        assert_eq!(set_trace_reason(&mut with("mine"), TraceReason::Forced), None);
    }
}
