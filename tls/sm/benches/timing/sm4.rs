//! SM4 by key, by data and by the place of a wrong byte in a tag, on every path of this processor; HMAC-SM3 by key.
//!
//! The last subject leaks by design: a comparison that stops at the first difference. It shows that the method sees one.

use palanquin_sm::sm3::HmacSm3;
use palanquin_sm::sm4::Path;
use palanquin_sm::sm4::Sm4Cbc;
use palanquin_sm::sm4::Sm4Ccm;
use palanquin_sm::sm4::Sm4Gcm;

use super::Class;
use super::Subject;
use super::timed;

const SIZE: usize = 512;
const NONCE: [u8; 12] = [5; 12];
const KEY: [u8; 16] = [0x5a; 16];

pub(crate) fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for path in Path::ALL.into_iter().filter(|path| path.available()) {
        subjects.extend(of_path(path).into_iter().flatten());
    }
    let mut key = [0; 16];
    subjects.push(Subject::new("hmac-sm3 by key", move |class, random| {
        random.fill(class, &mut key, 0);
        timed(|| {
            let mut mac = HmacSm3::new(&key);
            mac.update(&[7; SIZE]);
            mac.finalize()
        })
    }));
    let mut data = [0; SIZE];
    subjects.push(Subject::new("leaks by design: early-out comparison", move |class, _| {
        data.fill(0);
        data[if class == Class::Fixed { 0 } else { SIZE - 1 }] = 1;
        timed(|| data.iter().position(|byte| std::hint::black_box(*byte) != 0))
    }));
    subjects
}

fn of_path(path: Path) -> Option<Vec<Subject>> {
    let name = |what: &str| format!("{path:?}: {what}");
    let mut subjects = Vec::new();

    let mut key = [0; 16];
    subjects.push(Subject::new(name("expanding by key"), move |class, random| {
        random.fill(class, &mut key, 0);
        timed(|| Sm4Gcm::with_path(path, &key))
    }));

    let mut key = [0; 16];
    subjects.push(Subject::new(name("gcm seal by key"), move |class, random| {
        random.fill(class, &mut key, 0);
        let mut data = [7; SIZE];
        let cipher = Sm4Gcm::with_path(path, &key);
        timed(|| cipher.map(|cipher| cipher.seal(&NONCE, &[], &mut data)))
    }));

    let (cipher, mut data) = (Sm4Gcm::with_path(path, &KEY)?, [0; SIZE]);
    subjects.push(Subject::new(name("gcm seal by data"), move |class, random| {
        random.fill(class, &mut data, 0);
        timed(|| cipher.seal(&NONCE, &[], &mut data))
    }));

    let cipher = Sm4Gcm::with_path(path, &KEY)?;
    let mut sealed = [0; SIZE];
    let tag = cipher.seal(&NONCE, &[], &mut sealed);
    subjects.push(Subject::new(name("gcm open by the wrong byte of the tag"), move |class, _| {
        let (mut data, mut tag) = (sealed, tag);
        tag[if class == Class::Fixed { 0 } else { 15 }] ^= 1;
        timed(|| cipher.open(&NONCE, &[], &mut data, &tag))
    }));

    let (cipher, mut data) = (Sm4Ccm::with_path(path, &KEY)?, [0; SIZE]);
    subjects.push(Subject::new(name("ccm seal by data"), move |class, random| {
        random.fill(class, &mut data, 0);
        timed(|| cipher.seal(&NONCE, &[], &mut data))
    }));

    let (cipher, mut data) = (Sm4Cbc::with_path(path, &KEY)?, [0; SIZE]);
    subjects.push(Subject::new(name("cbc decrypt by data"), move |class, random| {
        random.fill(class, &mut data, 0);
        timed(|| cipher.decrypt(&KEY, &mut data))
    }));

    let (cipher, mut data) = (Sm4Cbc::with_path(path, &KEY)?, [0; SIZE]);
    subjects.push(Subject::new(name("cbc encrypt by data"), move |class, random| {
        random.fill(class, &mut data, 0);
        timed(|| cipher.encrypt(&KEY, &mut data))
    }));
    Some(subjects)
}
