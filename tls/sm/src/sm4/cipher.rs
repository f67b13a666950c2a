//! The block cipher of one key on the path that was chosen, in the shapes that the modes need.

use super::BLOCK_SIZE;
use super::CbcMessage;
use super::KEY_SIZE;
use super::Path;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::x86;

pub(super) enum Cipher {
    #[cfg(target_arch = "x86_64")]
    Avx512(x86::avx512::Key),
    #[cfg(target_arch = "x86_64")]
    Gfni(x86::gfni::Key),
    #[cfg(target_arch = "x86_64")]
    AesNi(x86::aesni::Key),
    /// Eight times as large as the others.
    Portable(Box<portable::Key>),
}

/// The same call on whichever path.
macro_rules! dispatch {
    ($cipher:expr, $key:ident => $call:expr) => {
        match $cipher {
            #[cfg(target_arch = "x86_64")]
            Cipher::Avx512($key) => $call,
            #[cfg(target_arch = "x86_64")]
            Cipher::Gfni($key) => $call,
            #[cfg(target_arch = "x86_64")]
            Cipher::AesNi($key) => $call,
            Cipher::Portable($key) => $call,
        }
    };
}

impl Cipher {
    /// `None` when the processor cannot take `path`.
    pub(super) fn new(path: Path, key: &[u8; KEY_SIZE]) -> Option<Self> {
        match path {
            #[cfg(target_arch = "x86_64")]
            Path::Avx512 => x86::avx512::Key::new(key).map(Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            Path::Gfni => x86::gfni::Key::new(key).map(Self::Gfni),
            #[cfg(target_arch = "x86_64")]
            Path::AesNi => x86::aesni::Key::new(key).map(Self::AesNi),
            #[cfg(not(target_arch = "x86_64"))]
            Path::Avx512 | Path::Gfni | Path::AesNi => None,
            Path::Portable => Some(Self::portable(key)),
        }
    }

    /// On the fastest path.
    pub(super) fn best(key: &[u8; KEY_SIZE]) -> Self {
        Self::new(Path::best(), key).unwrap_or_else(|| Self::portable(key))
    }

    fn portable(key: &[u8; KEY_SIZE]) -> Self {
        Self::Portable(Box::new(portable::Key::new(key)))
    }

    /// One block.
    pub(super) fn encrypt(&self, block: &mut [u8; BLOCK_SIZE]) {
        self.cbc_encrypt(&[0; BLOCK_SIZE], std::slice::from_mut(block));
    }

    /// Counter mode from `counter` on; its last four bytes count, modulo 2³².
    pub(super) fn ctr(&self, counter: &[u8; BLOCK_SIZE], data: &mut [u8]) {
        dispatch!(self, key => key.ctr(counter, data));
    }

    /// Encrypts each block with the one before it.
    pub(super) fn cbc_encrypt(&self, iv: &[u8; BLOCK_SIZE], blocks: &mut [[u8; BLOCK_SIZE]]) {
        dispatch!(self, key => key.cbc_encrypt(iv, blocks));
    }

    /// Encrypts each block of each message with the one before it.
    pub(super) fn cbc_encrypt_many(&self, messages: &mut [CbcMessage<'_>]) {
        if let [message] = messages {
            let (blocks, _) = message.data.as_chunks_mut::<BLOCK_SIZE>();
            self.cbc_encrypt(&message.iv, blocks);
        } else {
            dispatch!(self, key => key.cbc_encrypt_many(messages));
        }
    }

    pub(super) fn cbc_decrypt(&self, iv: &[u8; BLOCK_SIZE], blocks: &mut [[u8; BLOCK_SIZE]]) {
        dispatch!(self, key => key.cbc_decrypt(iv, blocks));
    }

    /// Adds blocks to a CBC-MAC.
    pub(super) fn mac(&self, sum: &mut [u8; BLOCK_SIZE], blocks: &[[u8; BLOCK_SIZE]]) {
        dispatch!(self, key => key.mac(sum, blocks));
    }
}
