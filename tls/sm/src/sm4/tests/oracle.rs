//! Every path against RustCrypto's cipher.

use proptest::collection::vec;
use proptest::prelude::*;

use super::reference::cbc;
use super::reference::ccm;
use super::reference::ctr;
use super::reference::gcm;
use super::*;

fn paths() -> Vec<Path> {
    Path::ALL.into_iter().filter(|path| path.available()).collect()
}

fn every_mode(key: [u8; 16], nonce: [u8; 12], iv: [u8; 16], aad: &[u8], data: &[u8]) {
    let whole = &data[..data.len() / 16 * 16];
    let (gcm_sealed, gcm_tag) = gcm(&key, &nonce, aad, data);
    let (ccm_sealed, ccm_tag) = ccm(&key, &nonce, aad, data);
    let cbc_sealed = cbc(&key, &iv, whole);
    for path in paths() {
        let cipher = Sm4Gcm::with_path(path, &key).unwrap();
        let mut buffer = data.to_vec();
        assert_eq!(cipher.seal(&nonce, aad, &mut buffer), gcm_tag, "{path:?}");
        assert_eq!(buffer, gcm_sealed, "{path:?}");
        cipher.open(&nonce, aad, &mut buffer, &gcm_tag).unwrap();
        assert_eq!(buffer, data, "{path:?}");

        let cipher = Sm4Ccm::with_path(path, &key).unwrap();
        assert_eq!(cipher.seal(&nonce, aad, &mut buffer), ccm_tag, "{path:?}");
        assert_eq!(buffer, ccm_sealed, "{path:?}");
        cipher.open(&nonce, aad, &mut buffer, &ccm_tag).unwrap();
        assert_eq!(buffer, data, "{path:?}");

        let cipher = Sm4Cbc::with_path(path, &key).unwrap();
        let mut buffer = whole.to_vec();
        cipher.encrypt(&iv, &mut buffer);
        assert_eq!(buffer, cbc_sealed, "{path:?}");
        cipher.decrypt(&iv, &mut buffer);
        assert_eq!(buffer, whole, "{path:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_path_agrees_with_the_oracle(
        key: [u8; 16], nonce: [u8; 12], iv: [u8; 16], aad in vec(any::<u8>(), 0..80), data in vec(any::<u8>(), 0..=4096),
    ) {
        every_mode(key, nonce, iv, &aad, &data);
    }

    #[test]
    fn every_path_agrees_on_much_associated_data(key: [u8; 16], aad in vec(any::<u8>(), 500..4000), data in vec(any::<u8>(), 0..40)) {
        every_mode(key, [7; 12], [8; 16], &aad, &data);
    }

    #[test]
    fn many_messages_are_encrypted_as_each_alone(
        key: [u8; 16],
        messages in vec((any::<[u8; 16]>(), 0usize..40), 0..40),
        data in vec(any::<u8>(), 640),
    ) {
        for path in paths() {
            let mut sealed: Vec<Vec<u8>> =
                messages.iter().map(|(_, blocks)| data[..16 * blocks].to_vec()).collect();
            let mut many: Vec<CbcMessage<'_>> = messages
                .iter()
                .zip(&mut sealed)
                .map(|((iv, _), data)| CbcMessage { iv: *iv, data })
                .collect();
            Sm4Cbc::with_path(path, &key).unwrap().encrypt_many(&mut many);
            for ((iv, blocks), sealed) in messages.iter().zip(&sealed) {
                prop_assert_eq!(&cbc(&key, iv, &data[..16 * blocks]), sealed, "{:?}", path);
            }
        }
    }

    #[test]
    fn counters_wrap_in_their_four_bytes(key: [u8; 16], start: u128, below in 0u32..100, data in vec(any::<u8>(), 0..3000)) {
        let start = start >> 32 << 32 | u128::from(u32::MAX - below);
        let expected = ctr(&key, start, &data);
        for path in paths() {
            let mut buffer = data.clone();
            Cipher::new(path, &key).unwrap().ctr(&start.to_be_bytes(), &mut buffer);
            prop_assert_eq!(&buffer, &expected, "{:?}", path);
        }
    }
}

#[test]
fn every_length_up_to_two_passes_agrees() {
    let data: Vec<u8> = (0..2200u32).map(|i| ((i * i) >> 3) as u8).collect();
    for length in (0..=2200).filter(|n| n % 16 < 2 || n % 16 == 15) {
        every_mode([length as u8; 16], [3; 12], [9; 16], &data[..13], &data[..length]);
    }
}

#[test]
fn this_processor_has_a_path() {
    assert!(Path::best().available());
    println!("paths here: {:?}", paths());
}
