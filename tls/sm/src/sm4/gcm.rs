//! SM4-GCM (NIST SP 800-38D over SM4; RFC 8998 section 3).

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::BLOCK_SIZE;
use super::Cipher;
use super::KEY_SIZE;
use super::NONCE_SIZE;
use super::OpenError;
use super::Path;
use super::TAG_SIZE;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// SM4-GCM under one key, with 12-byte nonces and 16-byte tags. The key is wiped on drop.
pub struct Sm4Gcm(Inner);

enum Inner {
    /// Encrypts and hashes at once.
    #[cfg(target_arch = "x86_64")]
    Avx512(Box<x86::vclmul::Gcm>),
    /// Encrypts and hashes in turn, in parts that stay in the nearest cache.
    Parts(Box<Parts>),
}

struct Parts {
    cipher: Cipher,
    hash: Hash,
}

enum Hash {
    #[cfg(target_arch = "x86_64")]
    Clmul(Box<x86::clmul::Ghash>),
    Portable(portable::Ghash),
}

/// Bytes of a part.
const PART: usize = 1024;

impl Sm4Gcm {
    /// Expands `key` for the fastest path.
    pub fn new(key: &[u8; KEY_SIZE]) -> Self {
        Self::with_path(Path::best(), key)
            .unwrap_or_else(|| Self(Inner::parts(Cipher::best(key), Path::Portable)))
    }

    /// Expands `key` for `path`; `None` when this processor cannot take it.
    pub fn with_path(path: Path, key: &[u8; KEY_SIZE]) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if path == Path::Avx512 {
            return Some(Self(Inner::Avx512(Box::new(x86::vclmul::Gcm::new(key)?))));
        }
        Some(Self(Inner::parts(Cipher::new(path, key)?, path)))
    }

    /// Encrypts `data` in place and returns its tag. A nonce must never be used twice under one key, and `data` must be shorter than
    /// 64 GiB.
    #[must_use = "data without its tag cannot be opened"]
    pub fn seal(&self, nonce: &[u8; NONCE_SIZE], aad: &[u8], data: &mut [u8]) -> [u8; TAG_SIZE] {
        match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512(gcm) => gcm.seal(nonce, aad, data),
            Inner::Parts(parts) => crypt::<false>(parts, nonce, aad, data),
        }
    }

    /// Decrypts `data` in place and checks the tag in constant time. When the tag does not fit, `data` is zeroed.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_SIZE],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_SIZE],
    ) -> Result<(), OpenError> {
        let expected = match &self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512(gcm) => gcm.open(nonce, aad, data),
            Inner::Parts(parts) => crypt::<true>(parts, nonce, aad, data),
        };
        if bool::from(expected.ct_eq(tag)) {
            return Ok(());
        }
        data.zeroize();
        Err(OpenError)
    }
}

impl std::fmt::Debug for Sm4Gcm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sm4Gcm { .. }")
    }
}

impl Inner {
    fn parts(cipher: Cipher, path: Path) -> Self {
        let mut h = [0; BLOCK_SIZE];
        cipher.encrypt(&mut h);
        let hash = Hash::new(path, &h);
        h.zeroize();
        Self::Parts(Box::new(Parts { cipher, hash }))
    }
}

impl Hash {
    fn new(path: Path, h: &[u8; BLOCK_SIZE]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if path != Path::Portable
            && let Some(hash) = x86::clmul::Ghash::new(h)
        {
            return Self::Clmul(Box::new(hash));
        }
        let _ = path;
        Self::Portable(portable::Ghash::new(h))
    }

    fn update(&self, sum: u128, data: &[u8]) -> u128 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Clmul(hash) => hash.update(sum, data),
            Self::Portable(hash) => hash.update(sum, data),
        }
    }
}

/// Encrypts or decrypts, and returns the tag of the encrypted side.
fn crypt<const OPEN: bool>(
    Parts { cipher, hash }: &Parts,
    nonce: &[u8; NONCE_SIZE],
    aad: &[u8],
    data: &mut [u8],
) -> [u8; TAG_SIZE] {
    let lengths = (aad.len() as u128 * 8) << 64 | (data.len() as u128 * 8);
    let mut sum = hash.update(0, aad);
    // The first part is encrypted behind a block of zeros, which becomes the mask of the tag: one block alone takes as long as many.
    let mut first = [0; PART];
    let (head, rest) = data.split_at_mut(data.len().min(PART - BLOCK_SIZE));
    let behind = BLOCK_SIZE..BLOCK_SIZE + head.len();
    first[behind.clone()].copy_from_slice(head);
    if OPEN {
        sum = hash.update(sum, head);
    }
    cipher.ctr(&counter(nonce, 1), &mut first[..behind.end]);
    head.copy_from_slice(&first[behind]);
    if !OPEN {
        sum = hash.update(sum, head);
    }
    let mut number = 1u32;
    for part in rest.chunks_mut(PART) {
        number = number.wrapping_add((PART / BLOCK_SIZE) as u32);
        if OPEN {
            sum = hash.update(sum, part);
        }
        cipher.ctr(&counter(nonce, number), part);
        if !OPEN {
            sum = hash.update(sum, part);
        }
    }
    sum = hash.update(sum, &lengths.to_be_bytes());
    let (mask, _) = first.as_chunks::<BLOCK_SIZE>();
    (sum ^ u128::from_be_bytes(mask[0])).to_be_bytes()
}

fn counter(nonce: &[u8; NONCE_SIZE], number: u32) -> [u8; BLOCK_SIZE] {
    let mut block = [0; BLOCK_SIZE];
    block[..NONCE_SIZE].copy_from_slice(nonce);
    block[NONCE_SIZE..].copy_from_slice(&number.to_be_bytes());
    block
}
