//! The pseudo-random function: that of TLS 1.2 with HMAC-SM3 (GB/T 38636-2020, 5.3).

use palanquin_sm::sm3::HmacSm3;
use zeroize::Zeroize;

/// Fills `out` with `P_SM3(secret, label || seeds)`.
pub(crate) fn prf(secret: &[u8], label: &[u8], seeds: [&[u8]; 2], out: &mut [u8]) {
    let keyed = HmacSm3::new(secret);
    let seed = |mac: &mut HmacSm3| {
        mac.update(label);
        for seed in seeds {
            mac.update(seed);
        }
    };
    let mut first = keyed.clone();
    seed(&mut first);
    let mut chain = first.finalize();
    for chunk in out.chunks_mut(chain.len()) {
        let mut mac = keyed.clone();
        mac.update(&chain);
        seed(&mut mac);
        let mut block = mac.finalize();
        chunk.copy_from_slice(&block[..chunk.len()]);
        block.zeroize();
        let mut mac = keyed.clone();
        mac.update(&chain);
        chain = mac.finalize();
    }
    chain.zeroize();
}

#[cfg(test)]
mod tests {
    use palanquin_sm::sm3;

    use super::prf;

    #[test]
    fn the_function_is_the_one_of_rfc_5246_over_hmac_sm3() {
        let seed = b"labelab";
        let a1 = sm3::hmac(b"secret", &[seed]);
        let a2 = sm3::hmac(b"secret", &[&a1]);
        let expected =
            [sm3::hmac(b"secret", &[&a1, seed]), sm3::hmac(b"secret", &[&a2, seed])].concat();
        let mut out = [0; 48];
        prf(b"secret", b"label", [b"a", b"b"], &mut out);
        assert_eq!(out[..], expected[..48]);
    }
}
