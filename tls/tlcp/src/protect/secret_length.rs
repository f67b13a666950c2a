//! HMAC-SM3 of a message whose end is secret: the steps depend on the bounds of its length only.

use palanquin_sm::sm3::HmacSm3;

use super::mask;

/// The MAC of `header` and the first `length` bytes of `data`, where `length` is secret, at least `least` and at
/// most `data.len()`.
pub(super) fn hmac(
    keyed: &HmacSm3,
    header: &[u8],
    data: &[u8],
    least: usize,
    length: u32,
) -> [u8; 32] {
    let (start, rest) = data.split_at(least);
    let mut mac = keyed.clone();
    mac.update(header);
    mac.update(start);
    let mut found = [0; 32];
    for at in least..=data.len() {
        let here = mask::equal(at as u32, length);
        for (byte, candidate) in found.iter_mut().zip(mac.clone().finalize()) {
            *byte = mask::select_byte(here, candidate, *byte);
        }
        if let Some(next) = rest.get(at - least) {
            mac.update(&[*next]);
        }
    }
    found
}
