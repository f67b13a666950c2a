//! A strict reader and writer for the little DER that keys, signatures and certificates need.
//!
//! It borrows and never copies, so that secrets stay where their owner can wipe them. It takes one-byte tags and definite,
//! shortest lengths only (X.690 §10.1); everything else is an error. Nesting is the caller's, so there is no recursion.

use zeroize::Zeroizing;

/// The bytes are not the DER that the place calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid DER")]
pub(crate) struct Malformed;

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// The tag of `[n]` around a constructed value.
pub(crate) const fn context(n: u8) -> u8 {
    0xa0 | n
}

/// Reads one value after the other from a slice.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The contents of `bytes` when they are exactly one value with `tag`.
    pub(crate) fn whole(bytes: &'a [u8], tag: u8) -> Result<Self, Malformed> {
        let mut outer = Self::new(bytes);
        let inner = outer.nested(tag)?;
        outer.finish()?;
        Ok(inner)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next value, if there is one.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value: its tag and contents.
    pub(crate) fn any(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (&tag, rest) = self.rest.split_first().ok_or(Malformed)?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed);
        }
        let (&first, mut rest) = rest.split_first().ok_or(Malformed)?;
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            // Up to 4 bytes: nothing we read comes near 4 GiB.
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return Err(Malformed);
            }
            let (bytes, after) = rest.split_at(count);
            rest = after;
            let length = bytes.iter().fold(0_usize, |n, &b| (n << 8) | usize::from(b));
            if bytes[0] == 0 || length < 0x80 {
                return Err(Malformed);
            }
            length
        };
        if rest.len() < length {
            return Err(Malformed);
        }
        let (contents, rest) = rest.split_at(length);
        self.rest = rest;
        Ok((tag, contents))
    }

    /// The contents of the next value, which must have `tag`.
    pub(crate) fn value(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.any()? {
            (found, contents) if found == tag => Ok(contents),
            _ => Err(Malformed),
        }
    }

    /// The contents of the next value when it has `tag`; otherwise nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        if self.peek() == Some(tag) { self.value(tag).map(Some) } else { Ok(None) }
    }

    /// A reader of the contents of the next value, which must have `tag`.
    pub(crate) fn nested(&mut self, tag: u8) -> Result<Self, Malformed> {
        Ok(Self::new(self.value(tag)?))
    }

    /// The big-endian magnitude of the next INTEGER, which must not be negative; no leading zeros (zero itself is one byte).
    pub(crate) fn unsigned(&mut self) -> Result<&'a [u8], Malformed> {
        let bytes = self.value(INTEGER)?;
        match bytes {
            [] => Err(Malformed),
            [first, ..] if first & 0x80 != 0 => Err(Malformed),
            [0, second, ..] if second & 0x80 == 0 => Err(Malformed),
            [0, rest @ ..] if !rest.is_empty() => Ok(rest),
            _ => Ok(bytes),
        }
    }

    /// An INTEGER from 0 to `u32::MAX`.
    pub(crate) fn small(&mut self) -> Result<u32, Malformed> {
        let bytes = self.unsigned()?;
        if bytes.len() > 4 {
            return Err(Malformed);
        }
        Ok(bytes.iter().fold(0, |n, &b| (n << 8) | u32::from(b)))
    }

    /// An INTEGER below 2^256.
    pub(crate) fn u256(&mut self) -> Result<[u8; 32], Malformed> {
        let bytes = self.unsigned()?;
        let mut out = [0; 32];
        let start = 32_usize.checked_sub(bytes.len()).ok_or(Malformed)?;
        out[start..].copy_from_slice(bytes);
        Ok(out)
    }

    /// The bytes of a BIT STRING of whole bytes.
    pub(crate) fn bit_string(&mut self) -> Result<&'a [u8], Malformed> {
        match self.value(BIT_STRING)? {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(Malformed),
        }
    }

    /// Checks that nothing is left.
    pub(crate) const fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// One DER value of `tag` around the concatenation of `parts`. The buffer has its final size at once, so no copy of a secret
/// is left behind by growth.
pub(crate) fn value(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(length + 6));
    out.push(tag);
    if length < 0x80 {
        out.push(u8::try_from(length).expect("below 0x80: checked by the branch"));
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|&&b| b == 0).count();
        out.push(0x80 | u8::try_from(bytes.len() - skip).expect("at most 8"));
        out.extend_from_slice(&bytes[skip..]);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// An INTEGER of a big-endian magnitude.
pub(crate) fn unsigned(magnitude: &[u8]) -> Zeroizing<Vec<u8>> {
    let skip = magnitude.iter().take_while(|&&b| b == 0).count();
    match &magnitude[skip..] {
        [] => value(INTEGER, &[&[0]]),
        bytes if bytes[0] & 0x80 != 0 => value(INTEGER, &[&[0], bytes]),
        bytes => value(INTEGER, &[bytes]),
    }
}

/// A BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    value(BIT_STRING, &[&[0], bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_must_be_the_shortest() {
        assert_eq!(Reader::new(&[4, 1, 7]).value(OCTET_STRING), Ok(&[7][..]));
        assert_eq!(Reader::new(&[4, 0x81, 1, 7]).value(OCTET_STRING), Err(Malformed));
        assert_eq!(Reader::new(&[4, 0x80, 0, 0]).value(OCTET_STRING), Err(Malformed));
        assert_eq!(Reader::new(&[4, 2, 7]).value(OCTET_STRING), Err(Malformed));
        assert_eq!(Reader::new(&[0x1f, 1, 7]).any(), Err(Malformed));
    }

    #[test]
    fn integers_are_not_negative_and_have_no_padding() {
        assert_eq!(Reader::new(&[2, 1, 0]).unsigned(), Ok(&[0][..]));
        assert_eq!(Reader::new(&[2, 2, 0, 0x80]).unsigned(), Ok(&[0x80][..]));
        assert_eq!(Reader::new(&[2, 2, 0, 0x7f]).unsigned(), Err(Malformed));
        assert_eq!(Reader::new(&[2, 1, 0x80]).unsigned(), Err(Malformed));
        assert_eq!(Reader::new(&[2, 0]).unsigned(), Err(Malformed));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = vec![0xab; length];
            let der = value(OCTET_STRING, &[&bytes]);
            let mut reader = Reader::new(&der);
            assert_eq!(reader.value(OCTET_STRING), Ok(&bytes[..]));
            assert!(reader.is_empty());
        }
        for magnitude in [&[0, 0][..], &[1], &[0x80], &[0, 0xff, 3]] {
            let der = unsigned(magnitude);
            let read = Reader::new(&der).u256().expect("it is an INTEGER");
            assert_eq!(read[32 - magnitude.len()..], *magnitude);
        }
    }
}
