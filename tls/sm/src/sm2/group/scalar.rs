//! Integers modulo the order n of the group.

use subtle::Choice;
use zeroize::Zeroize;

use super::inverse::Modulus;
use super::limbs;
use super::limbs::Limbs;
use super::limbs::adc;
use super::limbs::add_row;

/// n.
pub(super) const N: Limbs =
    [0x53bb_f409_39d5_4123, 0x7203_df6b_21c6_052b, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff];

/// -1/n mod 2^64.
const N_INVERSE: u64 = 0x327f_9e88_7235_0975;

/// 2^512 mod n.
const R2: Limbs =
    [0x9011_92af_7c11_4f20, 0x3464_504a_de6f_a2fa, 0x620f_c84c_3aff_e0d4, 0x1eb5_e412_a22b_3d3b];

/// An integer modulo n. Every operation takes the same time for every value.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Scalar(pub(super) Limbs);

impl Scalar {
    pub(crate) const ONE: Self = Self([1, 0, 0, 0]);

    /// The value of 32 big-endian bytes, if it is below n.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let value = limbs::from_bytes(bytes);
        let (_, below) = limbs::sub(&value, &N);
        below.then_some(Self(value))
    }

    /// The value of 32 big-endian bytes modulo n.
    pub(crate) fn reduce(bytes: &[u8; 32]) -> Self {
        Self(limbs::reduce_once(&limbs::from_bytes(bytes), 0, &N))
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        limbs::to_bytes(&self.0)
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        Self(limbs::add_mod(&self.0, &other.0, &N))
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self(limbs::sub_mod(&self.0, &other.0, &N))
    }

    pub(super) fn halve(&self) -> Self {
        Self(limbs::halve_mod(&self.0, &N))
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        Self(montgomery(&montgomery(&self.0, &other.0), &R2))
    }

    /// The inverse; zero for zero.
    pub(crate) fn invert(&self) -> Self {
        const MODULUS: Modulus = Modulus::new(&N);
        Self(MODULUS.invert(&self.0))
    }

    pub(crate) fn is_zero(&self) -> Choice {
        let all = self.0[0] | self.0[1] | self.0[2] | self.0[3];
        // The highest bit of x | -x is set unless x is 0.
        Choice::from(u8::from((all | all.wrapping_neg()) >> 63 == 0))
    }

    /// `width` bits from bit `at` on; beyond the highest they are zeros.
    #[inline(always)]
    pub(super) const fn bits(&self, at: usize, width: u32) -> u64 {
        let (limb, shift) = (at / 64, at % 64);
        let mut value = if limb < 4 { self.0[limb] >> shift } else { 0 };
        if shift != 0 && limb < 3 {
            value |= self.0[limb + 1] << (64 - shift);
        }
        value & ((1 << width) - 1)
    }
}

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// a·b / 2^256 mod n.
fn montgomery(a: &Limbs, b: &Limbs) -> Limbs {
    let mut t = [0; 4];
    let mut carry = false;
    for &limb in a {
        // t + limb·b + m·n, m so that the lowest limb becomes zero: below 2^64·2n, five limbs and a bit.
        let [t0, t1, t2, t3, t4] = add_row(t, limb, b);
        let (t4, over) = adc(t4, u64::from(carry), false);
        let m = t0.wrapping_mul(N_INVERSE);
        let [_, s1, s2, s3, s4] = add_row([t0, t1, t2, t3], m, &N);
        let (s4, more) = adc(s4, t4, false);
        t = [s1, s2, s3, s4];
        carry = over | more;
    }
    limbs::reduce_once(&t, u64::from(carry), &N)
}
