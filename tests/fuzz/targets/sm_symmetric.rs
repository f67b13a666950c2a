//! SM4 on every path of this processor, in every mode, against RustCrypto's cipher; SM3 in any pieces against RustCrypto's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palanquin_sm::sm3::Sm3;
use palanquin_sm::sm4::Path;
use palanquin_sm::sm4::Sm4Cbc;
use palanquin_sm::sm4::Sm4Ccm;
use palanquin_sm::sm4::Sm4Gcm;
use sm3::Digest;

#[path = "../../../tls/sm/src/sm4/tests/reference.rs"]
mod reference;

fuzz_target!(|input: &[u8]| {
    let Some((head, data)) = input.split_first_chunk::<48>() else { return };
    let key: [u8; 16] = std::array::from_fn(|i| head[i]);
    let nonce: [u8; 12] = std::array::from_fn(|i| head[16 + i]);
    let iv: [u8; 16] = std::array::from_fn(|i| head[28 + i]);
    // One byte spreads a short input over long ones, for no corpus grows to several passes by itself.
    let data = data.repeat(1 + usize::from(head[44]) % 64);
    let (aad, data) = data.split_at(usize::from(head[45]).min(data.len()));
    let data = &data[..data.len().min(4096)];
    symmetric(&key, &nonce, &iv, aad, data);
    hash(data, usize::from(head[46]) + 1);
});

fn symmetric(key: &[u8; 16], nonce: &[u8; 12], iv: &[u8; 16], aad: &[u8], data: &[u8]) {
    let whole = &data[..data.len() / 16 * 16];
    let (gcm, gcm_tag) = reference::gcm(key, nonce, aad, data);
    let (ccm, ccm_tag) = reference::ccm(key, nonce, aad, data);
    let cbc = reference::cbc(key, iv, whole);
    for path in Path::ALL {
        let Some(cipher) = Sm4Gcm::with_path(path, key) else { continue };
        let mut buffer = data.to_vec();
        assert_eq!(cipher.seal(nonce, aad, &mut buffer), gcm_tag);
        assert_eq!(buffer, gcm);
        cipher.open(nonce, aad, &mut buffer, &gcm_tag).expect("what was sealed opens");
        assert_eq!(buffer, data);

        let Some(cipher) = Sm4Ccm::with_path(path, key) else { continue };
        assert_eq!(cipher.seal(nonce, aad, &mut buffer), ccm_tag);
        assert_eq!(buffer, ccm);
        cipher.open(nonce, aad, &mut buffer, &ccm_tag).expect("what was sealed opens");
        assert_eq!(buffer, data);

        let Some(cipher) = Sm4Cbc::with_path(path, key) else { continue };
        buffer.truncate(whole.len());
        cipher.encrypt(iv, &mut buffer);
        assert_eq!(buffer, cbc);
        cipher.decrypt(iv, &mut buffer);
        assert_eq!(buffer, whole);
    }
}

fn hash(data: &[u8], piece: usize) {
    let mut ours = Sm3::new();
    data.chunks(piece).for_each(|piece| ours.update(piece));
    assert_eq!(ours.finalize()[..], sm3::Sm3::digest(data)[..]);
}
