//! Bulk work in registers of 256 bits: eight blocks in four registers, one for each word, several such sets at once.

/// Defines counter mode and CBC decryption over `mix_256(a, x, &Constants)`, which is `a ^ L(S(x))` in the state's domain, and over
/// `into_domain_256` and `out_of_domain_256`, all for processors with `$features`. `$sets` is how many
/// sets keep the processor busy.
macro_rules! wide {
    ($features:literal, $sets:literal) => {
        /// Four registers: one word of eight blocks each.
        type Set = [__m256i; 4];
        /// Bytes of one set.
        const SET: usize = 128;
        /// Bytes of bulk work.
        const PASS: usize = SET * $sets;

        /// All rounds.
        #[inline]
        #[target_feature(enable = $features)]
        fn rounds<const SETS: usize, const DECRYPT: bool>(
            keys: &[u32; 32],
            mut sets: [Set; SETS],
        ) -> [Set; SETS] {
            let constants = Constants::load();
            let xor3 = |a, b, c| _mm256_xor_si256(_mm256_xor_si256(a, b), c);
            for i in 0..8 {
                let key = |j: usize| {
                    let at = if DECRYPT { 31 - 4 * i - j } else { 4 * i + j };
                    _mm256_set1_epi32(keys[at].cast_signed())
                };
                let (k0, k1) = (key(0), key(1));
                for set in &mut sets {
                    // Two rounds share the xor of the words that both take.
                    let shared = _mm256_xor_si256(set[2], set[3]);
                    set[0] = mix_256(set[0], xor3(set[1], shared, k0), &constants);
                    set[1] = mix_256(set[1], xor3(set[0], shared, k1), &constants);
                }
                let (k2, k3) = (key(2), key(3));
                for set in &mut sets {
                    let shared = _mm256_xor_si256(set[0], set[1]);
                    set[2] = mix_256(set[2], xor3(set[3], shared, k2), &constants);
                    set[3] = mix_256(set[3], xor3(set[2], shared, k3), &constants);
                }
            }
            sets
        }

        /// Words to blocks, or blocks to words: four registers of 2 x 4 words change rows and columns.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose([a, b, c, d]: Set) -> Set {
            let (ab_low, ab_high) = (_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let (cd_low, cd_high) = (_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            [
                _mm256_unpacklo_epi64(ab_low, cd_low),
                _mm256_unpackhi_epi64(ab_low, cd_low),
                _mm256_unpacklo_epi64(ab_high, cd_high),
                _mm256_unpackhi_epi64(ab_high, cd_high),
            ]
        }

        /// The last step of the cipher: the words in reverse, out of the domain, as blocks.
        #[inline]
        #[target_feature(enable = $features)]
        fn finish([a, b, c, d]: Set) -> Set {
            let out = |v| out_of_domain_256(v);
            transpose([out(d), out(c), out(b), out(a)])
        }

        /// The key stream of `8 * SETS` counters from the counter `first` on.
        #[inline]
        #[target_feature(enable = $features)]
        fn stream<const SETS: usize>(
            keys: &[u32; 32],
            nonce: &[u8; 12],
            first: u32,
        ) -> [Set; SETS] {
            let (words, _) = nonce.as_chunks::<4>();
            let word = |i: usize| into_domain_256(_mm256_set1_epi32(i32::from_le_bytes(words[i])));
            let [a, b, c] = [word(0), word(1), word(2)];
            let swap = _mm256_broadcastsi128_si256(_mm_set_epi64x(
                0x0c0d_0e0f_0809_0a0b,
                0x0405_0607_0001_0203,
            ));
            // So that `transpose` puts the blocks into their order.
            let order = _mm256_set_epi32(7, 5, 3, 1, 6, 4, 2, 0);
            let sets = std::array::from_fn(|set| {
                let start = first.wrapping_add(8 * set as u32);
                let counter = _mm256_add_epi32(order, _mm256_set1_epi32(start.cast_signed()));
                [a, b, c, into_domain_256(_mm256_shuffle_epi8(counter, swap))]
            });
            let mut sets = rounds::<SETS, false>(keys, sets);
            for set in &mut sets {
                *set = finish(*set);
            }
            sets
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn apply<const SETS: usize>(stream: &[Set; SETS], data: &mut [u8]) {
            let (vectors, _) = data.as_chunks_mut::<32>();
            for (vector, key) in vectors.iter_mut().zip(stream.as_flattened()) {
                let plain = $crate::vector::load_256(vector);
                $crate::vector::store_256(vector, _mm256_xor_si256(plain, *key));
            }
        }

        /// Counter mode.
        #[target_feature(enable = $features)]
        fn count(keys: &[u32; 32], counter: &[u8; 16], data: &mut [u8]) {
            let [nonce @ .., n0, n1, n2, n3] = counter;
            let mut number = u32::from_be_bytes([*n0, *n1, *n2, *n3]);
            let (chunks, rest) = data.as_chunks_mut::<PASS>();
            for chunk in chunks {
                apply(&stream::<$sets>(keys, nonce, number), chunk);
                number = number.wrapping_add((PASS / 16) as u32);
            }
            if !rest.is_empty() {
                let mut buffer = [0; PASS];
                buffer[..rest.len()].copy_from_slice(rest);
                if rest.len() <= SET {
                    apply(&stream::<1>(keys, nonce, number), &mut buffer);
                } else {
                    apply(&stream::<$sets>(keys, nonce, number), &mut buffer);
                }
                rest.copy_from_slice(&buffer[..rest.len()]);
            }
        }

        /// CBC decryption, in which no block waits for another.
        #[target_feature(enable = $features)]
        fn unchain(keys: &[u32; 32], iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
            let mut chain = *iv;
            let (chunks, rest) = blocks.as_chunks_mut::<{ PASS / 16 }>();
            for chunk in chunks {
                unchain_pass(keys, &mut chain, chunk);
            }
            if !rest.is_empty() {
                let mut buffer = [[0; 16]; PASS / 16];
                buffer[..rest.len()].copy_from_slice(rest);
                unchain_pass(keys, &mut chain, &mut buffer);
                rest.copy_from_slice(&buffer[..rest.len()]);
            }
        }

        /// Messages that are encrypted at once.
        const LANES: usize = 8;

        /// CBC encryption of at most [`LANES`] messages, block by block, each in a lane.
        #[target_feature(enable = $features)]
        fn chain_many(keys: &[u32; 32], messages: &mut [$crate::sm4::CbcMessage<'_>]) {
            let mut buffer = [[0; 16]; LANES];
            for (block, message) in buffer.iter_mut().zip(&*messages) {
                *block = message.iv;
            }
            let mut chain = load_set(&buffer);
            for number in 0..messages.iter().map(|message| message.blocks()).max().unwrap_or(0) {
                for (block, message) in buffer.iter_mut().zip(&mut *messages) {
                    *block = message.block(number).copied().unwrap_or_default();
                }
                let words = load_set(&buffer);
                let input = std::array::from_fn(|i| _mm256_xor_si256(words[i], chain[i]));
                let [[a, b, c, d]] = rounds::<1, false>(keys, [input]);
                chain = [d, c, b, a];
                let (vectors, _) = buffer.as_flattened_mut().as_chunks_mut::<32>();
                for (vector, sealed) in vectors.iter_mut().zip(finish([a, b, c, d])) {
                    $crate::vector::store_256(vector, sealed);
                }
                for (block, message) in buffer.iter().zip(&mut *messages) {
                    if let Some(place) = message.block(number) {
                        *place = *block;
                    }
                }
            }
        }

        /// Eight blocks as words, in the state's domain.
        #[inline]
        #[target_feature(enable = $features)]
        fn load_set(blocks: &[[u8; 16]; LANES]) -> Set {
            let (vectors, _) = blocks.as_flattened().as_chunks::<32>();
            let words = transpose(std::array::from_fn(|i| $crate::vector::load_256(&vectors[i])));
            std::array::from_fn(|i| into_domain_256(words[i]))
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn unchain_pass(
            keys: &[u32; 32],
            chain: &mut [u8; 16],
            blocks: &mut [[u8; 16]; PASS / 16],
        ) {
            // Each block's predecessor, written aside before the blocks are overwritten.
            let mut before = [*chain; PASS / 16];
            before[1..].copy_from_slice(&blocks[..PASS / 16 - 1]);
            *chain = blocks[PASS / 16 - 1];
            let (vectors, _) = blocks.as_flattened_mut().as_chunks_mut::<32>();
            let sets: [Set; $sets] = std::array::from_fn(|set| {
                let load = |i: usize| $crate::vector::load_256(&vectors[4 * set + i]);
                let words = transpose([load(0), load(1), load(2), load(3)]);
                [
                    into_domain_256(words[0]),
                    into_domain_256(words[1]),
                    into_domain_256(words[2]),
                    into_domain_256(words[3]),
                ]
            });
            let mut sets = rounds::<$sets, true>(keys, sets);
            for set in &mut sets {
                *set = finish(*set);
            }
            for (vector, plain) in vectors.iter_mut().zip(sets.as_flattened()) {
                $crate::vector::store_256(vector, *plain);
            }
            for (byte, prior) in blocks.as_flattened_mut().iter_mut().zip(before.as_flattened()) {
                *byte ^= prior;
            }
        }
    };
}
pub(super) use wide;
