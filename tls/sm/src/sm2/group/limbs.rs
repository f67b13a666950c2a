//! 256-bit integers as four 64-bit limbs, the least significant first: what the field and the scalars are made of.
//!
//! Carries go through the processor's own instructions where the language has them (no feature is needed, so they are safe to
//! call): the compiler turns chains in plain arithmetic, above all with constants, into comparisons that take half as long again.
//! Nothing here branches on a value.

pub(super) type Limbs = [u64; 4];

/// a + b + carry.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn adc(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let mut sum = 0;
    let carry = std::arch::x86_64::_addcarry_u64(u8::from(carry), a, b, &mut sum);
    (sum, carry != 0)
}

/// a - b - borrow.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn sbb(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let mut difference = 0;
    let borrow = std::arch::x86_64::_subborrow_u64(u8::from(borrow), a, b, &mut difference);
    (difference, borrow != 0)
}

/// a + b + carry.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn adc(a: u64, b: u64, carry: bool) -> (u64, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u64::from(carry));
    (sum, first | second)
}

/// a - b - borrow.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn sbb(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first | second)
}

/// The low and high half of a·b.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
pub(super) const fn wide(a: u64, b: u64) -> (u64, u64) {
    let product = (a as u128) * (b as u128);
    (product as u64, (product >> 64) as u64)
}

/// The low and high half of t + a·b + carry, which cannot overflow.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the halves are what is wanted")]
const fn mac(t: u64, a: u64, b: u64, carry: u64) -> (u64, u64) {
    let sum = (a as u128) * (b as u128) + (t as u128) + (carry as u128);
    (sum as u64, (sum >> 64) as u64)
}

/// a + b and the carry.
#[inline(always)]
pub(super) fn add(a: &Limbs, b: &Limbs) -> (Limbs, bool) {
    let (r0, c) = adc(a[0], b[0], false);
    let (r1, c) = adc(a[1], b[1], c);
    let (r2, c) = adc(a[2], b[2], c);
    let (r3, c) = adc(a[3], b[3], c);
    ([r0, r1, r2, r3], c)
}

/// a - b and the borrow.
#[inline(always)]
pub(super) fn sub(a: &Limbs, b: &Limbs) -> (Limbs, bool) {
    let (r0, c) = sbb(a[0], b[0], false);
    let (r1, c) = sbb(a[1], b[1], c);
    let (r2, c) = sbb(a[2], b[2], c);
    let (r3, c) = sbb(a[3], b[3], c);
    ([r0, r1, r2, r3], c)
}

/// `a` where `mask` is all ones and `b` where it is zero.
#[inline(always)]
pub(super) const fn select(mask: u64, a: &Limbs, b: &Limbs) -> Limbs {
    [
        (a[0] & mask) | (b[0] & !mask),
        (a[1] & mask) | (b[1] & !mask),
        (a[2] & mask) | (b[2] & !mask),
        (a[3] & mask) | (b[3] & !mask),
    ]
}

/// All ones for true.
#[inline(always)]
pub(super) const fn mask(condition: bool) -> u64 {
    0_u64.wrapping_sub(condition as u64)
}

/// a + top·2^256, which is below 2m, modulo m.
#[inline(always)]
pub(super) fn reduce_once(a: &Limbs, top: u64, modulus: &Limbs) -> Limbs {
    let (reduced, borrow) = sub(a, modulus);
    let (_, borrow) = sbb(top, 0, borrow);
    select(mask(borrow), a, &reduced)
}

/// a + b modulo m, for a and b below m.
#[inline(always)]
pub(super) fn add_mod(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (sum, carry) = add(a, b);
    let (top, _) = adc(0, 0, carry);
    reduce_once(&sum, top, modulus)
}

/// a - b modulo m, for a and b below m.
#[inline(always)]
pub(super) fn sub_mod(a: &Limbs, b: &Limbs, modulus: &Limbs) -> Limbs {
    let (difference, borrow) = sub(a, b);
    let mask = mask(borrow);
    let correction = [modulus[0] & mask, modulus[1] & mask, modulus[2] & mask, modulus[3] & mask];
    add(&difference, &correction).0
}

/// a / 2 modulo an odd m, for a below m.
#[inline(always)]
pub(super) fn halve_mod(a: &Limbs, modulus: &Limbs) -> Limbs {
    let mask = mask(a[0] & 1 == 1);
    let correction = [modulus[0] & mask, modulus[1] & mask, modulus[2] & mask, modulus[3] & mask];
    let (s, carry) = add(a, &correction);
    [
        (s[0] >> 1) | (s[1] << 63),
        (s[1] >> 1) | (s[2] << 63),
        (s[2] >> 1) | (s[3] << 63),
        (s[3] >> 1) | (u64::from(carry) << 63),
    ]
}

/// a·b, eight limbs.
#[inline(always)]
pub(super) fn product(a: &Limbs, b: &Limbs) -> [u64; 8] {
    let [t0, t1, t2, t3, t4] = add_row([0; 4], a[0], b);
    let [t1, t2, t3, t4, t5] = add_row([t1, t2, t3, t4], a[1], b);
    let [t2, t3, t4, t5, t6] = add_row([t2, t3, t4, t5], a[2], b);
    let [t3, t4, t5, t6, t7] = add_row([t3, t4, t5, t6], a[3], b);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

/// t + a·b, which fits five limbs.
#[inline(always)]
pub(super) fn add_row(t: Limbs, a: u64, b: &Limbs) -> [u64; 5] {
    let (l0, h0) = wide(a, b[0]);
    let (l1, h1) = wide(a, b[1]);
    let (l2, h2) = wide(a, b[2]);
    let (l3, h3) = wide(a, b[3]);
    let (l1, c) = adc(l1, h0, false);
    let (l2, c) = adc(l2, h1, c);
    let (l3, c) = adc(l3, h2, c);
    let (h3, _) = adc(h3, 0, c);
    let (r0, c) = adc(t[0], l0, false);
    let (r1, c) = adc(t[1], l1, c);
    let (r2, c) = adc(t[2], l2, c);
    let (r3, c) = adc(t[3], l3, c);
    let (r4, _) = adc(h3, 0, c);
    [r0, r1, r2, r3, r4]
}

/// a², eight limbs: six products less than [`product`].
#[inline(always)]
pub(super) fn square(a: &Limbs) -> [u64; 8] {
    let (t1, c) = wide(a[0], a[1]);
    let (t2, c) = mac(0, a[0], a[2], c);
    let (t3, t4) = mac(0, a[0], a[3], c);
    let (t3, c) = mac(t3, a[1], a[2], 0);
    let (t4, t5) = mac(t4, a[1], a[3], c);
    let (t5, t6) = mac(t5, a[2], a[3], 0);

    let t7 = t6 >> 63;
    let t6 = (t6 << 1) | (t5 >> 63);
    let t5 = (t5 << 1) | (t4 >> 63);
    let t4 = (t4 << 1) | (t3 >> 63);
    let t3 = (t3 << 1) | (t2 >> 63);
    let t2 = (t2 << 1) | (t1 >> 63);
    let t1 = t1 << 1;

    let (t0, high) = wide(a[0], a[0]);
    let (t1, c) = adc(t1, high, false);
    let (low, high) = wide(a[1], a[1]);
    let (t2, c) = adc(t2, low, c);
    let (t3, c) = adc(t3, high, c);
    let (low, high) = wide(a[2], a[2]);
    let (t4, c) = adc(t4, low, c);
    let (t5, c) = adc(t5, high, c);
    let (low, high) = wide(a[3], a[3]);
    let (t6, c) = adc(t6, low, c);
    let (t7, _) = adc(t7, high, c);
    [t0, t1, t2, t3, t4, t5, t6, t7]
}

pub(super) fn from_bytes(bytes: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        *limb = chunk.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte));
    }
    limbs
}

pub(super) fn to_bytes(limbs: &Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs.iter().rev()) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// All ones when a and b, which are small, are equal.
#[inline(always)]
pub(super) const fn equals(a: u64, b: u64) -> u64 {
    // Below 2^63, a ^ b less 1 has its highest bit set for zero only.
    0_u64.wrapping_sub((a ^ b).wrapping_sub(1) >> 63)
}

/// Adds the bits of `from` where `mask` is all ones.
#[inline(always)]
pub(super) fn or_masked(out: &mut Limbs, from: &Limbs, mask: u64) {
    for (out, from) in out.iter_mut().zip(from) {
        *out |= from & mask;
    }
}
