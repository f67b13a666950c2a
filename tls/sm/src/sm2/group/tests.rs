//! Every layer against RustCrypto's `sm2`, random and at the edges.

use proptest::prelude::*;
use sm2::elliptic_curve::Group as _;
use sm2::elliptic_curve::PrimeField as _;
use sm2::elliptic_curve::sec1::FromSec1Point as _;
use sm2::elliptic_curve::sec1::ToSec1Point as _;

use super::*;

/// 256-bit values, many of them near 0, p, n, 2^256 and powers of two.
fn value() -> impl Strategy<Value = [u64; 4]> {
    let limb = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::MAX - 1),
        Just(u64::MAX << 32),
        any::<u64>()
    ];
    let near = |modulus: [u64; 4]| {
        (any::<bool>(), 0_u64..40).prop_map(move |(above, by)| {
            let by = [by, 0, 0, 0];
            if above { limbs::add(&modulus, &by).0 } else { limbs::sub(&modulus, &by).0 }
        })
    };
    prop_oneof![
        3 => any::<[u64; 4]>(),
        3 => proptest::array::uniform4(limb),
        1 => near(field::P),
        1 => near(scalar::N),
        1 => near([0; 4]),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    value().prop_map(|limbs| Scalar::reduce(&limbs::to_bytes(&limbs)))
}

fn element() -> impl Strategy<Value = Element> {
    value().prop_map(|value| Element(limbs::reduce_once(&value, 0, &field::P)))
}

fn theirs(k: &Scalar) -> sm2::Scalar {
    sm2::Scalar::from_repr(k.to_bytes().into()).unwrap()
}

fn their_bytes(p: sm2::ProjectivePoint) -> Option<([u8; 32], [u8; 32])> {
    if bool::from(p.is_identity()) {
        return None;
    }
    let sec1 = p.to_affine().to_uncompressed_point();
    Some((sec1[1..33].try_into().unwrap(), sec1[33..].try_into().unwrap()))
}

fn their_point(p: &Point) -> sm2::ProjectivePoint {
    let (x, y) = p.coordinates();
    let sec1 = [&[4][..], &x, &y].concat();
    sm2::AffinePoint::from_sec1_bytes(&sec1).unwrap().into()
}

/// An own big integer, for the field, whose type RustCrypto does not show: long multiplication and division by shifts.
fn slow_mul(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let mut sum = [0; 4];
    for bit in (0..256).rev() {
        sum = slow_add(&sum, &sum);
        if b[bit / 64] >> (bit % 64) & 1 == 1 {
            sum = slow_add(&sum, a);
        }
    }
    sum
}

fn slow_add(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let mut wide = [0; 5];
    let mut carry = 0;
    for i in 0..4 {
        let sum = u128::from(a[i]) + u128::from(b[i]) + carry;
        wide[i] = u64::try_from(sum & u128::from(u64::MAX)).unwrap();
        carry = sum >> 64;
    }
    wide[4] = u64::try_from(carry).unwrap();
    let p = [field::P[0], field::P[1], field::P[2], field::P[3], 0];
    if wide.iter().rev().ge(p.iter().rev()) {
        let mut borrow = 0;
        for i in 0..5 {
            let difference = i128::from(wide[i]) - i128::from(p[i]) - borrow;
            borrow = i128::from(difference < 0);
            wide[i] = u64::try_from(difference + (borrow << 64)).unwrap();
        }
    }
    [wide[0], wide[1], wide[2], wide[3]]
}

fn plain(a: &Element) -> [u64; 4] {
    limbs::from_bytes(&a.to_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_field_agrees_with_long_multiplication(a in element(), b in element()) {
        prop_assert_eq!(plain(&a.mul(&b)), slow_mul(&plain(&a), &plain(&b)));
        prop_assert_eq!(plain(&a.square()), slow_mul(&plain(&a), &plain(&a)));
        prop_assert_eq!(plain(&a.add(&b)), slow_add(&plain(&a), &plain(&b)));
        prop_assert_eq!(a.sub(&b).add(&b), a);
        prop_assert_eq!(a.halve().double(), a);
        prop_assert_eq!(a.negate().add(&a), Element::default());
        for result in [a.mul(&b), a.square(), a.add(&b), a.sub(&b), a.halve(), a.negate()] {
            prop_assert!(limbs::sub(&result.0, &field::P).1, "below p");
        }
        prop_assert_eq!(Element::from_bytes(&a.to_bytes()), Some(a));
    }

    #[test]
    fn the_inverse_is_one(a in element()) {
        let expected = if a == Element::default() { a } else { Element::ONE };
        prop_assert_eq!(a.mul(&a.invert()), expected);
    }

    #[test]
    fn scalars_agree_with_rustcrypto(a in scalar(), b in scalar()) {
        let (x, y) = (theirs(&a), theirs(&b));
        prop_assert_eq!(a.add(&b).to_bytes(), <[u8; 32]>::from((x + y).to_repr()));
        prop_assert_eq!(a.sub(&b).to_bytes(), <[u8; 32]>::from((x - y).to_repr()));
        prop_assert_eq!(a.mul(&b).to_bytes(), <[u8; 32]>::from((x * y).to_repr()));
        prop_assert_eq!(bool::from(a.is_zero()), bool::from(x.is_zero()));
        let halved = a.halve();
        prop_assert_eq!(halved.add(&halved).to_bytes(), a.to_bytes());
        let inverse = Option::from(x.invert()).unwrap_or(sm2::Scalar::ZERO);
        prop_assert_eq!(a.invert().to_bytes(), <[u8; 32]>::from(inverse.to_repr()));
    }

    #[test]
    fn only_values_below_the_moduli_are_read(value in value()) {
        let bytes = limbs::to_bytes(&value);
        prop_assert_eq!(limbs::from_bytes(&bytes), value);
        prop_assert_eq!(Scalar::from_bytes(&bytes).is_some(), limbs::sub(&value, &scalar::N).1);
        prop_assert_eq!(Element::from_bytes(&bytes).is_some(), limbs::sub(&value, &field::P).1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn multiples_of_the_base_point_agree_with_rustcrypto(k in scalar()) {
        let expected = their_bytes(sm2::ProjectivePoint::generator() * theirs(&k));
        prop_assert_eq!(mul_base(&k).map(|p| p.coordinates()), expected);
        prop_assert_eq!(mul(&k, &Point::GENERATOR).map(|p| p.coordinates()), expected);
    }

    #[test]
    fn multiples_of_any_point_agree_with_rustcrypto(k in scalar(), base in scalar()) {
        prop_assume!(!bool::from(base.is_zero()));
        let p = mul_base(&base).unwrap();
        let expected = their_bytes(their_point(&p) * theirs(&k));
        prop_assert_eq!(mul(&k, &p).map(|p| p.coordinates()), expected);
    }

    #[test]
    fn sums_of_two_multiples_agree_with_rustcrypto(a in scalar(), b in scalar(), base in scalar()) {
        prop_assume!(!bool::from(base.is_zero()));
        let p = mul_base(&base).unwrap();
        let expected = sm2::ProjectivePoint::generator() * theirs(&a) + their_point(&p) * theirs(&b);
        let own = verify::multiply(&a, &b, &p.0).to_affine().map(|p| Point(p).coordinates());
        prop_assert_eq!(own, their_bytes(expected));
        let own = p.prepare().multiply(&a, &b).to_affine().map(|p| Point(p).coordinates());
        prop_assert_eq!(own, their_bytes(expected));
        let x = their_bytes(expected).map(|(x, _)| Scalar::reduce(&x));
        if let Some(x) = x {
            for sum in [sum_vartime(&a, &b, &p), p.prepare().sum_vartime(&a, &b)] {
                prop_assert!(sum.has_x_vartime(&x));
                prop_assert!(!sum.has_x_vartime(&x.add(&Scalar::ONE)));
            }
        }
        let expected = their_point(&p) + their_point(&Point::GENERATOR) * theirs(&b);
        prop_assert_eq!(
            add_mul_vartime(&p, &b, &Point::GENERATOR).map(|p| p.coordinates()),
            their_bytes(expected)
        );
    }
}

fn small(k: i64) -> Scalar {
    let magnitude = Scalar([k.unsigned_abs(), 0, 0, 0]);
    if k < 0 { Scalar([0; 4]).sub(&magnitude) } else { magnitude }
}

#[test]
fn small_scalars_and_their_opposites_are_right() {
    for k in -70..=70 {
        let k = small(k);
        let expected = their_bytes(sm2::ProjectivePoint::generator() * theirs(&k));
        assert_eq!(mul_base(&k).map(|p| p.coordinates()), expected);
        assert_eq!(mul(&k, &Point::GENERATOR).map(|p| p.coordinates()), expected);
    }
}

#[test]
fn sums_that_meet_the_exceptions_of_addition_are_right() {
    // P = ±G and its small multiples: equal, opposite and infinite intermediate values.
    for base in [1, -1, 2, -3] {
        let p = mul_base(&small(base)).unwrap();
        let prepared = p.prepare();
        for a in -9..=9 {
            for b in -9..=9 {
                let expected =
                    their_bytes(sm2::ProjectivePoint::generator() * theirs(&small(a + b * base)));
                let own = verify::multiply(&small(a), &small(b), &p.0)
                    .to_affine()
                    .map(|p| Point(p).coordinates());
                assert_eq!(own, expected, "{a} G + {b} * {base} G");
                let own = prepared.multiply(&small(a), &small(b)).to_affine();
                assert_eq!(own.map(|p| Point(p).coordinates()), expected);
            }
        }
    }
}

#[test]
fn the_constants_are_those_of_the_standard() {
    assert!(GENERATOR.is_on_curve());
    assert_eq!(
        Some(Point::GENERATOR.coordinates()),
        their_bytes(sm2::ProjectivePoint::generator())
    );
    assert!(mul_base(&small(0)).is_none());
    let last = mul_base(&small(-1)).unwrap();
    assert_eq!(last.0.x, GENERATOR.x);
    assert_eq!(last.0.y, GENERATOR.y.negate());
}
