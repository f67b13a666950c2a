//! The group of the curve sm2p256v1 and the integers modulo its order n: what the algorithms above see of the arithmetic.

use sm2::ProjectivePoint;
use sm2::elliptic_curve::Group;
use sm2::elliptic_curve::PrimeField;
use sm2::elliptic_curve::ops::MulByGeneratorVartime as _;
use sm2::elliptic_curve::ops::Reduce;
use sm2::elliptic_curve::sec1::FromSec1Point;
use sm2::elliptic_curve::sec1::ToSec1Point;
use subtle::Choice;
use zeroize::Zeroize;

/// An integer modulo n. Every operation takes the same time for every value.
#[derive(Clone, Copy)]
pub(crate) struct Scalar(sm2::Scalar);

impl Scalar {
    pub(crate) const ONE: Self = Self(sm2::Scalar::ONE);

    /// The value of 32 big-endian bytes, if it is below n.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Option::from(sm2::Scalar::from_repr((*bytes).into())).map(Self)
    }

    /// The value of 32 big-endian bytes modulo n.
    pub(crate) fn reduce(bytes: &[u8; 32]) -> Self {
        Self(<sm2::Scalar as Reduce<sm2::FieldBytes>>::reduce(&(*bytes).into()))
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0.to_repr().into()
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        Self(self.0 + other.0)
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        Self(self.0 - other.0)
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        Self(self.0 * other.0)
    }

    /// The inverse; zero for zero.
    pub(crate) fn invert(&self) -> Self {
        Self(self.0.invert().unwrap_or(sm2::Scalar::ZERO))
    }

    pub(crate) fn is_zero(&self) -> Choice {
        Choice::from(u8::from(bool::from(self.0.is_zero())))
    }
}

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// A point of the curve in affine coordinates; never the point at infinity.
#[derive(Clone, Copy)]
pub(crate) struct Point(sm2::AffinePoint);

impl Point {
    pub(crate) fn generator() -> Self {
        Self(ProjectivePoint::generator().to_affine())
    }

    /// The point with these coordinates, when they are below p and fit the curve's equation.
    pub(crate) fn from_bytes(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let mut sec1 = [4; 65];
        sec1[1..33].copy_from_slice(x);
        sec1[33..].copy_from_slice(y);
        sm2::AffinePoint::from_sec1_bytes(&sec1).ok().map(Self)
    }

    /// The coordinates, big-endian.
    pub(crate) fn to_bytes(&self) -> ([u8; 32], [u8; 32]) {
        let sec1 = self.0.to_uncompressed_point();
        let (mut x, mut y) = ([0; 32], [0; 32]);
        x.copy_from_slice(&sec1[1..33]);
        y.copy_from_slice(&sec1[33..]);
        (x, y)
    }
}

impl Zeroize for Point {
    fn zeroize(&mut self) {
        self.0 = sm2::AffinePoint::default();
    }
}

/// k·G in constant time; none when k is zero.
pub(crate) fn mul_base(k: &Scalar) -> Option<Point> {
    affine(&ProjectivePoint::mul_by_generator(&k.0))
}

/// k·P in constant time; none when k is zero.
pub(crate) fn mul(k: &Scalar, p: &Point) -> Option<Point> {
    affine(&(ProjectivePoint::from(p.0) * k.0))
}

/// P + k·Q in constant time; none at infinity.
pub(crate) fn add_mul(p: &Point, k: &Scalar, q: &Point) -> Option<Point> {
    affine(&(ProjectivePoint::from(p.0) + ProjectivePoint::from(q.0) * k.0))
}

/// a·G + b·P, in a time that tells of a, b and P: for public values only. None at infinity.
pub(crate) fn mul_base_and_add_vartime(a: &Scalar, b: &Scalar, p: &Point) -> Option<Point> {
    affine(&ProjectivePoint::mul_by_generator_and_mul_add_vartime(&a.0, &b.0, &p.0.into()))
}

fn affine(p: &ProjectivePoint) -> Option<Point> {
    if bool::from(p.is_identity()) { None } else { Some(Point(p.to_affine())) }
}
