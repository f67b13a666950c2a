//! Integers modulo p = 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery form: a is kept as a·2^256 mod p, below p.
//!
//! p is -1 modulo 2^64 and has few terms, so that Montgomery's reduction takes no multiplication at all, only shifts and additions.

use zeroize::Zeroize;

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

    /// The inverse; zero for zero. a^(p-2) by 256 squarings and 15 multiplications.
    pub(super) fn invert(&self) -> Self {
        // x_n is a to the power of n ones.
        let x1 = *self;
        let x2 = x1.square_times(1).mul(&x1);
        let x3 = x2.square_times(1).mul(&x1);
        let x6 = x3.square_times(3).mul(&x3);
        let x12 = x6.square_times(6).mul(&x6);
        let x15 = x12.square_times(3).mul(&x3);
        let x30 = x15.square_times(15).mul(&x15);
        let x31 = x30.square_times(1).mul(&x1);
        let x32 = x31.square_times(1).mul(&x1);
        // p - 2 = fffffffe ffffffff ffffffff ffffffff ffffffff 00000000 ffffffff fffffffd
        let mut power = x31.square_times(1);
        for _ in 0..4 {
            power = power.square_times(32).mul(&x32);
        }
        power.square_times(64).mul(&x32).square_times(30).mul(&x30).square_times(2).mul(&x1)
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

    #[inline(never)]
    fn square_times(&self, times: usize) -> Self {
        let mut power = *self;
        for _ in 0..times {
            power = Self(reduce(&limbs::square(&power.0)));
        }
        power
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
///
/// Twice two limbs become zero. With -1/p = 1 + 2^64 - 2^96 modulo 2^128, the multiple of p that does it for t1·2^64 + t0 is
/// m = m1·2^64 + m0 with m0 = t0 and m1 = t1 + m0 - 2^32·m0 (modulo 2^64), and
/// m·p = m·2^256 - 2^32·m·2^192 - 2^32·m·2^64 + m·2^64 - m. Limb 0 vanishes without a carry, limb 1 with that of computing m1.
#[inline(always)]
fn reduce(t: &[u64; 8]) -> Limbs {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = *t;

    let (sum, carry) = adc(t1, t0, false);
    let (m1, borrow) = sbb(sum, t0 << 32, false);
    let [e1, e2, both] = shifted(t0, m1);
    let (t2, c) = adc(t2, m1, carry);
    let (t3, c) = adc(t3, 0, c);
    let (t4, c) = adc(t4, t0, c);
    let (t5, c) = adc(t5, m1, c);
    let (t6, c) = adc(t6, 0, c);
    let (t7, over) = adc(t7, 0, c);
    let (t2, c) = sbb(t2, e1, borrow);
    let (t3, c) = sbb(t3, both, c);
    let (t4, c) = sbb(t4, e1, c);
    let (t5, c) = sbb(t5, e2, c);
    let (t6, c) = sbb(t6, 0, c);
    let (t7, under) = sbb(t7, 0, c);

    let (sum, carry) = adc(t3, t2, false);
    let (m1, borrow) = sbb(sum, t2 << 32, false);
    let [e1, e2, both] = shifted(t2, m1);
    let (t4, c) = adc(t4, m1, carry);
    let (t5, c) = adc(t5, 0, c);
    let (t6, c) = adc(t6, t2, c);
    let (t7, over_again) = adc(t7, m1, c);
    let (t4, c) = sbb(t4, e1, borrow);
    let (t5, c) = sbb(t5, both, c);
    let (t6, c) = sbb(t6, e1, c);
    let (t7, under_again) = sbb(t7, e2, c);

    // What is left is between 0 and 2p, so the carries less the borrows are 0 or 1, which is their parity.
    let top = u64::from(over ^ under ^ over_again ^ under_again);
    limbs::reduce_once(&[t4, t5, t6, t7], top, &P)
}

/// Of 2^32·m, limb by limb: limb 1, limb 2, and the sum of limb 0 and 2, which do not overlap.
#[inline(always)]
const fn shifted(m0: u64, m1: u64) -> [u64; 3] {
    [(m1 << 32) | (m0 >> 32), m1 >> 32, (m0 << 32) | (m1 >> 32)]
}
