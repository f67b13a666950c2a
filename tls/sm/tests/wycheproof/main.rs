//! Project Wycheproof's vectors (Apache-2.0; the three files beside this one are theirs, unchanged): SM4-GCM and SM4-CCM on every path
//! of this processor, and HMAC-SM3.
//!
//! Nonces other than 12 bytes and CCM tags other than 16 are not part of any suite here and have no interface; the counts at the end show
//! that all others ran.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test")]

use palanquin_sm::sm3::hmac;
use palanquin_sm::sm4::Path;
use palanquin_sm::sm4::Sm4Ccm;
use palanquin_sm::sm4::Sm4Gcm;
use serde_json::Value;

/// The groups of a file, each with its tests.
fn groups(json: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(json).unwrap();
    file["testGroups"].as_array().unwrap().clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap().as_bytes();
    text.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Runs the tests of one mode. `seal` gives data and tag, `open` the data when the tag fits.
fn aead(
    json: &str,
    seal: impl Fn(Path, &[u8; 16], &[u8; 12], &[u8], &mut Vec<u8>) -> [u8; 16],
    open: impl Fn(Path, &[u8; 16], &[u8; 12], &[u8], &mut Vec<u8>, &[u8; 16]) -> bool,
) -> usize {
    let mut ran = 0;
    for group in
        groups(json).iter().filter(|group| group["ivSize"] == 96 && group["tagSize"] == 128)
    {
        for test in group["tests"].as_array().unwrap() {
            let key: [u8; 16] = bytes(&test["key"]).try_into().unwrap();
            let nonce: [u8; 12] = bytes(&test["iv"]).try_into().unwrap();
            let tag: [u8; 16] = bytes(&test["tag"]).try_into().unwrap();
            let (aad, plain, sealed) =
                (bytes(&test["aad"]), bytes(&test["msg"]), bytes(&test["ct"]));
            let valid = test["result"] == "valid";
            for path in Path::ALL.into_iter().filter(|path| path.available()) {
                let mut data = sealed.clone();
                let opened = open(path, &key, &nonce, &aad, &mut data, &tag);
                assert_eq!(opened, valid, "{path:?}: {test}");
                if valid {
                    assert_eq!(data, plain, "{path:?}: {test}");
                    assert_eq!(seal(path, &key, &nonce, &aad, &mut data), tag, "{path:?}: {test}");
                    assert_eq!(data, sealed, "{path:?}: {test}");
                }
            }
            ran += 1;
        }
    }
    ran
}

#[test]
fn gcm_agrees_with_wycheproof_on_every_path() {
    let ran = aead(
        include_str!("sm4_gcm_test.json"),
        |path, key, nonce, aad, data| Sm4Gcm::with_path(path, key).unwrap().seal(nonce, aad, data),
        |path, key, nonce, aad, data, tag| {
            Sm4Gcm::with_path(path, key).unwrap().open(nonce, aad, data, tag).is_ok()
        },
    );
    assert_eq!(ran, 65);
}

#[test]
fn ccm_agrees_with_wycheproof_on_every_path() {
    let ran = aead(
        include_str!("sm4_ccm_test.json"),
        |path, key, nonce, aad, data| Sm4Ccm::with_path(path, key).unwrap().seal(nonce, aad, data),
        |path, key, nonce, aad, data, tag| {
            Sm4Ccm::with_path(path, key).unwrap().open(nonce, aad, data, tag).is_ok()
        },
    );
    assert_eq!(ran, 78);
}

#[test]
fn hmac_agrees_with_wycheproof() {
    let mut ran = 0;
    for group in groups(include_str!("hmac_sm3_test.json")) {
        let length = group["tagSize"].as_u64().unwrap() as usize / 8;
        for test in group["tests"].as_array().unwrap() {
            let message = bytes(&test["msg"]);
            let (head, tail) = message.split_at(message.len() / 3);
            let code = hmac(&bytes(&test["key"]), &[head, tail]);
            let same = code[..length] == bytes(&test["tag"]);
            assert_eq!(same, test["result"] == "valid", "{test}");
            ran += 1;
        }
    }
    assert_eq!(ran, 174);
}
