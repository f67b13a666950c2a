//! Points of the curve y² = x³ - 3x + b: affine for tables and results, Jacobian (x/z², y/z³) in between.
//!
//! The formulas for additions have exceptions (equal and opposite points, infinity). The multiplications are laid out so that a
//! uniform secret meets one with a probability of about 2^-250; it is then handled aside, in other time, so that every result is
//! right: see [`Jacobian::add_affine`].

use zeroize::Zeroize;

use super::field::Element;

/// b.
const B: Element = Element([
    0x90d2_3063_2bc0_dd42,
    0x71cf_379a_e9b5_37ab,
    0x5279_8150_5ea5_1c3c,
    0x240f_e188_ba20_e2c8,
]);

/// The base point G.
pub(super) const GENERATOR: Affine = Affine {
    x: Element([
        0x6132_8990_f418_029e,
        0x3e79_81ed_dca6_c050,
        0xd6a1_ed99_ac24_c3c3,
        0x9116_7a5e_e1c1_3b05,
    ]),
    y: Element([
        0xc135_4e59_3c2d_0ddd,
        0xc1f5_e578_8d32_95fa,
        0x8d4c_fb06_6e2a_48f8,
        0x63cd_65d4_81d7_35bd,
    ]),
};

/// A point that is not infinity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Affine {
    pub(super) x: Element,
    pub(super) y: Element,
}

impl Affine {
    pub(super) fn is_on_curve(&self) -> bool {
        let Self { x, y } = self;
        let three = Element::ONE.double().add(&Element::ONE);
        y.square() == x.square().sub(&three).mul(x).add(&B)
    }

    /// The point, or its opposite where `mask` is all ones.
    #[inline(always)]
    pub(super) fn negate_if(&self, mask: u64) -> Self {
        Self { x: self.x, y: Element::select(mask, &self.y.negate(), &self.y) }
    }
}

/// A point; infinity when z is zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Jacobian {
    pub(super) x: Element,
    pub(super) y: Element,
    pub(super) z: Element,
}

impl Jacobian {
    #[inline(always)]
    pub(super) const fn from_affine(point: &Affine) -> Self {
        Self { x: point.x, y: point.y, z: Element::ONE }
    }

    pub(super) const fn is_infinity(&self) -> bool {
        self.z.is_zero_vartime()
    }

    /// 2P, infinity included: 4 multiplications and 4 squarings.
    ///
    /// Here and below, neighbours do not wait for each other where that can be: the processor then works on both.
    pub(super) fn double(&self) -> Self {
        let Self { x, y, z } = self;
        let y2 = y.double();
        let zz = z.square();
        let y4 = y2.square();
        let z3 = y2.mul(z);
        let m = x.sub(&zz).mul(&x.add(&zz));
        let s = y4.mul(x);
        let m = m.double().add(&m);
        let mm = m.square();
        let y8 = y4.square().halve();
        let x3 = mm.sub(&s.double());
        let y3 = m.mul(&s.sub(&x3)).sub(&y8);
        Self { x: x3, y: y3, z: z3 }
    }

    /// P + Q: 8 multiplications and 3 squarings.
    ///
    /// The branch is taken when the points are equal or opposite or `self` is infinity; the callers say why that does not come
    /// up for secrets.
    pub(super) fn add_affine(&self, other: &Affine) -> Self {
        let Self { x: x1, y: y1, z: z1 } = self;
        let zz = z1.square();
        let u2 = other.x.mul(&zz);
        let zzz = z1.mul(&zz);
        let h = u2.sub(x1);
        let s2 = other.y.mul(&zzz);
        let z3 = z1.mul(&h);
        let hh = h.square();
        let r = s2.sub(y1);
        if z3.is_zero_vartime() {
            return self.add_exception(&Self::from_affine(other), &r);
        }
        let rr = r.square();
        let v = x1.mul(&hh);
        let hhh = h.mul(&hh);
        let x3 = rr.sub(&hhh).sub(&v.double());
        let y1hhh = y1.mul(&hhh);
        let y3 = r.mul(&v.sub(&x3)).sub(&y1hhh);
        Self { x: x3, y: y3, z: z3 }
    }

    /// P + Q: 11 multiplications and 3 squarings. Exceptions as with [`Self::add_affine`].
    pub(super) fn add(&self, other: &Cached) -> Self {
        let Self { x: x1, y: y1, z: z1 } = self;
        let zz = z1.square();
        let u1 = x1.mul(&other.zz);
        let s1 = y1.mul(&other.zzz);
        let u2 = other.point.x.mul(&zz);
        let zzz = z1.mul(&zz);
        let h = u2.sub(&u1);
        let zz12 = z1.mul(&other.point.z);
        let s2 = other.point.y.mul(&zzz);
        let hh = h.square();
        let z3 = zz12.mul(&h);
        let r = s2.sub(&s1);
        if z3.is_zero_vartime() {
            return self.add_exception(&other.point, &r);
        }
        let rr = r.square();
        let v = u1.mul(&hh);
        let hhh = h.mul(&hh);
        let x3 = rr.sub(&hhh).sub(&v.double());
        let s1hhh = s1.mul(&hhh);
        let y3 = r.mul(&v.sub(&x3)).sub(&s1hhh);
        Self { x: x3, y: y3, z: z3 }
    }

    /// The point in affine coordinates; none for infinity. One inversion.
    pub(super) fn to_affine(self) -> Option<Affine> {
        if self.is_infinity() {
            return None;
        }
        Some(self.scale(&self.z.invert()))
    }

    /// The point in affine coordinates, by the inverse of z.
    pub(super) fn scale(&self, inverse: &Element) -> Affine {
        let square = inverse.square();
        Affine { x: self.x.mul(&square), y: self.y.mul(&square.mul(inverse)) }
    }

    /// P + Q when P or Q is infinity, or both have the same x. `r` is the scaled difference of their y.
    #[cold]
    #[inline(never)]
    fn add_exception(&self, other: &Self, r: &Element) -> Self {
        if self.is_infinity() {
            *other
        } else if other.is_infinity() {
            *self
        } else if r.is_zero_vartime() {
            self.double()
        } else {
            Self::default()
        }
    }
}

impl Zeroize for Jacobian {
    fn zeroize(&mut self) {
        self.x.zeroize();
        self.y.zeroize();
        self.z.zeroize();
    }
}

/// A point to add again and again, with z² and z³.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cached {
    pub(super) point: Jacobian,
    pub(super) zz: Element,
    pub(super) zzz: Element,
}

impl Cached {
    pub(super) fn new(point: &Jacobian) -> Self {
        let zz = point.z.square();
        Self { point: *point, zz, zzz: zz.mul(&point.z) }
    }

    /// The point, or its opposite where `mask` is all ones.
    #[inline(always)]
    pub(super) fn negate_if(&self, mask: u64) -> Self {
        let y = Element::select(mask, &self.point.y.negate(), &self.point.y);
        Self { point: Jacobian { y, ..self.point }, ..*self }
    }
}

/// Brings many points, none of them infinity, into affine coordinates by one inversion (Montgomery's trick).
pub(super) fn to_affine_all(points: &[Jacobian]) -> Vec<Affine> {
    // products[i] is the product of all z before i.
    let mut product = Element::ONE;
    let products: Vec<Element> = points
        .iter()
        .map(|point| {
            let before = product;
            product = product.mul(&point.z);
            before
        })
        .collect();
    let mut inverse = product.invert();
    let mut affine: Vec<Affine> = points
        .iter()
        .zip(products)
        .rev()
        .map(|(point, before)| {
            let result = point.scale(&inverse.mul(&before));
            inverse = inverse.mul(&point.z);
            result
        })
        .collect();
    affine.reverse();
    affine
}
