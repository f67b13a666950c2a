//! SM4 by gates only, for processors without a faster path: constant time by construction, and quick in bulk.
//!
//! Eight blocks make one lane: after [`slice()`], plane `i` of word `w` holds bit `i` of each byte of that word of all eight blocks.
//! Lanes do not meet, so that the compiler makes vector code of what it finds on the target (SSE2, NEON).

mod field;
mod ghash;
mod modes;

use std::array::from_fn;

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;

use self::field::Planes;
use self::field::linear;
pub(super) use self::ghash::Ghash;
use super::BLOCK_SIZE;
use super::sbox;
use super::schedule;

/// Blocks of one lane.
const LANE: usize = 8;
/// Lanes of bulk work: 64 blocks, 1 KiB.
const WIDE: usize = 8;

/// From the bytes of the standard into the domain of the rounds: [`sbox::PRE`], then the tower.
const INTO: sbox::Matrix = sbox::compose(field::INTO_TOWER, sbox::PRE);
const OUT: sbox::Matrix = sbox::invert(INTO);
const FROM_TOWER: sbox::Matrix = sbox::invert(field::INTO_TOWER);
const P: sbox::Matrix = sbox::compose(field::INTO_TOWER, sbox::compose(sbox::P, FROM_TOWER));
const Q: sbox::Matrix = sbox::compose(field::INTO_TOWER, sbox::compose(sbox::Q, FROM_TOWER));
const Q_ADD: u8 = sbox::apply(field::INTO_TOWER, sbox::Q_ADD);
const KEY_ADD: u8 = sbox::apply(field::INTO_TOWER, sbox::PRE_ADD);
const SBOX: sbox::Matrix = sbox::compose(sbox::SBOX, FROM_TOWER);

/// The planes of one word of all lanes.
type Word<const N: usize> = [[u32; N]; 8];

/// The round keys of one key, sliced.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Key {
    rounds: [Planes; 32],
}

impl Key {
    pub(super) fn new(key: &[u8; BLOCK_SIZE]) -> Self {
        let mut words = schedule::expand(key, substitute);
        let rounds = words.map(|word| add(linear!(INTO, &slice([word.swap_bytes(); 8])), KEY_ADD));
        words.zeroize();
        Self { rounds }
    }

    fn encrypt(&self, blocks: &mut [[u8; BLOCK_SIZE]]) {
        self.run::<false>(blocks);
    }

    fn decrypt(&self, blocks: &mut [[u8; BLOCK_SIZE]]) {
        self.run::<true>(blocks);
    }

    fn run<const DECRYPT: bool>(&self, blocks: &mut [[u8; BLOCK_SIZE]]) {
        let (wide, rest) = blocks.as_chunks_mut::<{ WIDE * LANE }>();
        for blocks in wide {
            self.pass::<WIDE, DECRYPT>(blocks);
        }
        if rest.len() > 4 * LANE {
            self.pass::<WIDE, DECRYPT>(rest);
        } else if rest.len() > LANE {
            self.pass::<4, DECRYPT>(rest);
        } else if !rest.is_empty() {
            self.pass::<1, DECRYPT>(rest);
        }
    }

    /// At most `N` lanes of blocks.
    fn pass<const N: usize, const DECRYPT: bool>(&self, blocks: &mut [[u8; BLOCK_SIZE]]) {
        let mut state = [[[0u32; N]; 8]; 4];
        for (at, block) in blocks.iter().enumerate() {
            let (words, _) = block.as_chunks::<4>();
            for (word, bytes) in state.iter_mut().zip(words) {
                word[at % LANE][at / LANE] = u32::from_le_bytes(*bytes);
            }
        }
        for word in &mut state {
            each(word, |planes| linear!(INTO, &slice(planes)));
        }
        let [a, b, c, d] = &mut state;
        for i in (0..32).step_by(4) {
            let key = |i: usize| &self.rounds[if DECRYPT { 31 - i } else { i }];
            round(a, b, c, d, key(i));
            round(b, c, d, a, key(i + 1));
            round(c, d, a, b, key(i + 2));
            round(d, a, b, c, key(i + 3));
        }
        for word in &mut state {
            each(word, |planes| slice(linear!(OUT, &planes)));
        }
        for (at, block) in blocks.iter_mut().enumerate() {
            let (words, _) = block.as_chunks_mut::<4>();
            for (word, bytes) in state.iter().rev().zip(words) {
                *bytes = word[at % LANE][at / LANE].to_le_bytes();
            }
        }
    }
}

/// `a ^= L(S(b ^ c ^ d ^ key))`. Words lie as in memory, most significant byte first, so that a rotation to the left is one to the right.
#[inline(always)]
fn round<const N: usize>(a: &mut Word<N>, b: &Word<N>, c: &Word<N>, d: &Word<N>, key: &Planes) {
    for lane in 0..N {
        let x: Planes = from_fn(|i| b[i][lane] ^ c[i][lane] ^ d[i][lane] ^ key[i]);
        let inverse = field::invert(&x);
        let p = linear!(P, &inverse);
        let q = add(linear!(Q, &inverse), Q_ADD);
        for i in 0..8 {
            a[i][lane] ^= p[i]
                ^ q[i].rotate_right(8)
                ^ q[i].rotate_right(16)
                ^ (p[i] ^ q[i]).rotate_right(24);
        }
    }
}

/// The S-box on the four bytes of a word, for the key schedule.
fn substitute(word: u32) -> u32 {
    let sliced = add(linear!(INTO, &slice([word, 0, 0, 0, 0, 0, 0, 0])), KEY_ADD);
    slice(add(linear!(SBOX, &field::invert(&sliced)), sbox::SBOX_ADD))[0]
}

/// Adds a constant byte to every byte.
#[inline(always)]
fn add(planes: Planes, byte: u8) -> Planes {
    from_fn(|i| planes[i] ^ u32::from(byte >> i & 1).wrapping_neg())
}

/// Applies `map` lane by lane.
#[inline(always)]
fn each<const N: usize>(word: &mut Word<N>, map: impl Fn(Planes) -> Planes) {
    for lane in 0..N {
        let planes = map(from_fn(|i| word[i][lane]));
        for (row, plane) in word.iter_mut().zip(planes) {
            row[lane] = plane;
        }
    }
}

/// Swaps rows and bits: bit `j` of a byte in row `i` changes place with bit `i` of the same byte in row `j`. Its own inverse.
#[inline(always)]
fn slice(mut rows: Planes) -> Planes {
    macro_rules! exchange {
        ($mask:literal, $shift:literal, $(($i:literal, $j:literal))*) => { $(
            let moved = ((rows[$i] >> $shift) ^ rows[$j]) & $mask;
            rows[$j] ^= moved;
            rows[$i] ^= moved << $shift;
        )* };
    }
    exchange!(0x5555_5555, 1, (0, 1)(2, 3)(4, 5)(6, 7));
    exchange!(0x3333_3333, 2, (0, 2)(1, 3)(4, 6)(5, 7));
    exchange!(0x0f0f_0f0f, 4, (0, 4)(1, 5)(2, 6)(3, 7));
    rows
}
