//! Many messages under one HMAC key at once: each takes a lane of the vectors, and the rounds of all run together. One message alone cannot
//! be hashed faster, for each round waits for the one before; eight or sixteen take about twice the time of one.

use super::BLOCK_SIZE;
use super::DIGEST_SIZE;
use super::HmacSm3;
use super::Sm3;

/// The most lanes of any processor.
pub(super) const MOST_LANES: usize = 16;

/// The states of all lanes: word by word, and in each word lane by lane.
pub(super) type States = [[u32; MOST_LANES]; 8];

/// One block for each lane.
pub(super) type Blocks<'a> = [&'a [u8; BLOCK_SIZE]; MOST_LANES];

/// A message in two pieces, so that a header needs no copy of the body.
#[derive(Debug, Clone, Copy)]
pub struct Pieces<'a> {
    /// What comes first: of a record, its sequence number, type, version and length.
    pub head: &'a [u8],
    /// The rest.
    pub body: &'a [u8],
}

impl HmacSm3 {
    /// The codes of several messages, each after what was added so far, into `codes`, which must be as long as `messages`. It pays from three
    /// messages on, most when they are of one length. Lengths are not secret here.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn finalize_many(&self, messages: &[Pieces<'_>], codes: &mut [[u8; DIGEST_SIZE]]) {
        assert_eq!(messages.len(), codes.len(), "one code for each message");
        for (messages, codes) in messages.chunks(MOST_LANES).zip(codes.chunks_mut(MOST_LANES)) {
            hash_many(&self.inner, messages, codes);
            let hashes: [[u8; DIGEST_SIZE]; MOST_LANES] =
                std::array::from_fn(|lane| codes.get(lane).copied().unwrap_or_default());
            let outer: [Pieces<'_>; MOST_LANES] =
                std::array::from_fn(|lane| Pieces { head: &[], body: &hashes[lane] });
            hash_many(&self.outer, &outer[..messages.len()], codes);
        }
    }
}

/// Hashes at most [`MOST_LANES`] messages.
fn hash_many(start: &Sm3, messages: &[Pieces<'_>], hashes: &mut [[u8; DIGEST_SIZE]]) {
    let lanes = lanes();
    // With a begun block the lanes' blocks would not lie in the messages as they are; nobody asks for that.
    if messages.len() < 3 || lanes == 1 || start.begun() != 0 {
        for (message, hash) in messages.iter().zip(hashes) {
            let mut one = start.clone();
            one.update(message.head);
            one.update(message.body);
            *hash = one.finalize();
        }
        return;
    }
    for (messages, hashes) in messages.chunks(lanes).zip(hashes.chunks_mut(lanes)) {
        hash_group(start, messages, hashes);
    }
}

/// At most as many messages as there are lanes.
fn hash_group(start: &Sm3, messages: &[Pieces<'_>], hashes: &mut [[u8; DIGEST_SIZE]]) {
    let mut states: States = start.state.map(|word| [word; MOST_LANES]);
    let longest = messages.iter().map(Pieces::blocks).max().unwrap_or(0);
    let mut scratch = [[0; BLOCK_SIZE]; MOST_LANES];
    for number in 0..longest {
        for (message, block) in messages.iter().zip(&mut scratch) {
            if message.inner_block(number).is_none() {
                message.write_edge_block(number, start.length, block);
            }
        }
        let blocks: Blocks<'_> = std::array::from_fn(|lane| {
            messages
                .get(lane)
                .and_then(|message| message.inner_block(number))
                .unwrap_or(&scratch[lane])
        });
        compress(&mut states, &blocks);
        for (lane, (message, hash)) in messages.iter().zip(&mut *hashes).enumerate() {
            if number + 1 == message.blocks() {
                for (bytes, word) in hash.chunks_exact_mut(4).zip(&states) {
                    bytes.copy_from_slice(&word[lane].to_be_bytes());
                }
            }
        }
    }
}

impl<'a> Pieces<'a> {
    fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Blocks with the padding.
    fn blocks(&self) -> usize {
        (self.len() + 9).div_ceil(BLOCK_SIZE)
    }

    /// A block that lies in the body as it is.
    fn inner_block(&self, number: usize) -> Option<&'a [u8; BLOCK_SIZE]> {
        let at = (number * BLOCK_SIZE).checked_sub(self.head.len())?;
        self.body.get(at..)?.first_chunk()
    }

    /// A block at one of the ends: with bytes of the head, or of the padding. Behind the last block there is anything.
    fn write_edge_block(&self, number: usize, before: u64, block: &mut [u8; BLOCK_SIZE]) {
        let start = number * BLOCK_SIZE;
        for (at, byte) in (start..).zip(&mut *block) {
            let data = match at.checked_sub(self.head.len()) {
                None => self.head.get(at),
                Some(at) => self.body.get(at),
            };
            *byte = data.copied().unwrap_or(if at == self.len() { 0x80 } else { 0 });
        }
        if number + 1 == self.blocks() {
            let bits = before.wrapping_add(self.len() as u64).wrapping_mul(8);
            block[BLOCK_SIZE - 8..].copy_from_slice(&bits.to_be_bytes());
        }
    }
}

/// Lanes of this processor; one when it has no vectors for this.
fn lanes() -> usize {
    #[cfg(target_arch = "x86_64")]
    return super::x86_lanes::lanes();
    #[cfg(not(target_arch = "x86_64"))]
    1
}

/// One block of each lane. Not called where there is one lane only.
fn compress(states: &mut States, blocks: &Blocks<'_>) {
    #[cfg(target_arch = "x86_64")]
    super::x86_lanes::compress(states, blocks);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (states, blocks);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn many_codes_are_those_of_each_alone(
            key in vec(any::<u8>(), 0..80),
            messages in vec((vec(any::<u8>(), 0..70), vec(any::<u8>(), 0..400)), 0..40),
        ) {
            let mac = HmacSm3::new(&key);
            let pieces: Vec<Pieces<'_>> =
                messages.iter().map(|(head, body)| Pieces { head, body }).collect();
            let mut codes = vec![[0; DIGEST_SIZE]; pieces.len()];
            mac.finalize_many(&pieces, &mut codes);
            for (piece, code) in pieces.iter().zip(codes) {
                prop_assert_eq!(crate::sm3::hmac(&key, &[piece.head, piece.body]), code);
            }
        }
    }

    #[test]
    fn records_of_one_length_have_the_codes_of_each_alone() {
        let data: Vec<u8> = (0..16 * 1111u32).map(|i| (i * 31) as u8).collect();
        let pieces: Vec<Pieces<'_>> =
            data.chunks(1111).map(|body| Pieces { head: &body[..13], body }).collect();
        let mut codes = [[0; DIGEST_SIZE]; 16];
        HmacSm3::new(b"key").finalize_many(&pieces, &mut codes);
        for (piece, code) in pieces.iter().zip(codes) {
            assert_eq!(crate::sm3::hmac(b"key", &[piece.head, piece.body]), code);
        }
    }
}
