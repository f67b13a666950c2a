//! The Huffman code of RFC 7541 appendix B.
//!
//! The code is canonical: the lengths of its words are all there is to know. Words of up to [`SHORT`] bits
//! (everything that is common) are decoded with one look-up, longer ones length by length.

use std::sync::LazyLock;

/// A string that is no Huffman code: padding that is none, or the end-of-string symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Invalid;

/// Decodes `input` behind what `output` holds.
pub(super) fn decode(input: &[u8], output: &mut Vec<u8>) -> Result<(), Invalid> {
    let code = &*CODE;
    let mut bits: u64 = 0;
    let mut count = 0;
    let mut rest = input.iter();
    loop {
        while count <= 56 {
            let Some(byte) = rest.next() else { break };
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        if count == 0 {
            return Ok(());
        }
        let (symbol, length) = match code.short[(bits >> (64 - SHORT)) as usize] {
            (_, 0) => code.long(bits).ok_or(Invalid)?,
            (symbol, length) => (u16::from(symbol), u32::from(length)),
        };
        if length > count {
            // What is left must be padding: less than a byte of the end-of-string symbol's first bits.
            let padding = bits >> (64 - count);
            return if count < 8 && padding == (1 << count) - 1 { Ok(()) } else { Err(Invalid) };
        }
        let Ok(byte) = u8::try_from(symbol) else { return Err(Invalid) };
        output.push(byte);
        bits <<= length;
        count -= length;
    }
}

/// What decoding looks up.
struct Code {
    /// By the next [`SHORT`] bits: symbol and length; length 0: the word is longer.
    short: [(u8, u8); 1 << SHORT],
    /// By length: the first word, aligned to 32 bits, and the place of its symbol.
    lengths: [(u64, usize); 32],
    /// Ordered by word.
    symbols: [u16; SYMBOLS],
}

impl Code {
    fn long(&self, bits: u64) -> Option<(u16, u32)> {
        let next = bits >> 32;
        // The longest length whose first word is not above what comes.
        let length = (5..=30).rev().find(|length| {
            let (first, _) = self.lengths[*length];
            first != u64::MAX && next >= first
        })?;
        let (first, place) = self.lengths[length];
        let offset = (next - first) >> (32 - length);
        let symbol = self.symbols.get(place + usize::try_from(offset).ok()?)?;
        Some((*symbol, u32::try_from(length).ok()?))
    }
}

static CODE: LazyLock<Box<Code>> = LazyLock::new(|| {
    let mut order: Vec<u16> = (0..=EOS).collect();
    order.sort_by_key(|symbol| (LENGTHS[usize::from(*symbol)], *symbol));
    let mut code = Box::new(Code {
        short: [(0, 0); 1 << SHORT],
        lengths: [(u64::MAX, 0); 32],
        symbols: [0; SYMBOLS],
    });
    let mut word: u64 = 0;
    for (place, symbol) in order.iter().enumerate() {
        let bits = LENGTHS[usize::from(*symbol)];
        let length = usize::from(bits);
        code.symbols[place] = *symbol;
        if code.lengths[length].0 == u64::MAX {
            code.lengths[length] = (word, place);
        }
        if length <= SHORT
            && let Ok(byte) = u8::try_from(*symbol)
        {
            let first = (word >> (32 - SHORT)) as usize;
            code.short[first..first + (1 << (SHORT - length))].fill((byte, bits));
        }
        word += 1 << (32 - length);
    }
    code
});

/// Bits that are decoded with one look-up.
const SHORT: usize = 9;

/// Bytes, and the end of a string.
const SYMBOLS: usize = 257;

/// The end of a string.
const EOS: u16 = 256;

/// Bits of the word of each byte and of the end-of-string symbol (appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
