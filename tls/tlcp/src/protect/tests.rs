//! Records sealed and opened, and the constant-time opening of CBC against the plain one.
#![expect(clippy::cast_possible_truncation, reason = "patterns of bytes")]

use palanquin_sm::sm3::HmacSm3;

use super::*;

fn keys() -> DirectionKeys {
    DirectionKeys { mac: [1; 32], key: [2; 16], salt: [3; 4] }
}

#[test]
fn records_of_every_length_open_as_they_were_sealed() {
    for bulk in [Bulk::Cbc, Bulk::Gcm] {
        let (mut sealer, mut opener) = (Sealer::new(bulk, &keys()), Opener::new(bulk, &keys()));
        for length in (0..400).chain([1000, 16_383, MAX_PLAIN]) {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let (start, end) = plain.split_at(length / 3);
            let mut out = Vec::new();
            let pieces = [start, end].into_iter();
            sealer.seal(ContentType::ApplicationData, pieces, &mut out).unwrap();
            let (header, body) = out.split_at_mut(HEADER_LEN);
            assert_eq!(header[..3], [23, 1, 1]);
            assert_eq!(usize::from(u16::from_be_bytes([header[3], header[4]])), body.len());
            let range = opener.open(ContentType::ApplicationData, body).unwrap();
            assert_eq!(body[range], plain);
        }
    }
}

/// Data of every size comes out as it went in, in however many records.
#[test]
fn data_that_is_cut_into_records_opens_as_it_was_sealed() {
    for bulk in [Bulk::Cbc, Bulk::Gcm] {
        let (mut sealer, mut opener) = (Sealer::new(bulk, &keys()), Opener::new(bulk, &keys()));
        for length in [0, 1, 3071, 3072, 3073, 4096, 5000, 8191, 8192, 12_345, 16_383, MAX_PLAIN] {
            let plain: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let mut out = Vec::new();
            sealer.seal_data(plain.chunks(777), length, &mut out).unwrap();
            let (mut opened, mut records, mut rest) = (Vec::new(), 0, &mut out[..]);
            while !rest.is_empty() {
                let (header, body) = rest.split_at_mut(HEADER_LEN);
                assert_eq!(header[..3], [23, 1, 1]);
                let size = usize::from(u16::from_be_bytes([header[3], header[4]]));
                let (body, next) = body.split_at_mut(size);
                let range = opener.open(ContentType::ApplicationData, body).unwrap();
                opened.extend_from_slice(&body[range]);
                (records, rest) = (records + 1, next);
            }
            assert_eq!(opened, plain);
            let expected =
                if bulk == Bulk::Cbc && length >= 3072 { (length / 1024).min(8) } else { 1 };
            assert_eq!(records, expected, "{length}");
        }
    }
}

#[test]
fn a_record_of_another_type_does_not_open() {
    for bulk in [Bulk::Cbc, Bulk::Gcm] {
        let (mut sealer, mut opener) = (Sealer::new(bulk, &keys()), Opener::new(bulk, &keys()));
        let mut out = Vec::new();
        sealer.seal(ContentType::Alert, std::iter::once(&[1, 0][..]), &mut out).unwrap();
        let opened = opener.open(ContentType::ApplicationData, &mut out[HEADER_LEN..]);
        assert!(matches!(opened, Err(Error::Record)));
    }
}

#[test]
fn short_and_odd_records_do_not_open() {
    for bulk in [Bulk::Cbc, Bulk::Gcm] {
        for length in 0..100 {
            let mut opener = Opener::new(bulk, &keys());
            let opened = opener.open(ContentType::ApplicationData, &mut vec![0; length]);
            assert!(matches!(opened, Err(Error::Record)));
        }
    }
}

#[test]
fn a_protected_record_that_carries_too_much_is_refused() {
    for bulk in [Bulk::Cbc, Bulk::Gcm] {
        let (mut sealer, mut opener) = (Sealer::new(bulk, &keys()), Opener::new(bulk, &keys()));
        let mut out = Vec::new();
        let plain = vec![0; MAX_PLAIN + 1];
        sealer.seal(ContentType::ApplicationData, std::iter::once(&plain[..]), &mut out).unwrap();
        let opened = opener.open(ContentType::ApplicationData, &mut out[HEADER_LEN..]);
        assert!(matches!(opened, Err(Error::TooLong("record"))));
    }
}

const NUMBER: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 9];

/// Plaintext, its MAC, and padding that says `last` and is `count` bytes long.
fn padded(plain: &[u8], last: u8, count: usize) -> Vec<u8> {
    let mut mac = HmacSm3::new(&[1; 32]);
    mac.update(&authenticated(NUMBER, ContentType::ApplicationData, plain.len()));
    mac.update(plain);
    [plain, &mac.finalize(), &vec![last; count]].concat()
}

fn stripped(data: &[u8]) -> Option<usize> {
    strip(&HmacSm3::new(&[1; 32]), NUMBER, ContentType::ApplicationData, data)
}

/// What [`strip`] does, without any care for time.
fn naive(data: &[u8]) -> Option<usize> {
    let last = *data.last()?;
    let length = data.len().checked_sub(usize::from(last) + 1 + 32)?;
    let good = padded(&data[..length], last, usize::from(last) + 1);
    (good == data).then_some(length)
}

#[test]
fn every_length_of_padding_is_taken_off() {
    for length in [0, 1, 15, 31, 32, 33, 63, 64, 65, 100, 300, 1000] {
        let plain = vec![0xab; length];
        for last in 0..=255 {
            let data = padded(&plain, last, usize::from(last) + 1);
            assert_eq!(stripped(&data), Some(length));
        }
    }
}

#[test]
fn wrong_padding_and_wrong_macs_are_found_wherever_they_are() {
    for length in [0, 5, 200] {
        for last in [0, 1, 15, 100, 255] {
            let good = padded(&vec![7; length], last, usize::from(last) + 1);
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x11;
                assert_eq!(stripped(&bad), naive(&bad), "{length} {last} {at}");
                assert_eq!(stripped(&bad), None, "{length} {last} {at}");
            }
        }
    }
}

#[test]
fn the_constant_time_opening_agrees_with_the_plain_one() {
    let mut state = 5u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..300 {
        let plain: Vec<u8> = (0..random() % 200).map(|_| random() as u8).collect();
        let mut data = padded(&plain, (random() % 256) as u8, 1 + random() % 256);
        if random() % 2 == 0 {
            let at = random() % data.len();
            data[at] = random() as u8;
        }
        assert_eq!(stripped(&data), naive(&data));
    }
}
