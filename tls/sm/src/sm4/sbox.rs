//! The algebra behind the S-box, from which every path takes its constants at compile time. No table of the S-box itself is
//! used anywhere: a look-up by secret bytes would tell them to whoever shares the cache.
//!
//! The S-box is an inversion in a field of 256 elements between two affine maps, `S(x) = POST·inv(PRE·x + 3E) + D3`, here with
//! the inversion in the field of AES, which processors have instructions for. L mixes the four bytes of a word and is linear:
//! with `U` the shift of a byte by 2 to the left, `V` the shift by 6 to the right and `ρ = U + V`, its byte `i` is
//! `(1 + U) s[i] + ρ s[i-1] + ρ s[i-2] + (1 + V) s[i-3]`, and `1 + V` is `(1 + U) + ρ`. So with `p = (1 + U) s` and `q = ρ s`
//! it is `p ^ rotl8(q) ^ rotl16(q) ^ rotl24(p ^ q)`.
//!
//! The paths keep their state as `PRE·x` instead of `x`: xor does not mind, `PRE` vanishes from the rounds, and the matrices of
//! `p` and `q` take the way back ([`P`], [`Q`]).

/// A linear map of bytes: bit `i` of the result is the parity of the argument under byte `7 - i`, as GFNI has it.
pub(super) type Matrix = u64;

/// Into the state's domain.
pub(super) const PRE: Matrix = 0x4C28_7DB9_1A22_505D;
/// What is added before the inversion; round keys carry it.
pub(super) const PRE_ADD: u8 = 0x3E;
const POST: Matrix = 0xF3AB_34A9_74A6_B589;
const POST_ADD: u8 = 0xD3;

/// Out of the state's domain. (The portable path has a domain of its own.)
#[cfg(any(target_arch = "x86_64", test))]
pub(super) const PRE_INVERSE: Matrix = invert(PRE);

const SHIFT_2: Matrix = from_columns([4, 8, 16, 32, 64, 128, 0, 0]);
const ROTATE_2: Matrix = from_columns([4, 8, 16, 32, 64, 128, 1, 2]);
const ONE: Matrix = from_columns([1, 2, 4, 8, 16, 32, 64, 128]);

/// From an inverted byte to `p`, in the state's domain.
pub(super) const P: Matrix = compose(compose(PRE, ONE ^ SHIFT_2), POST);
/// From an inverted byte to `q` less [`Q_ADD`], in the state's domain.
pub(super) const Q: Matrix = compose(compose(PRE, ROTATE_2), POST);
/// What `q` carries of the S-box's constant. (`p` carries none: L adds it twice.)
pub(super) const Q_ADD: u8 = apply(compose(PRE, ROTATE_2), POST_ADD);

/// From an inverted byte to the S-box's value less [`SBOX_ADD`]: for the key schedule, whose L differs.
pub(super) const SBOX: Matrix = POST;
/// The constant of the S-box.
pub(super) const SBOX_ADD: u8 = POST_ADD;

/// `m` times `x`.
pub(super) const fn apply(m: Matrix, x: u8) -> u8 {
    let rows = m.to_le_bytes();
    let mut result = 0;
    let mut bit = 0;
    while bit < 8 {
        result |= (((rows[7 - bit] & x).count_ones() & 1) as u8) << bit;
        bit += 1;
    }
    result
}

/// The map that takes bit `i` to `columns[i]`.
pub(super) const fn from_columns(columns: [u8; 8]) -> Matrix {
    let mut m = 0;
    let mut column = 0;
    while column < 8 {
        let mut row = 0;
        while row < 8 {
            m |= ((columns[column] as u64 >> row) & 1) << (8 * (7 - row) + column);
            row += 1;
        }
        column += 1;
    }
    m
}

/// First `b`, then `a`.
pub(super) const fn compose(a: Matrix, b: Matrix) -> Matrix {
    let mut columns = [0; 8];
    let mut i = 0;
    while i < 8 {
        columns[i] = apply(a, apply(b, 1 << i));
        i += 1;
    }
    from_columns(columns)
}

/// The way back of a map that has one; any other fails to compile.
pub(super) const fn invert(m: Matrix) -> Matrix {
    let mut columns = [0; 8];
    let mut i = 0;
    while i < 8 {
        let mut x = 1u8;
        while apply(m, x) != 1 << i {
            x += 1;
        }
        columns[i] = x;
        i += 1;
    }
    from_columns(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_and_its_inverse_undo_each_other() {
        assert_eq!(compose(PRE, PRE_INVERSE), ONE);
        assert_eq!(compose(PRE_INVERSE, PRE), ONE);
        assert!((0..=255).all(|x| apply(ONE, x) == x));
        assert!((0..=255u8).all(|x| apply(ROTATE_2, x) == x.rotate_left(2)));
    }
}
