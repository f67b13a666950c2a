//! The modes over the portable cipher: whole lanes where blocks do not wait for each other.

use super::Key;
use super::LANE;
use super::WIDE;
use crate::sm4::BLOCK_SIZE;
use crate::sm4::CbcMessage;

/// Blocks that are worked on at once.
const BULK: usize = LANE * WIDE;

impl Key {
    pub(in crate::sm4) fn ctr(&self, counter: &[u8; BLOCK_SIZE], data: &mut [u8]) {
        let [nonce @ .., n0, n1, n2, n3] = counter;
        let mut number = u32::from_be_bytes([*n0, *n1, *n2, *n3]);
        let mut stream = [[0; BLOCK_SIZE]; BULK];
        for part in data.chunks_mut(BULK * BLOCK_SIZE) {
            let blocks = &mut stream[..part.len().div_ceil(BLOCK_SIZE)];
            for block in &mut *blocks {
                block[..12].copy_from_slice(nonce);
                block[12..].copy_from_slice(&number.to_be_bytes());
                number = number.wrapping_add(1);
            }
            self.encrypt(blocks);
            for (byte, key) in part.iter_mut().zip(blocks.as_flattened()) {
                *byte ^= key;
            }
        }
    }

    pub(in crate::sm4) fn cbc_encrypt(
        &self,
        iv: &[u8; BLOCK_SIZE],
        blocks: &mut [[u8; BLOCK_SIZE]],
    ) {
        let mut chain = *iv;
        for block in blocks {
            add(block, &chain);
            self.encrypt(std::slice::from_mut(block));
            chain = *block;
        }
    }

    /// A lane works on eight blocks in the time of one, so eight messages go together.
    pub(in crate::sm4) fn cbc_encrypt_many(&self, messages: &mut [CbcMessage<'_>]) {
        for messages in messages.chunks_mut(LANE) {
            let mut chain = [[0; BLOCK_SIZE]; LANE];
            for (chain, message) in chain.iter_mut().zip(&*messages) {
                *chain = message.iv;
            }
            for number in 0..messages.iter().map(CbcMessage::blocks).max().unwrap_or(0) {
                for (chain, message) in chain.iter_mut().zip(&mut *messages) {
                    if let Some(block) = message.block(number) {
                        add(chain, block);
                    }
                }
                self.encrypt(&mut chain);
                for (chain, message) in chain.iter().zip(&mut *messages) {
                    if let Some(block) = message.block(number) {
                        *block = *chain;
                    }
                }
            }
        }
    }

    pub(in crate::sm4) fn cbc_decrypt(
        &self,
        iv: &[u8; BLOCK_SIZE],
        blocks: &mut [[u8; BLOCK_SIZE]],
    ) {
        let mut chain = *iv;
        let mut sealed = [[0; BLOCK_SIZE]; BULK];
        for part in blocks.chunks_mut(BULK) {
            let sealed = &mut sealed[..part.len()];
            sealed.copy_from_slice(part);
            self.decrypt(part);
            for (block, before) in part.iter_mut().zip(std::iter::once(&chain).chain(&*sealed)) {
                add(block, before);
            }
            chain = sealed[sealed.len() - 1];
        }
    }

    pub(in crate::sm4) fn mac(&self, sum: &mut [u8; BLOCK_SIZE], blocks: &[[u8; BLOCK_SIZE]]) {
        for block in blocks {
            add(sum, block);
            self.encrypt(std::slice::from_mut(sum));
        }
    }
}

fn add(block: &mut [u8; BLOCK_SIZE], other: &[u8; BLOCK_SIZE]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}
