//! Reading of vectors with a length before them, and writing of them.

/// Bytes that are read from the front. All methods give `None` where bytes are missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u24(&mut self) -> Option<usize> {
        let [a, b, c] = self.array()?;
        Some(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A vector with one byte of length.
    pub(crate) fn vector_u8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A vector with two bytes of length.
    pub(crate) fn vector_u16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// A vector with three bytes of length.
    pub(crate) fn vector_u24(&mut self) -> Option<&'a [u8]> {
        let length = self.u24()?;
        self.take(length)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// `value`, unless bytes are left over.
    pub(crate) fn end<T>(&self, value: T) -> Option<T> {
        self.is_empty().then_some(value)
    }
}

/// Writes what `body` writes with its length before it. The caller keeps below 256 bytes.
pub(crate) fn prefixed_u8(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    prefixed::<1>(out, body);
}

/// Writes what `body` writes with its length before it. The caller keeps below 64 KiB.
pub(crate) fn prefixed_u16(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    prefixed::<2>(out, body);
}

/// Writes what `body` writes with its length before it. The caller keeps below 16 MiB.
pub(crate) fn prefixed_u24(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    prefixed::<3>(out, body);
}

fn prefixed<const N: usize>(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; N]);
    body(out);
    let length = (out.len() - at - N) as u64;
    debug_assert!(length >> (8 * N) == 0, "the vector is too long for its prefix");
    out[at..at + N].copy_from_slice(&length.to_be_bytes()[8 - N..]);
}
