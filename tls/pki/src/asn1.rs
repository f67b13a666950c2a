//! Writes DER (ITU-T X.690): just what certificates, lists of revoked ones and keys are made of.
//!
//! Values are built from the inside out, each function returning one whole element.

use der::DateTime;
use der::asn1::ObjectIdentifier;

/// An element of any tag.
pub(crate) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = contents.len();
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let used = bytes.len() - length.leading_zeros() as usize / 8;
        // A length has at most eight octets.
        #[expect(clippy::cast_possible_truncation, reason = "at most 8")]
        out.push(0x80 | used as u8);
        out.extend_from_slice(&bytes[bytes.len() - used..]);
    }
    out.extend_from_slice(contents);
    out
}

/// `SEQUENCE` of whole elements.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

/// `SET` of one element; more would have to be sorted.
pub(crate) fn set_of_one(part: &[u8]) -> Vec<u8> {
    element(0x31, part)
}

/// `INTEGER`, not negative, from big-endian octets.
pub(crate) fn integer(magnitude: &[u8]) -> Vec<u8> {
    let first = magnitude.iter().position(|octet| *octet != 0).unwrap_or(magnitude.len());
    let magnitude = &magnitude[first..];
    let mut contents = Vec::with_capacity(magnitude.len() + 1);
    if magnitude.first().is_none_or(|octet| octet & 0x80 != 0) {
        contents.push(0);
    }
    contents.extend_from_slice(magnitude);
    element(0x02, &contents)
}

/// `BOOLEAN TRUE`; DER leaves out what is false by default.
pub(crate) fn boolean_true() -> Vec<u8> {
    element(0x01, &[0xff])
}

/// `OBJECT IDENTIFIER`.
pub(crate) fn oid(id: ObjectIdentifier) -> Vec<u8> {
    element(0x06, id.as_bytes())
}

/// `OCTET STRING`.
pub(crate) fn octets(contents: &[u8]) -> Vec<u8> {
    element(0x04, contents)
}

/// `BIT STRING` of whole octets.
pub(crate) fn bits(contents: &[u8]) -> Vec<u8> {
    element(0x03, &[&[0], contents].concat())
}

/// `BIT STRING` of named bits: bit n of `named` is bit n of the standard. X.690 §11.2.2: without zeros at the end.
pub(crate) fn named_bits(named: u16) -> Vec<u8> {
    let reversed = named.reverse_bits();
    let [first, second] = reversed.to_be_bytes();
    let contents = match (first, second) {
        (0, 0) => vec![0],
        #[expect(clippy::cast_possible_truncation, reason = "at most 7")]
        (first, 0) => vec![first.trailing_zeros() as u8, first],
        #[expect(clippy::cast_possible_truncation, reason = "at most 7")]
        (first, second) => vec![second.trailing_zeros() as u8, first, second],
    };
    element(0x03, &contents)
}

/// `UTF8String`.
pub(crate) fn utf8(text: &str) -> Vec<u8> {
    element(0x0c, text.as_bytes())
}

/// An element inside `[number]`.
pub(crate) fn explicit(number: u8, part: &[u8]) -> Vec<u8> {
    element(0xa0 | number, part)
}

/// Contents under `[number]`, not constructed.
pub(crate) fn implicit(number: u8, contents: &[u8]) -> Vec<u8> {
    element(0x80 | number, contents)
}

/// `Time`, RFC 5280 §4.1.2.5: two digits of the year until 2049, four from then on.
pub(crate) fn time(at: DateTime) -> Vec<u8> {
    let (year, month, day) = (at.year(), at.month(), at.day());
    let clock = format!("{:02}{:02}{:02}Z", at.hour(), at.minutes(), at.seconds());
    if year < 2050 {
        element(0x17, format!("{:02}{month:02}{day:02}{clock}", year % 100).as_bytes())
    } else {
        element(0x18, format!("{year:04}{month:02}{day:02}{clock}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_fewest_octets() {
        assert_eq!(element(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(element(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(4, &[7; 256])[..4], [4, 0x82, 1, 0]);
    }

    #[test]
    fn integers_are_positive_and_short() {
        assert_eq!(integer(&[]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0, 5]), [2, 1, 5]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
    }

    #[test]
    fn named_bits_end_in_a_one() {
        assert_eq!(named_bits(1), [3, 2, 7, 0x80]);
        assert_eq!(named_bits(0b11_0000), [3, 2, 2, 0x0c]);
        assert_eq!(named_bits(1 << 8), [3, 3, 7, 0, 0x80]);
        assert_eq!(named_bits(0), [3, 1, 0]);
    }

    #[test]
    fn years_from_2050_have_four_digits() {
        let at = |year| time(DateTime::new(year, 2, 3, 4, 5, 6).unwrap());
        assert_eq!(at(2049), element(0x17, b"490203040506Z"));
        assert_eq!(at(2050), element(0x18, b"20500203040506Z"));
    }
}
