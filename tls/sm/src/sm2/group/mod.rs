//! The group of the curve sm2p256v1 (GB/T 32918.5 §2) and the integers modulo its order n: what the algorithms above see of the
//! arithmetic.
//!
//! | file | what |
//! |---|---|
//! | `limbs` | 256-bit integers |
//! | `field` | modulo p, in Montgomery form |
//! | `scalar` | modulo n |
//! | `inverse` | modulo either |
//! | `jacobian` | points, doubling and addition |
//! | `base` | k·G in constant time |
//! | `variable` | k·P in constant time |
//! | `verify` | a·G + b·P of public values |

#![expect(
    clippy::inline_always,
    reason = "what is smaller than a call is inlined; `field` says what is not"
)]

mod base;
mod field;
mod inverse;
mod jacobian;
mod limbs;
mod scalar;
mod variable;
mod verify;

#[cfg(test)]
mod tests;

use zeroize::Zeroize;
use zeroize::Zeroizing;

use field::Element;
use jacobian::Affine;
use jacobian::GENERATOR;
use jacobian::Jacobian;

pub(crate) use scalar::Scalar;
pub(crate) use verify::Prepared;

/// A point of the curve in affine coordinates; never the point at infinity.
#[derive(Clone, Copy)]
pub(crate) struct Point(Affine);

impl Point {
    pub(crate) const GENERATOR: Self = Self(GENERATOR);

    /// The point with these coordinates, when they are below p and fit the curve's equation.
    pub(crate) fn from_bytes(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let point = Affine { x: Element::from_bytes(x)?, y: Element::from_bytes(y)? };
        point.is_on_curve().then_some(Self(point))
    }

    /// The coordinates, big-endian.
    pub(crate) fn coordinates(&self) -> ([u8; 32], [u8; 32]) {
        (self.0.x.to_bytes(), self.0.y.to_bytes())
    }

    /// Tables for many multiplications.
    pub(crate) fn prepare(&self) -> Prepared {
        Prepared::new(&self.0)
    }
}

impl Zeroize for Point {
    fn zeroize(&mut self) {
        self.0.x.zeroize();
        self.0.y.zeroize();
    }
}

/// k·G in constant time; none when k is zero.
pub(crate) fn mul_base(k: &Scalar) -> Option<Point> {
    Zeroizing::new(base::multiply(k)).to_affine().map(Point)
}

/// k·P in constant time; none when k is zero.
pub(crate) fn mul(k: &Scalar, p: &Point) -> Option<Point> {
    if bool::from(k.is_zero()) {
        return None;
    }
    Zeroizing::new(variable::multiply(k, &p.0)).to_affine().map(Point)
}

/// P + k·Q, in a time that tells of all of them: for public values only. None at infinity.
pub(crate) fn add_mul_vartime(p: &Point, k: &Scalar, q: &Point) -> Option<Point> {
    verify::multiply(&Scalar([0; 4]), k, &q.0).add_affine(&p.0).to_affine().map(Point)
}

/// a·G + b·P, in a time that tells of all of them: for public values only.
pub(crate) fn sum_vartime(a: &Scalar, b: &Scalar, p: &Point) -> Sum {
    Sum(verify::multiply(a, b, &p.0))
}

impl Prepared {
    /// As [`sum_vartime`], for the point that was prepared.
    pub(crate) fn sum_vartime(&self, a: &Scalar, b: &Scalar) -> Sum {
        Sum(self.multiply(a, b))
    }
}

/// A point of which only one question is asked.
pub(crate) struct Sum(Jacobian);

impl Sum {
    /// Whether the x coordinate is `x` modulo n; never at infinity.
    pub(crate) fn has_x_vartime(&self, x: &Scalar) -> bool {
        let Self(Jacobian { x: scaled, z, .. }) = self;
        if z.is_zero_vartime() {
            return false;
        }
        // Instead of an inversion: x z² is compared, for x and for x + n, which may be below p as well.
        let zz = z.square();
        let is = |candidate: &[u8; 32]| {
            Element::from_bytes(candidate).is_some_and(|x| x.mul(&zz) == *scaled)
        };
        let (above, carry) = limbs::add(&x.0, &scalar::N);
        is(&x.to_bytes()) || !carry && is(&limbs::to_bytes(&above))
    }
}
