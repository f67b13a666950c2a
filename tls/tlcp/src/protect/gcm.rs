//! Records with SM4-GCM: the nonce is a salt of four bytes and the record's number, which is also in front of the
//! ciphertext (RFC 5288 with SM4).

use std::fmt;
use std::ops::Range;

use palanquin_sm::sm4::Sm4Gcm;

use super::DirectionKeys;
use super::Sequence;
use super::authenticated;
use crate::codec::ContentType;
use crate::error::Error;

const EXPLICIT: usize = 8;
const TAG: usize = 16;

pub(crate) struct GcmSealer {
    cipher: Sm4Gcm,
    salt: [u8; 4],
    sequence: Sequence,
}

pub(crate) struct GcmOpener {
    cipher: Sm4Gcm,
    salt: [u8; 4],
    sequence: Sequence,
}

impl GcmSealer {
    pub(super) fn new(keys: &DirectionKeys) -> Self {
        Self { cipher: Sm4Gcm::new(&keys.key), salt: keys.salt, sequence: Sequence::default() }
    }

    pub(super) fn seal<'a>(
        &mut self,
        content: ContentType,
        plain: impl Iterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let number = self.sequence.next()?;
        out.extend_from_slice(&number);
        let start = out.len();
        plain.for_each(|piece| out.extend_from_slice(piece));
        let data = &mut out[start..];
        let aad = authenticated(number, content, data.len());
        let tag = self.cipher.seal(&nonce(self.salt, number), &aad, data);
        out.extend_from_slice(&tag);
        Ok(())
    }
}

impl GcmOpener {
    pub(super) fn new(keys: &DirectionKeys) -> Self {
        Self { cipher: Sm4Gcm::new(&keys.key), salt: keys.salt, sequence: Sequence::default() }
    }

    pub(super) fn open(
        &mut self,
        content: ContentType,
        body: &mut [u8],
    ) -> Result<Range<usize>, Error> {
        let number = self.sequence.next()?;
        let (explicit, rest) = body.split_first_chunk_mut::<EXPLICIT>().ok_or(Error::Record)?;
        let (data, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(Error::Record)?;
        let aad = authenticated(number, content, data.len());
        self.cipher
            .open(&nonce(self.salt, *explicit), &aad, data, tag)
            .map_err(|_| Error::Record)?;
        Ok(EXPLICIT..EXPLICIT + data.len())
    }
}

fn nonce(salt: [u8; 4], explicit: [u8; EXPLICIT]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&salt);
    nonce[4..].copy_from_slice(&explicit);
    nonce
}

impl fmt::Debug for GcmSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcmSealer").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl fmt::Debug for GcmOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcmOpener").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}
