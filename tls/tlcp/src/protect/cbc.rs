//! Records with SM4-CBC and HMAC-SM3: first the MAC, then the padding, then the encryption.
//!
//! Who can change records and watch the clock must not learn where the padding ends (Vaudenay 2002, Lucky
//! Thirteen 2013). So opening does the same steps for all records of one length, whatever is in them: neither a
//! branch nor an address depends on the padding, and the hash runs over the same number of blocks. Only the
//! end, good or bad, is told.

use std::fmt;
use std::ops::Range;

use aws_lc_rs::rand;
use palanquin_sm::sm3::HmacSm3;
use palanquin_sm::sm4::Sm4Cbc;

use super::DirectionKeys;
use super::Sequence;
use super::authenticated;
use super::mask;
use crate::codec::ContentType;
use crate::error::Error;

pub(super) const BLOCK: usize = 16;
pub(super) const MAC: usize = 32;
/// The same as a number of [`mask`].
const MAC_NUMBER: u32 = 32;
/// The most that padding takes: 255 bytes and the byte that says so.
const MAX_PADDING: usize = 256;
/// The same as a number of [`mask`].
const MAX_PADDING_NUMBER: u32 = 256;

pub(crate) struct CbcSealer {
    pub(super) cipher: Sm4Cbc,
    /// Knows the key; cloned for each record.
    pub(super) mac: HmacSm3,
    pub(super) sequence: Sequence,
}

pub(crate) struct CbcOpener {
    cipher: Sm4Cbc,
    mac: HmacSm3,
    sequence: Sequence,
}

impl CbcSealer {
    pub(super) fn new(keys: &DirectionKeys) -> Self {
        Self {
            cipher: Sm4Cbc::new(&keys.key),
            mac: HmacSm3::new(&keys.mac),
            sequence: Sequence::default(),
        }
    }

    pub(super) fn seal<'a>(
        &mut self,
        content: ContentType,
        plain: impl Iterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let number = self.sequence.next()?;
        let mut iv = [0; BLOCK];
        rand::fill(&mut iv).map_err(|_| Error::Key("no random numbers"))?;
        out.extend_from_slice(&iv);
        let start = out.len();
        plain.for_each(|piece| out.extend_from_slice(piece));
        let mut mac = self.mac.clone();
        mac.update(&authenticated(number, content, out.len() - start));
        mac.update(&out[start..]);
        out.extend_from_slice(&mac.finalize());
        let last = BLOCK - 1 - (out.len() - start) % BLOCK;
        #[expect(clippy::cast_possible_truncation, reason = "below the size of a block")]
        out.extend_from_slice(&[last as u8; BLOCK][..=last]);
        self.cipher.encrypt(&iv, &mut out[start..]);
        Ok(())
    }
}

impl CbcOpener {
    pub(super) fn new(keys: &DirectionKeys) -> Self {
        Self {
            cipher: Sm4Cbc::new(&keys.key),
            mac: HmacSm3::new(&keys.mac),
            sequence: Sequence::default(),
        }
    }

    pub(super) fn open(
        &mut self,
        content: ContentType,
        body: &mut [u8],
    ) -> Result<Range<usize>, Error> {
        let number = self.sequence.next()?;
        let (iv, data) = body.split_first_chunk_mut::<BLOCK>().ok_or(Error::Record)?;
        if data.len() % BLOCK != 0 || data.len() < MAC + BLOCK {
            return Err(Error::Record);
        }
        self.cipher.decrypt(iv, data);
        let length = strip(&self.mac, number, content, data).ok_or(Error::Record)?;
        Ok(BLOCK..BLOCK + length)
    }
}

/// Checks padding and MAC of decrypted `data`, and says how long the plaintext in it is.
///
/// In constant time but for the length of `data`, which everybody sees, and the result.
pub(crate) fn strip(
    keyed: &HmacSm3,
    number: [u8; 8],
    content: ContentType,
    data: &[u8],
) -> Option<usize> {
    let whole = u32::try_from(data.len()).ok()?;
    let last = u32::from(*data.last()?);
    // As many bytes as the padding can be at most are looked at.
    let looked_at = data.len().min(MAX_PADDING);
    let mut good = mask::not_less(whole, last + 1 + MAC_NUMBER);
    for (place, byte) in (0..).zip(data.iter().rev().take(looked_at)) {
        let is_padding = mask::not_less(last, place);
        good &= !is_padding | mask::equal(u32::from(*byte), last);
    }
    // With bad padding go on as if there were none, so that all happens as with a bad MAC.
    let padding = mask::select(good, last + 1, 0);
    let length = whole - MAC_NUMBER - padding;
    let most = data.len() - MAC;
    let least = most.saturating_sub(MAX_PADDING);
    let least_number = (whole - MAC_NUMBER).saturating_sub(MAX_PADDING_NUMBER);

    // The length goes into the MAC as a number only: writing it is no branch.
    let header = authenticated(number, content, length as usize);
    let mut mac = keyed.clone();
    mac.update(&header);
    mac.update(&data[..least]);
    let expected = mac.finalize_secret_length(&data[least..most], length as usize - least);
    let found = copy_mac(data, least_number, length);
    let difference = expected.iter().zip(found).fold(0, |all, (a, b)| all | (a ^ b));
    good &= mask::equal(u32::from(difference), 0);
    (std::hint::black_box(good) != 0).then_some(length as usize)
}

/// The 32 bytes from `at` on, where `at` is secret and at least `least`. Every byte that could belong to them is
/// read, and they come into their order by rotations that are always done.
fn copy_mac(data: &[u8], least: u32, at: u32) -> [u8; MAC] {
    let mut rotated = [0; MAC];
    for (place_number, (place, byte)) in (least..).zip(data.iter().skip(least as usize).enumerate())
    {
        let inside = mask::not_less(place_number, at) & mask::less(place_number, at + MAC_NUMBER);
        rotated[place % MAC] |= mask::select_byte(inside, *byte, 0);
    }
    let turn = at - least;
    for bit in 0..MAC.trailing_zeros() {
        let wanted = mask::equal((turn >> bit) & 1, 1);
        let before = rotated;
        for (place, byte) in rotated.iter_mut().enumerate() {
            *byte = mask::select_byte(wanted, before[(place + (1 << bit)) % MAC], *byte);
        }
    }
    rotated
}

impl fmt::Debug for CbcSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CbcSealer").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl fmt::Debug for CbcOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CbcOpener").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
