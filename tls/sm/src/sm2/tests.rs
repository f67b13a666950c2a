//! The examples of GB/T 32918.5 Annexes A, B and C, and the rules around them.

use super::exchange::Role;
use super::group::Scalar;
use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex32(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

fn key(text: &str) -> PrivateKey {
    PrivateKey::from_bytes(&hex32(text)).unwrap()
}

fn example() -> PrivateKey {
    key("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
}

fn nonce() -> Scalar {
    Scalar::from_bytes(&hex32("59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21"))
        .unwrap()
}

#[test]
fn the_public_key_of_the_standards_example_is_found() {
    assert_eq!(
        example().public_key().to_uncompressed()[..],
        hex("04 09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020
             CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13")
    );
}

#[test]
fn the_signature_of_the_standards_example_is_made_and_verified() {
    let key = example();
    let digest = key.public_key().digest(DEFAULT_ID, &[b"message ", b"digest"]).unwrap();
    let signature = key.sign_with(&digest, &nonce()).unwrap();
    assert_eq!(
        signature.to_bytes()[..],
        hex("F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
             B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA")
    );
    assert_eq!(key.public_key().verify(DEFAULT_ID, &[b"message digest"], &signature), Ok(()));
}

#[test]
fn the_ciphertext_of_the_standards_example_is_made_and_opened() {
    let key = example();
    let der = key.public_key().encrypt_with(b"encryption standard", &nonce()).unwrap();
    let parts = Ciphertext::from_der(&der).unwrap();
    assert_eq!(parts.x, hex32("04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73"));
    assert_eq!(parts.y, hex32("E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0"));
    assert_eq!(
        parts.check,
        hex32("59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766")
    );
    assert_eq!(parts.encrypted, hex("21886CA989CA9C7D58087307CA93092D651EFA"));
    assert_eq!(key.decrypt(&der).unwrap()[..], *b"encryption standard");
}

#[test]
fn the_key_exchange_of_the_standards_example_agrees() {
    let a = key("81EB26E941BB5AF16DF116495F90695272AE2CD63D6C4AE1678418BE48230029");
    let b = key("785129917D45A9EA5437A59356B82338EAADDA6CEB199088F14AE10DEFA229B5");
    let ra = key("D4DE15474DB74D06491C440D305E012400990F3E390C7E87153C12DB2EA60BB3");
    let rb = key("7E07124814B309489125EAED101113164EBF0F3458C5BD88335C1F9D596243D6");
    let run = |role, own: &PrivateKey, r: &PrivateKey, peer: &PrivateKey, pr: &PrivateKey| {
        let mut out = [0; 16];
        let (peer, pr) = (peer.public_key(), pr.public_key());
        exchange::agree(role, own, r, DEFAULT_ID, peer, pr, DEFAULT_ID, &mut out).unwrap();
        out
    };
    assert_eq!(run(Role::Initiator, &a, &ra, &b, &rb)[..], hex("6C89347354DE2484C60B4AB1FDE4C6E5"));
    assert_eq!(run(Role::Responder, &b, &rb, &a, &ra)[..], hex("6C89347354DE2484C60B4AB1FDE4C6E5"));
}

#[test]
fn a_signature_fits_one_key_identifier_and_message_only() {
    let key = PrivateKey::generate().unwrap();
    let signature = key.sign(TLS13_ID, &[b"message"]).unwrap();
    let public = key.public_key();
    assert_eq!(public.verify(TLS13_ID, &[b"mess", b"age"], &signature), Ok(()));
    assert_eq!(public.verify(DEFAULT_ID, &[b"message"], &signature), Err(Error::Signature));
    assert_eq!(public.verify(TLS13_ID, &[b"massage"], &signature), Err(Error::Signature));
    let other = PrivateKey::generate().unwrap();
    assert_eq!(
        other.public_key().verify(TLS13_ID, &[b"message"], &signature),
        Err(Error::Signature)
    );
}

#[test]
fn two_signatures_of_one_message_differ() {
    let key = example();
    assert_ne!(key.sign(DEFAULT_ID, &[b"m"]).unwrap(), key.sign(DEFAULT_ID, &[b"m"]).unwrap());
}

#[test]
fn an_identifier_longer_than_its_length_field_is_refused() {
    let key = example();
    assert!(key.sign(&[0; 8191], &[]).is_ok());
    assert_eq!(key.sign(&[0; 8192], &[]), Err(Error::Length));
}

#[test]
fn signatures_are_strict_der_in_range() {
    let signature = example().sign(DEFAULT_ID, &[b"m"]).unwrap();
    let der = signature.to_der();
    assert_eq!(Signature::from_der(&der), Ok(signature));
    assert_eq!(Signature::from_bytes(&signature.to_bytes()), Ok(signature));
    let mut trailing = der.clone();
    trailing.push(0);
    let zero = hex("3006 020100 020101");
    let order =
        hex("3026 022100FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123 020101");
    let padded = hex("3007 02020001 020101");
    let negative = hex("3006 0201ff 020101");
    for bad in
        [&trailing, &zero, &order, &padded, &negative, &der[..der.len() - 1].to_vec(), &vec![]]
    {
        assert_eq!(Signature::from_der(bad), Err(Error::SignatureEncoding), "{bad:02x?}");
    }
}

#[test]
fn only_uncompressed_points_of_the_curve_are_public_keys() {
    let good = example().public_key().to_uncompressed();
    assert!(PublicKey::from_uncompressed(&good).is_ok());
    let mut off = good;
    off[64] ^= 1;
    let mut hybrid = good;
    hybrid[0] = 7;
    let mut compressed = good[..33].to_vec();
    compressed[0] = 3;
    let mut above_p = [0xff; 65];
    above_p[0] = 4;
    for bad in [&off[..], &hybrid, &compressed, &above_p, &good[..64], &[0], &[], &[4; 66], &{
        let mut zero = [0; 65];
        zero[0] = 4;
        zero
    }] {
        assert_eq!(PublicKey::from_uncompressed(bad), Err(Error::Point));
    }
}

#[test]
fn private_keys_lie_between_one_and_n_minus_two() {
    let order = hex32("FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123");
    let minus = |by| {
        let mut bytes = order;
        bytes[31] -= by;
        bytes
    };
    for bad in [[0; 32], order, minus(1), [0xff; 32]] {
        assert_eq!(PrivateKey::from_bytes(&bad).err(), Some(Error::PrivateKey));
    }
    let mut one = [0; 32];
    one[31] = 1;
    for good in [one, minus(2)] {
        let key = PrivateKey::from_bytes(&good).unwrap();
        assert_eq!(*key.to_bytes(), good);
        let signature = key.sign(DEFAULT_ID, &[b"m"]).unwrap();
        assert_eq!(key.public_key().verify(DEFAULT_ID, &[b"m"], &signature), Ok(()));
    }
}

#[test]
fn both_sides_of_ecdh_agree() {
    let (a, b) = (PrivateKey::generate().unwrap(), PrivateKey::generate().unwrap());
    assert_eq!(a.agree(b.public_key()), b.agree(a.public_key()));
}

#[test]
fn what_is_encrypted_is_decrypted_at_any_length() {
    let key = PrivateKey::generate().unwrap();
    for length in [1, 16, 31, 32, 33, 48, 1000] {
        let message = vec![7; length];
        assert_eq!(*key.decrypt(&key.public_key().encrypt(&message).unwrap()).unwrap(), message);
    }
    assert_eq!(key.public_key().encrypt(&[]), Err(Error::Length));
}

#[test]
fn every_kind_of_bad_ciphertext_is_one_error() {
    let key = PrivateKey::generate().unwrap();
    let der = key.public_key().encrypt(b"48 bytes of a premaster").unwrap();
    let changed = |change: &dyn Fn(&mut Ciphertext<'_>)| {
        let mut parts = Ciphertext::from_der(&der).unwrap();
        change(&mut parts);
        parts.to_der()
    };
    let off_curve = changed(&|parts| parts.y[31] ^= 1);
    let another_point = changed(&|parts| {
        let point = example().public_key().to_uncompressed();
        parts.x.copy_from_slice(&point[1..33]);
        parts.y.copy_from_slice(&point[33..]);
    });
    let check = changed(&|parts| parts.check[0] ^= 1);
    let encrypted = changed(&|parts| parts.encrypted = b"other bytes");
    for bad in [off_curve, another_point, check, encrypted] {
        assert_eq!(key.decrypt(&bad), Err(Error::Ciphertext));
    }
    let empty = changed(&|parts| parts.encrypted = b"");
    for bad in [&empty[..], &der[1..], &[]] {
        assert_eq!(key.decrypt(bad), Err(Error::CiphertextEncoding));
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let key = example();
    let shown = format!("{key:?}").to_lowercase();
    assert!(shown.contains("09f9df31"), "the public key is there");
    assert!(!shown.contains("3945208f") && !shown.contains("57, 69, 32"), "{shown}");
}
