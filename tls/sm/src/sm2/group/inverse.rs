//! Inverses modulo p and n in constant time, by division steps (Bernstein and Yang, "Fast constant-time gcd computation and modular
//! inversion", 2019), in the variant whose counter starts at 1/2: 590 steps are enough for 256 bits.
//!
//! A step looks at the lowest bits of two numbers f and g only. So 59 steps run on single words and give a matrix, which is then
//! applied to the whole of f and g, and to d and e, for which f = d·x and g = e·x modulo m throughout. In the end g is 0 and f is
//! 1 or -1, and d or -d is the inverse. Numbers are five limbs of 62 bits, the highest one signed.
#![expect(clippy::many_single_char_names, reason = "the letters of the paper")]

use std::hint::black_box;

use zeroize::Zeroize;

use super::limbs::Limbs;

const ROUNDS: usize = 10;
const STEPS: u32 = 59;
const BITS: u32 = 62;
const LOW: u64 = (1 << BITS) - 1;

type Signed = [i64; 5];

/// An odd modulus in the form that is used here.
pub(super) struct Modulus {
    limbs: Signed,
    /// 1/m mod 2^62.
    inverse: u64,
}

impl Modulus {
    pub(super) const fn new(modulus: &Limbs) -> Self {
        // Newton's iteration doubles the right bits, from 3.
        let mut inverse = modulus[0];
        let mut i = 0;
        while i < 5 {
            inverse = inverse.wrapping_mul(2_u64.wrapping_sub(modulus[0].wrapping_mul(inverse)));
            i += 1;
        }
        Self { limbs: split(modulus), inverse: inverse & LOW }
    }

    /// 1/x modulo m, for x below m; zero for zero.
    pub(super) fn invert(&self, x: &Limbs) -> Limbs {
        let mut d = [0; 5];
        let mut e = [1, 0, 0, 0, 0];
        let mut f = self.limbs;
        let mut g = split(x);
        let mut zeta = -1;
        for _ in 0..ROUNDS {
            let matrix;
            (zeta, matrix) = steps(zeta, f[0].cast_unsigned(), g[0].cast_unsigned());
            self.apply_mod(&matrix, &mut d, &mut e);
            apply(&matrix, &mut f, &mut g);
        }
        let inverse = self.normalize(&d, f[4] >> 63);
        d.zeroize();
        e.zeroize();
        f.zeroize();
        inverse
    }

    /// (d, e) becomes the matrix times (d, e) / 2^62 modulo m; both stay between -2m and m.
    fn apply_mod(&self, &[u, v, q, r]: &[i64; 4], d: &mut Signed, e: &mut Signed) {
        // Adding m to d and e where they are negative is done on the factors of m.
        let (negative_d, negative_e) = (black_box(d[4] >> 63), black_box(e[4] >> 63));
        let mut md = (u & negative_d) + (v & negative_e);
        let mut me = (q & negative_d) + (r & negative_e);
        let mut cd = mul(u, d[0]) + mul(v, e[0]);
        let mut ce = mul(q, d[0]) + mul(r, e[0]);
        // And enough of m besides to make the lowest limb zero.
        md -= self.multiple(cd, md);
        me -= self.multiple(ce, me);
        cd = (cd + mul(self.limbs[0], md)) >> BITS;
        ce = (ce + mul(self.limbs[0], me)) >> BITS;
        for i in 1..5 {
            cd += mul(u, d[i]) + mul(v, e[i]) + mul(self.limbs[i], md);
            ce += mul(q, d[i]) + mul(r, e[i]) + mul(self.limbs[i], me);
            d[i - 1] = low(cd);
            e[i - 1] = low(ce);
            cd >>= BITS;
            ce >>= BITS;
        }
        (d[4], e[4]) = (word(cd), word(ce));
    }

    fn multiple(&self, sum: i128, already: i64) -> i64 {
        let lowest = word(sum).cast_unsigned();
        let multiple =
            self.inverse.wrapping_mul(lowest).wrapping_add(already.cast_unsigned()) & LOW;
        multiple.cast_signed()
    }

    /// d, or -d where `negate` is all ones, from between -2m and m to between 0 and m.
    fn normalize(&self, d: &Signed, negate: i64) -> Limbs {
        let add_if_negative = |value: &mut Signed| {
            // The barrier keeps the compiler from making a branch of it.
            let mask = black_box(value[4] >> 63);
            for (limb, m) in value.iter_mut().zip(&self.limbs) {
                *limb += m & mask;
            }
        };
        let carry = |value: &mut Signed| {
            for i in 0..4 {
                value[i + 1] += value[i] >> BITS;
                value[i] &= LOW.cast_signed();
            }
        };
        let mut value = *d;
        add_if_negative(&mut value);
        for limb in &mut value {
            *limb = (*limb ^ negate) - negate;
        }
        carry(&mut value);
        add_if_negative(&mut value);
        carry(&mut value);
        join(&value)
    }
}

/// 59 division steps on the low bits of f and g: the new counter and the matrix, times 2^62.
fn steps(mut zeta: i64, f: u64, g: u64) -> (i64, [i64; 4]) {
    // The matrix starts as 8 times that of doing nothing, and every step doubles it: 2^(3 + 59).
    let (mut u, mut v, mut q, mut r) = (8_u64, 0_u64, 0_u64, 8_u64);
    let (mut f, mut g) = (f, g);
    for _ in 0..STEPS {
        let swap = (zeta >> 63).cast_unsigned();
        let odd = (g & 1).wrapping_neg();
        // g plus or minus f where g is odd.
        g = g.wrapping_add((f ^ swap).wrapping_sub(swap) & odd);
        q = q.wrapping_add((u ^ swap).wrapping_sub(swap) & odd);
        r = r.wrapping_add((v ^ swap).wrapping_sub(swap) & odd);
        // Where both hold, f becomes the g from before, which is the sum.
        let both = swap & odd;
        zeta = (zeta ^ both.cast_signed()) - 1;
        f = f.wrapping_add(g & both);
        u = u.wrapping_add(q & both);
        v = v.wrapping_add(r & both);
        g >>= 1;
        u <<= 1;
        v <<= 1;
    }
    (zeta, [u, v, q, r].map(u64::cast_signed))
}

/// (f, g) becomes the matrix times (f, g) / 2^62, which is exact.
fn apply(&[u, v, q, r]: &[i64; 4], f: &mut Signed, g: &mut Signed) {
    let mut cf = (mul(u, f[0]) + mul(v, g[0])) >> BITS;
    let mut cg = (mul(q, f[0]) + mul(r, g[0])) >> BITS;
    for i in 1..5 {
        cf += mul(u, f[i]) + mul(v, g[i]);
        cg += mul(q, f[i]) + mul(r, g[i]);
        f[i - 1] = low(cf);
        g[i - 1] = low(cg);
        cf >>= BITS;
        cg >>= BITS;
    }
    (f[4], g[4]) = (word(cf), word(cg));
}

#[inline(always)]
fn mul(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// The lowest 62 bits.
#[inline(always)]
fn low(value: i128) -> i64 {
    word(value) & LOW.cast_signed()
}

/// The lowest 64 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "the low bits are what is wanted")]
const fn word(value: i128) -> i64 {
    value as i64
}

const fn split(a: &Limbs) -> Signed {
    [
        (a[0] & LOW).cast_signed(),
        ((a[0] >> 62 | a[1] << 2) & LOW).cast_signed(),
        ((a[1] >> 60 | a[2] << 4) & LOW).cast_signed(),
        ((a[2] >> 58 | a[3] << 6) & LOW).cast_signed(),
        (a[3] >> 56).cast_signed(),
    ]
}

fn join(value: &Signed) -> Limbs {
    let [a, b, c, d, e] = value.map(i64::cast_unsigned);
    [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
}
