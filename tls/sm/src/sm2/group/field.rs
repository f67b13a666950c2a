//! Integers modulo p = 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery form: a is kept as a·2^256 mod p, below p.
//!
//! p is -1 modulo 2^64 and has few terms, so that Montgomery's reduction takes no multiplication at all, only shifts and additions.

use zeroize::Zeroize;

use super::inverse::Modulus;
use super::limbs;
use super::limbs::Limbs;
use super::limbs::adc;
use super::limbs::sbb;

/// p.
pub(super) const P: Limbs =
    [0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff];

/// 2^512 mod p.
const R2: Limbs =
    [0x0000_0002_0000_0003, 0x0000_0002_ffff_ffff, 0x0000_0001_0000_0001, 0x0000_0004_0000_0002];

/// 2^768 mod p.
const R3: Limbs =
    [0x0000_0012_0000_0016, 0x0000_000e_ffff_fff8, 0x0000_000a_0000_000c, 0x0000_001b_0000_0009];

const MODULUS: Modulus = Modulus::new(&P);

/// An element of the field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Element(pub(super) Limbs);

impl Element {
    pub(super) const ONE: Self = Self([1, 0xffff_ffff, 0, 0x1_0000_0000]);

    /// The value of 32 big-endian bytes, if it is below p.
    pub(super) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let value = limbs::from_bytes(bytes);
        let (_, below) = limbs::sub(&value, &P);
        below.then(|| Self(value).mul(&Self(R2)))
    }

    pub(super) fn to_bytes(self) -> [u8; 32] {
        let [t0, t1, t2, t3] = self.0;
        limbs::to_bytes(&reduce(&[t0, t1, t2, t3, 0, 0, 0, 0]))
    }

    #[inline(always)]
    pub(super) fn add(&self, other: &Self) -> Self {
        Self(limbs::add_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(super) fn double(&self) -> Self {
        self.add(self)
    }

    #[inline(always)]
    pub(super) fn sub(&self, other: &Self) -> Self {
        Self(limbs::sub_mod(&self.0, &other.0, &P))
    }

    #[inline(always)]
    pub(super) fn negate(&self) -> Self {
        Self([0; 4]).sub(self)
    }

    #[inline(always)]
    pub(super) fn halve(&self) -> Self {
        Self(limbs::halve_mod(&self.0, &P))
    }

    /// Not inlined: the formulas for points would not fit the cache of decoded instructions.
    #[inline(never)]
    pub(super) fn mul(&self, other: &Self) -> Self {
        Self(reduce(&limbs::product(&self.0, &other.0)))
    }

    #[inline(never)]
    pub(super) fn square(&self) -> Self {
        Self(reduce(&limbs::square(&self.0)))
    }

    /// The inverse; zero for zero.
    pub(super) fn invert(&self) -> Self {
        // Of a·2^256 that is a^-1·2^-256, and a multiplication by 2^768 brings it to a^-1·2^256.
        Self(MODULUS.invert(&self.0)).mul(&Self(R3))
    }

    /// Whether it is zero, for a branch.
    #[inline(always)]
    pub(super) const fn is_zero_vartime(&self) -> bool {
        self.0[0] | self.0[1] | self.0[2] | self.0[3] == 0
    }

    /// `self` where `mask` is zero and `other` where it is all ones.
    #[inline(always)]
    pub(super) const fn select(mask: u64, other: &Self, this: &Self) -> Self {
        Self(limbs::select(mask, &other.0, &this.0))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Zeroize for Element {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// t / 2^256 mod p, for t below 2^256·p.
#[inline(always)]
fn reduce(t: &[u64; 8]) -> Limbs {
    let low = reduce_half(reduce_half([t[0], t[1], t[2], t[3]]));
    let (sum, carry) = limbs::add(&low, &[t[4], t[5], t[6], t[7]]);
    limbs::reduce_once(&sum, u64::from(carry), &P)
}

/// (t + m·p) / 2^128 with the m below 2^128 for which that is an integer.
///
/// As -1/p = 1 + 2^64 - 2^96 modulo 2^128, m0 = t0 and m1 = t1 + m0 - 2^32·m0 (modulo 2^64). Then
/// m·p = 2^256·m - 2^192·e - 2^64·e + 2^64·m - m with e = 2^32·m. Limb 0 vanishes without a carry, limb 1 with that of computing
/// m1. The result is below 2^128 + p, so that it fits.
#[inline(always)]
fn reduce_half(t: Limbs) -> Limbs {
    let [m0, t1, t2, t3] = t;
    let (sum, carry) = adc(t1, m0, false);
    let (m1, borrow) = sbb(sum, m0 << 32, false);
    // Limb 1 and 2 of e, and the sum of limb 0 and 2, which do not overlap.
    let (e1, e2, both) = ((m1 << 32) | (m0 >> 32), m1 >> 32, (m0 << 32) | (m1 >> 32));
    let (r0, c) = adc(t2, m1, carry);
    let (r1, c) = adc(t3, 0, c);
    let (r2, c) = adc(m0, 0, c);
    let (r3, _) = adc(m1, 0, c);
    let (r0, c) = sbb(r0, e1, borrow);
    let (r1, c) = sbb(r1, both, c);
    let (r2, c) = sbb(r2, e1, c);
    let (r3, _) = sbb(r3, e2, c);
    [r0, r1, r2, r3]
}
