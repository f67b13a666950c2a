//! One block after the other, where each needs the one before: CBC encryption, CBC-MAC, and the single blocks of GCM and CCM.
//!
//! What counts is the time from one round's input to the next one's. So each word has a register of its own (in all lanes), the input
//! of the next round is put together from everything known early, and the newest word comes last.

/// Defines the serial functions over `mix_128(x, known)`, which is `known ^ L(S(x))` in the state's domain, and over
/// `into_domain_128` and `out_of_domain_128`, all for processors with `$features`.
macro_rules! serial {
    ($features:literal) => {
        /// A block as its words, in the state's domain.
        #[inline]
        #[target_feature(enable = $features)]
        fn load_words(block: &[u8; 16]) -> [__m128i; 4] {
            let all = into_domain_128($crate::vector::load_128(block));
            [
                _mm_shuffle_epi32::<0x00>(all),
                _mm_shuffle_epi32::<0x55>(all),
                _mm_shuffle_epi32::<0xaa>(all),
                _mm_shuffle_epi32::<0xff>(all),
            ]
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn store_words(block: &mut [u8; 16], [a, b, c, d]: [__m128i; 4]) {
            let all = _mm_unpacklo_epi64(_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
            $crate::vector::store_128(block, out_of_domain_128(all));
        }

        /// The 32 rounds.
        #[inline]
        #[target_feature(enable = $features)]
        fn encrypt_words(
            keys: &[u32; 32],
            [mut a, mut b, mut c, mut d]: [__m128i; 4],
        ) -> [__m128i; 4] {
            macro_rules! round {
                ($x:ident, $a:ident, $c:ident, $d:ident, $key:expr) => {{
                    let others =
                        _mm_xor_si128(_mm_xor_si128($c, $d), _mm_set1_epi32($key.cast_signed()));
                    $x = mix_128($x, opaque(_mm_xor_si128($a, others)));
                    $a = _mm_xor_si128($x, others);
                }};
            }
            let mut x = _mm_xor_si128(
                _mm_xor_si128(b, _mm_set1_epi32(keys[0].cast_signed())),
                _mm_xor_si128(c, d),
            );
            for i in 0..8 {
                round!(x, a, c, d, keys[4 * i + 1]);
                round!(x, b, d, a, keys[4 * i + 2]);
                round!(x, c, a, b, keys[4 * i + 3]);
                // The last round's next input is of no use; any key does.
                round!(x, d, b, c, keys[(4 * i + 4) % 32]);
            }
            [d, c, b, a]
        }

        /// CBC: each block is encrypted with the one before it.
        #[target_feature(enable = $features)]
        fn chain(keys: &[u32; 32], iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
            let mut state = load_words(iv);
            for block in blocks {
                let words = load_words(block);
                state =
                    encrypt_words(keys, std::array::from_fn(|i| _mm_xor_si128(words[i], state[i])));
                store_words(block, state);
            }
        }

        /// CBC-MAC: the same, of which the last block alone is kept.
        #[target_feature(enable = $features)]
        fn fold(keys: &[u32; 32], sum: &mut [u8; 16], blocks: &[[u8; 16]]) {
            let mut state = load_words(sum);
            for block in blocks {
                let words = load_words(block);
                state =
                    encrypt_words(keys, std::array::from_fn(|i| _mm_xor_si128(words[i], state[i])));
            }
            store_words(sum, state);
        }

        #[target_feature(enable = $features)]
        fn expand_key(key: &[u8; 16]) -> [u32; 32] {
            let mut words = $crate::sm4::schedule::expand(key, |word| substitute(word));
            let mut rounds = [0; 32];
            let add = _mm_set1_epi8($crate::sm4::sbox::PRE_ADD.cast_signed());
            let (groups, _) = words.as_chunks::<4>();
            let (out, _) = rounds.as_chunks_mut::<4>();
            for (group, out) in groups.iter().zip(out) {
                let raw = group.map(|word| word.swap_bytes().cast_signed());
                let v = _mm_xor_si128(
                    into_domain_128(_mm_set_epi32(raw[3], raw[2], raw[1], raw[0])),
                    add,
                );
                let v = $crate::vector::to_u128(v);
                *out = std::array::from_fn(|i| (v >> (32 * i)) as u32);
            }
            zeroize::Zeroize::zeroize(&mut words);
            rounds
        }
    };
}
pub(super) use serial;

/// Defines `Key` with its safe entry points over the functions of a path.
macro_rules! key {
    ($detect:expr, $doc:literal) => {
        #[doc = $doc]
        #[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
        pub(in crate::sm4) struct Key {
            /// Round keys in the state's domain; as in memory, most significant byte first.
            rounds: [u32; 32],
        }

        #[expect(unsafe_code, reason = "calls into code for processors with more instructions")]
        impl Key {
            /// `None` when the processor lacks an instruction.
            pub(in crate::sm4) fn new(key: &[u8; 16]) -> Option<Self> {
                if !$detect {
                    return None;
                }
                // SAFETY: the processor has just been asked.
                Some(Self { rounds: unsafe { expand_key(key) } })
            }

            /// Encrypts each block with the one before it.
            pub(in crate::sm4) fn cbc_encrypt(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
                // SAFETY: there is no `Key` but by `new`, which has asked the processor.
                unsafe { chain(&self.rounds, iv, blocks) }
            }

            /// Adds blocks to a CBC-MAC.
            pub(in crate::sm4) fn mac(&self, sum: &mut [u8; 16], blocks: &[[u8; 16]]) {
                // SAFETY: there is no `Key` but by `new`, which has asked the processor.
                unsafe { fold(&self.rounds, sum, blocks) }
            }

            /// Encrypts each block of each message with the one before it.
            pub(in crate::sm4) fn cbc_encrypt_many(
                &self,
                messages: &mut [$crate::sm4::CbcMessage<'_>],
            ) {
                for messages in messages.chunks_mut(LANES) {
                    // SAFETY: there is no `Key` but by `new`, which has asked the processor.
                    unsafe { chain_many(&self.rounds, messages) }
                }
            }

            pub(in crate::sm4) fn cbc_decrypt(&self, iv: &[u8; 16], blocks: &mut [[u8; 16]]) {
                // SAFETY: there is no `Key` but by `new`, which has asked the processor.
                unsafe { unchain(&self.rounds, iv, blocks) }
            }

            /// Counter mode from `counter` on; its last four bytes count, modulo 2³².
            pub(in crate::sm4) fn ctr(&self, counter: &[u8; 16], data: &mut [u8]) {
                // SAFETY: there is no `Key` but by `new`, which has asked the processor.
                unsafe { count(&self.rounds, counter, data) }
            }
        }
    };
}
pub(super) use key;
