//! The compression function (GB/T 32905-2016 clause 5.3), in the two ways that this processor may take.
//!
//! The rounds are one long dependency, so what can be done beside it is taken out of it: the message's expansion goes into vectors where
//! there are some, and x86 gets the instructions that rotate without a copy. Hashes are of public length, and nothing here branches on data.

use super::BLOCK_SIZE;

/// The hash of nothing (clause 4.1).
pub(super) const START: [u32; 8] = [
    0x7380_166f,
    0x4914_b2b9,
    0x1724_42d7,
    0xda8a_0600,
    0xa96f_30bc,
    0x1631_38aa,
    0xe38d_ee4d,
    0xb0fb_0e4e,
];

/// Adds blocks to `state`.
pub(super) fn compress(state: &mut [u32; 8], blocks: &[[u8; BLOCK_SIZE]]) {
    #[cfg(target_arch = "x86_64")]
    if super::x86::compress(state, blocks) {
        return;
    }
    portable(state, blocks);
}

/// On any processor.
fn portable(state: &mut [u32; 8], blocks: &[[u8; BLOCK_SIZE]]) {
    for block in blocks {
        let (words, sums) = expand(block);
        rounds(state, &words, &sums);
    }
}

#[cfg(test)]
type Way = fn(&mut [u32; 8], &[[u8; BLOCK_SIZE]]);

/// Every way that this processor can take.
#[cfg(test)]
pub(super) fn ways() -> Vec<Way> {
    let mut ways: Vec<Way> = vec![portable, compress];
    #[cfg(target_arch = "x86_64")]
    ways.push(|state, blocks| {
        if !super::x86::compress_avx(state, blocks) {
            portable(state, blocks);
        }
    });
    ways
}

/// The expanded words, and the sum of each with the fourth after it.
fn expand(block: &[u8; BLOCK_SIZE]) -> ([u32; 64], [u32; 64]) {
    let mut w = [0u32; 68];
    let (bytes, _) = block.as_chunks::<4>();
    for (word, bytes) in w.iter_mut().zip(bytes) {
        *word = u32::from_be_bytes(*bytes);
    }
    for j in 16..68 {
        let x = w[j - 16] ^ w[j - 9] ^ w[j - 3].rotate_left(15);
        let p1 = x ^ x.rotate_left(15) ^ x.rotate_left(23);
        w[j] = p1 ^ w[j - 13].rotate_left(7) ^ w[j - 6];
    }
    (std::array::from_fn(|j| w[j]), std::array::from_fn(|j| w[j] ^ w[j + 4]))
}

/// `T` of round `j`, already rotated.
pub(super) const fn constant(j: u32) -> u32 {
    if j < 16 { 0x79cc_4519_u32.rotate_left(j) } else { 0x7a87_9d8a_u32.rotate_left(j % 32) }
}

/// All rounds of one block.
#[inline(always)]
fn rounds(state: &mut [u32; 8], words: &[u32; 64], sums: &[u32; 64]) {
    let mut working = *state;
    for i in 0..16 {
        let group = |all: &[u32; 64]| std::array::from_fn(|j| all[4 * i + j]);
        working = four_rounds(working, i, group(words), group(sums), |x| x);
    }
    for (word, worked) in state.iter_mut().zip(working) {
        *word ^= worked;
    }
}

/// Rounds `4 * i` to `4 * i + 3`, with their words and sums. `early` may keep the compiler from putting what is known early behind what
/// comes late; it changes no value.
#[inline(always)]
pub(super) fn four_rounds(
    state: [u32; 8],
    i: usize,
    words: [u32; 4],
    sums: [u32; 4],
    early: impl Fn(u32) -> u32,
) -> [u32; 8] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    macro_rules! round {
        ($j:literal: $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
            let (ff, gg) = if i < 4 {
                ($a ^ $b ^ $c, $e ^ $f ^ $g)
            } else {
                // Majority as a sum of two terms that are never both one, and choice.
                (($a & $b).wrapping_add(($a ^ $b) & $c), ($e & $f).wrapping_add(!$e & $g))
            };
            let turned = $a.rotate_left(12);
            let keyed = early(turned.wrapping_add(constant(4 * i as u32 + $j)));
            let early_d = early($d.wrapping_add(sums[$j]).wrapping_add(ff));
            let early_h = early($h.wrapping_add(words[$j]).wrapping_add(gg));
            let ss1 = $e.wrapping_add(keyed).rotate_left(7);
            let x = early_h.wrapping_add(ss1);
            $d = early_d.wrapping_add(ss1 ^ turned);
            $h = x ^ x.rotate_left(9) ^ x.rotate_left(17);
            $b = $b.rotate_left(9);
            $f = $f.rotate_left(19);
        };
    }
    round!(0: a b c d e f g h);
    round!(1: d a b c h e f g);
    round!(2: c d a b g h e f);
    round!(3: b c d a f g h e);
    [a, b, c, d, e, f, g, h]
}
