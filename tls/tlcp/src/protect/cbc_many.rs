//! Much data with SM4-CBC, as several records that are sealed at once.
//!
//! Within one record each block waits for the one before it, in the MAC as in the encryption, and no processor can hurry that. Records do not
//! wait for each other, so a large write is cut into some that go through the lanes of the vectors together: several times as fast, for a
//! few per cent more bytes.

use aws_lc_rs::rand;
use palanquin_sm::sm3::Pieces;
use palanquin_sm::sm4::CbcMessage;

use super::AUTHENTICATED_LEN;
use super::authenticated;
use super::cbc::BLOCK;
use super::cbc::CbcSealer;
use super::cbc::MAC;
use crate::codec::ContentType;
use crate::codec::HEADER_LEN;
use crate::codec::RecordHeader;
use crate::error::Error;

/// The most records of one write.
const MOST: usize = 8;
/// The least plaintext of one record: each has about 70 bytes beside it.
const LEAST: usize = 1024;
/// What comes before the encrypted part of a record.
const BEFORE: usize = HEADER_LEN + BLOCK;

/// Whether so much data is worth cutting: two records would gain less than they cost.
pub(super) fn is_worth_it(length: usize) -> bool {
    length >= 3 * LEAST
}

/// Bytes of the encrypted part for so much plaintext: with the MAC, and at least one byte of padding.
fn encrypted(plain: usize) -> usize {
    (plain + MAC) / BLOCK * BLOCK + BLOCK
}

impl CbcSealer {
    /// Appends whole records, headers and all, that carry the `length` bytes of `plain`.
    pub(super) fn seal_many<'a>(
        &mut self,
        content: ContentType,
        plain: impl Iterator<Item = &'a [u8]>,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let share = length.div_ceil((length / LEAST).clamp(1, MOST));
        let count = length.div_ceil(share);
        let share_of = |number: usize| share.min(length - number * share);
        let stride = BEFORE + encrypted(share);

        let mut ivs = [[0; BLOCK]; MOST];
        rand::fill(ivs.as_flattened_mut()).map_err(|_| Error::Key("no random numbers"))?;
        let mut heads = [[0; AUTHENTICATED_LEN]; MOST];
        for (number, head) in heads.iter_mut().enumerate().take(count) {
            *head = authenticated(self.sequence.next()?, content, share_of(number));
        }

        let start = out.len();
        out.resize(start + stride * (count - 1) + BEFORE + encrypted(share_of(count - 1)), 0);
        let records = &mut out[start..];
        let mut done = 0;
        for mut piece in plain {
            while !piece.is_empty() {
                let (number, within) = (done / share, done % share);
                let (head, rest) = piece.split_at(piece.len().min(share - within));
                let place = number * stride + BEFORE + within;
                records[place..place + head.len()].copy_from_slice(head);
                done += head.len();
                piece = rest;
            }
        }

        let mut messages = [Pieces { head: &[], body: &[] }; MOST];
        for (number, record) in records.chunks(stride).enumerate() {
            let body = &record[BEFORE..BEFORE + share_of(number)];
            messages[number] = Pieces { head: &heads[number], body };
        }
        let mut macs = [[0; MAC]; MOST];
        self.mac.finalize_many(&messages[..count], &mut macs[..count]);

        for (number, record) in records.chunks_mut(stride).enumerate() {
            let sealed = record.len() - HEADER_LEN;
            record[..HEADER_LEN].copy_from_slice(&RecordHeader::bytes(content, sealed));
            record[HEADER_LEN..BEFORE].copy_from_slice(&ivs[number]);
            let (mac, padding) =
                record[BEFORE + share_of(number)..].split_first_chunk_mut().ok_or(Error::Record)?;
            *mac = macs[number];
            #[expect(clippy::cast_possible_truncation, reason = "below the size of a block")]
            padding.fill((padding.len() - 1) as u8);
        }
        let mut parts = records.chunks_mut(stride);
        let mut messages: [CbcMessage<'_>; MOST] = std::array::from_fn(|number| CbcMessage {
            iv: ivs[number],
            data: parts.next().map_or(&mut [], |record| &mut record[BEFORE..]),
        });
        self.cipher.encrypt_many(&mut messages[..count]);
        Ok(())
    }
}
