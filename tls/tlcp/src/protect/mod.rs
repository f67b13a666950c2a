//! Protection of records: [`Sealer`] for one direction, [`Opener`] for the other.

mod cbc;
mod cbc_many;
mod gcm;
mod mask;

use std::ops::Range;

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use self::cbc::CbcOpener;
use self::cbc::CbcSealer;
pub(crate) use self::cbc::strip;
use self::gcm::GcmOpener;
use self::gcm::GcmSealer;
use crate::codec::ContentType;
use crate::codec::HEADER_LEN;
use crate::codec::MAX_PLAIN;
use crate::codec::RecordHeader;
use crate::codec::VERSION;
use crate::error::Error;
use crate::suite::Bulk;

/// The keys of one direction; what a suite does not use is zero.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub(crate) struct DirectionKeys {
    pub(crate) mac: [u8; 32],
    pub(crate) key: [u8; 16],
    pub(crate) salt: [u8; 4],
}

/// Writes protected records.
#[derive(Debug)]
pub(crate) enum Sealer {
    Cbc(Box<CbcSealer>),
    Gcm(Box<GcmSealer>),
}

/// Opens protected records.
#[derive(Debug)]
pub(crate) enum Opener {
    Cbc(Box<CbcOpener>),
    Gcm(Box<GcmOpener>),
}

impl Sealer {
    pub(crate) fn new(bulk: Bulk, keys: &DirectionKeys) -> Self {
        match bulk {
            Bulk::Cbc => Self::Cbc(Box::new(CbcSealer::new(keys))),
            Bulk::Gcm => Self::Gcm(Box::new(GcmSealer::new(keys))),
        }
    }

    /// Appends one record, header and all, that carries `plain`: at most [`MAX_PLAIN`] bytes in all.
    pub(crate) fn seal<'a>(
        &mut self,
        content: ContentType,
        plain: impl Iterator<Item = &'a [u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER_LEN]);
        match self {
            Self::Cbc(sealer) => sealer.seal(content, plain, out)?,
            Self::Gcm(sealer) => sealer.seal(content, plain, out)?,
        }
        let length = out.len() - start - HEADER_LEN;
        out[start..start + HEADER_LEN].copy_from_slice(&RecordHeader::bytes(content, length));
        Ok(())
    }

    /// Appends `plain`, whose pieces are `length` bytes in all and at most [`MAX_PLAIN`], as one record or as several, whatever is fastest.
    pub(crate) fn seal_data<'a>(
        &mut self,
        plain: impl Iterator<Item = &'a [u8]>,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self {
            Self::Cbc(sealer) if cbc_many::is_worth_it(length) => {
                sealer.seal_many(ContentType::ApplicationData, plain, length, out)
            }
            Self::Cbc(_) | Self::Gcm(_) => self.seal(ContentType::ApplicationData, plain, out),
        }
    }
}

impl Opener {
    pub(crate) fn new(bulk: Bulk, keys: &DirectionKeys) -> Self {
        match bulk {
            Bulk::Cbc => Self::Cbc(Box::new(CbcOpener::new(keys))),
            Bulk::Gcm => Self::Gcm(Box::new(GcmOpener::new(keys))),
        }
    }

    /// Opens what follows the header of one record, in place, and says where the plaintext is in it.
    pub(crate) fn open(
        &mut self,
        content: ContentType,
        body: &mut [u8],
    ) -> Result<Range<usize>, Error> {
        let plain = match self {
            Self::Cbc(opener) => opener.open(content, body)?,
            Self::Gcm(opener) => opener.open(content, body)?,
        };
        if plain.len() > MAX_PLAIN {
            return Err(Error::TooLong("record"));
        }
        Ok(plain)
    }
}

/// Counts the records of one direction.
#[derive(Debug, Default)]
struct Sequence(u64);

impl Sequence {
    /// The number of this record. The numbers never come round: the connection ends before.
    fn next(&mut self) -> Result<[u8; 8], Error> {
        let number = self.0;
        self.0 = number.checked_add(1).ok_or(Error::TooLong("connection"))?;
        Ok(number.to_be_bytes())
    }
}

/// What is authenticated beside the plaintext: number, type, version, length of the plaintext.
pub(crate) fn authenticated(
    number: [u8; 8],
    content: ContentType,
    length: usize,
) -> [u8; AUTHENTICATED_LEN] {
    let mut out = [0; AUTHENTICATED_LEN];
    out[..8].copy_from_slice(&number);
    out[8] = content as u8;
    out[9..11].copy_from_slice(&VERSION.to_be_bytes());
    let [.., high, low] = length.to_be_bytes();
    out[11..].copy_from_slice(&[high, low]);
    out
}

const AUTHENTICATED_LEN: usize = 13;

#[cfg(test)]
mod tests;
