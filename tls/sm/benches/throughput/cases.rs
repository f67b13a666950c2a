//! What is measured of our own, and what of a peer is like it.

use palanquin_sm::sm3;
use palanquin_sm::sm4::CbcMessage;
use palanquin_sm::sm4::Path;
use palanquin_sm::sm4::Sm4Cbc;
use palanquin_sm::sm4::Sm4Ccm;
use palanquin_sm::sm4::Sm4Gcm;

/// The columns' order; peers follow.
pub(crate) const COLUMNS: &[&str] = &["Avx512", "Gfni", "AesNi", "Portable", "ours", "RustCrypto"];

pub(crate) struct Case {
    pub(crate) row: String,
    pub(crate) column: String,
    pub(crate) bytes: usize,
    pub(crate) run: Box<dyn FnMut()>,
}

/// The payloads: a whole record, and a small one with its content type behind, as TLS 1.3 seals it.
const SIZES: [usize; 2] = [16_384, 1_024];
const KEY: [u8; 16] = [0x23; 16];
const NONCE: [u8; 12] = [0x42; 12];
const AAD: [u8; 5] = [0x17, 3, 3, 0x40, 0x11];

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in SIZES {
        for path in Path::ALL.into_iter().filter(|path| path.available()) {
            cases.extend(of_path(path, size));
        }
        let mut data = vec![7u8; size];
        cases.push(case("sm3", size, "ours", move || {
            let hash = sm3::digest(&data);
            data[..32].copy_from_slice(&hash);
        }));
        let mut data = vec![7u8; size];
        cases.push(case("sm3", size, "RustCrypto", move || {
            let hash = <::sm3::Sm3 as ::sm3::Digest>::digest(&data);
            data[..32].copy_from_slice(&hash);
        }));
        let (mut data, mac) = (vec![7u8; size], sm3::HmacSm3::new(&KEY));
        cases.push(case("hmac-sm3", size, "ours", move || {
            let mut mac = mac.clone();
            mac.update(&data);
            data[..32].copy_from_slice(&mac.finalize());
        }));
    }
    cases
}

fn case(name: &str, bytes: usize, column: impl ToString, run: impl FnMut() + 'static) -> Case {
    Case { row: row(name, bytes), column: column.to_string(), bytes, run: Box::new(run) }
}

fn row(name: &str, bytes: usize) -> String {
    format!("{name} {bytes}")
}

fn of_path(path: Path, size: usize) -> Vec<Case> {
    let column = format!("{path:?}");
    let mut cases = Vec::new();
    let Some((gcm, gcm_open)) = Sm4Gcm::with_path(path, &KEY).zip(Sm4Gcm::with_path(path, &KEY))
    else {
        return cases;
    };
    let mut data = vec![7u8; size + 1];
    cases.push(case("gcm seal", size, &column, move || {
        data[0] ^= gcm.seal(&NONCE, &AAD, &mut data)[0];
    }));
    let mut sealed = vec![7u8; size + 1];
    let tag = gcm_open.seal(&NONCE, &AAD, &mut sealed);
    let mut data = sealed.clone();
    cases.push(case("gcm open", size, &column, move || {
        data.copy_from_slice(&sealed);
        assert!(gcm_open.open(&NONCE, &AAD, &mut data, &tag).is_ok());
    }));
    let Some(ccm) = Sm4Ccm::with_path(path, &KEY) else { return cases };
    let mut data = vec![7u8; size + 1];
    cases.push(case("ccm seal", size, &column, move || {
        data[0] ^= ccm.seal(&NONCE, &AAD, &mut data)[0];
    }));
    let Some((cbc, cbc_open)) = Sm4Cbc::with_path(path, &KEY).zip(Sm4Cbc::with_path(path, &KEY))
    else {
        return cases;
    };
    let mut data = vec![7u8; size];
    cases.push(case("cbc encrypt", size, &column, move || cbc.encrypt(&KEY, &mut data)));
    let mut data = vec![7u8; size];
    cases.push(case("cbc decrypt", size, &column, move || cbc_open.decrypt(&KEY, &mut data)));
    if let Some(many) = Sm4Cbc::with_path(path, &KEY).filter(|_| size > 8_192) {
        let (mut data, mac) = (vec![7u8; size], sm3::HmacSm3::new(&KEY));
        cases.push(case("cbc+hmac, in 8 records", size, &column, move || {
            let mut codes = [[0; 32]; 8];
            let pieces: Vec<_> =
                data.chunks(size / 8).map(|body| sm3::Pieces { head: &AAD, body }).collect();
            mac.finalize_many(&pieces, &mut codes);
            let mut messages: Vec<_> =
                data.chunks_mut(size / 8).map(|data| CbcMessage { iv: KEY, data }).collect();
            many.encrypt_many(&mut messages);
            data[0] ^= codes[0][0];
        }));
    }
    if let Some(one) = Sm4Cbc::with_path(path, &KEY) {
        let (mut data, mac) = (vec![7u8; size], sm3::HmacSm3::new(&KEY));
        cases.push(case("cbc+hmac, in 1 record", size, &column, move || {
            let mut mac = mac.clone();
            mac.update(&AAD);
            mac.update(&data);
            one.encrypt(&KEY, &mut data);
            data[0] ^= mac.finalize()[0];
        }));
    }
    cases.push(case("gcm key", 16, &column, move || {
        std::hint::black_box(Sm4Gcm::with_path(path, std::hint::black_box(&KEY)));
    }));
    cases
}

/// Rows, and the arguments of `speed` that measure the like.
pub(crate) fn peer_rows() -> Vec<(&'static str, &'static [&'static str])> {
    vec![
        ("gcm seal 16384", &["-evp", "sm4-gcm", "-bytes", "16384"]),
        ("gcm open 16384", &["-evp", "sm4-gcm", "-decrypt", "-bytes", "16384"]),
        ("gcm seal 1024", &["-evp", "sm4-gcm", "-bytes", "1024"]),
        ("gcm open 1024", &["-evp", "sm4-gcm", "-decrypt", "-bytes", "1024"]),
        ("ccm seal 16384", &["-evp", "sm4-ccm", "-bytes", "16384"]),
        ("cbc encrypt 16384", &["-evp", "sm4-cbc", "-bytes", "16384"]),
        ("cbc decrypt 16384", &["-evp", "sm4-cbc", "-decrypt", "-bytes", "16384"]),
        ("sm3 16384", &["-evp", "sm3", "-bytes", "16384"]),
        ("sm3 1024", &["-evp", "sm3", "-bytes", "1024"]),
    ]
}
