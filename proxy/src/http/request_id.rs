//! `x-request-id`: a random UUID (version 4).

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use crate::worker::Rng;

/// The header.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes sure that the request has an id: one from outside is replaced when `replace` says so.
pub(crate) fn ensure(headers: &mut HeaderMap, replace: bool, rng: &Rng) -> Option<HeaderValue> {
    if !replace && let Some(id) = headers.get(X_REQUEST_ID) {
        return Some(id.clone());
    }
    let id = HeaderValue::from_maybe_shared(bytes::Bytes::copy_from_slice(&uuid(rng))).ok()?;
    headers.insert(X_REQUEST_ID, id.clone());
    Some(id)
}

/// A version 4 UUID in text form (RFC 9562 §5.4).
fn uuid(rng: &Rng) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bits = (u128::from(rng.next()) << 64) | u128::from(rng.next());
    bits = bits & !(0xf << 76) | 0x4 << 76;
    bits = bits & !(0x3 << 62) | 0x2 << 62;
    let mut text = [b'-'; 36];
    let mut shift = 128;
    for (i, place) in text.iter_mut().enumerate() {
        if !matches!(i, 8 | 13 | 18 | 23) {
            shift -= 4;
            *place = HEX[((bits >> shift) & 0xf) as usize];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_the_form_of_a_random_uuid() {
        let text = String::from_utf8(uuid(&Rng::seeded(7)).to_vec()).unwrap();
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&text.as_bytes()[19]));
    }

    #[test]
    fn an_id_from_the_client_is_kept_unless_it_is_to_be_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("mine"));
        assert_eq!(ensure(&mut headers, false, &Rng::seeded(1)).unwrap(), "mine");
        assert_ne!(ensure(&mut headers, true, &Rng::seeded(1)).unwrap(), "mine");
    }
}
