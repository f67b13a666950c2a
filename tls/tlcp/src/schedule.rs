//! From the premaster secret to keys and Finished values (GB/T 38636-2020, 6.5).

use std::fmt;

use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;
use zeroize::Zeroizing;

use crate::codec::Random;
use crate::prf::prf;
use crate::protect::DirectionKeys;
use crate::suite::Bulk;

/// Bytes of a Finished.
pub(crate) const FINISHED_LEN: usize = 12;

/// The master secret of a session.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct MasterSecret([u8; 48]);

/// Both random values of a handshake.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Randoms {
    pub(crate) client: Random,
    pub(crate) server: Random,
}

/// The keys of both directions.
pub(crate) struct KeyBlock {
    /// What the client writes with.
    pub(crate) client: DirectionKeys,
    /// What the server writes with.
    pub(crate) server: DirectionKeys,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    Client,
    Server,
}

impl MasterSecret {
    pub(crate) fn derive(premaster: &[u8; 48], randoms: &Randoms) -> Self {
        let mut secret = Self([0; 48]);
        prf(premaster, b"master secret", [&randoms.client, &randoms.server], &mut secret.0);
        secret
    }

    /// The keys of one connection.
    pub(crate) fn key_block(&self, bulk: Bulk, randoms: &Randoms) -> KeyBlock {
        let (mac_len, iv_len) = match bulk {
            // The standard derives IVs for CBC as well; they are the last bytes, and records carry their own.
            Bulk::Cbc => (32, 0),
            Bulk::Gcm => (0, 4),
        };
        let mut block = Zeroizing::new([0; 2 * (32 + 16)]);
        let block = &mut block[..2 * (mac_len + 16 + iv_len)];
        prf(&self.0, b"key expansion", [&randoms.server, &randoms.client], block);
        let (macs, rest) = block.split_at(2 * mac_len);
        let (keys, ivs) = rest.split_at(2 * 16);
        let keys = |side: usize| {
            let mut direction = DirectionKeys::default();
            direction.mac[..mac_len].copy_from_slice(&macs[side * mac_len..][..mac_len]);
            direction.key.copy_from_slice(&keys[side * 16..][..16]);
            direction.salt[..iv_len].copy_from_slice(&ivs[side * iv_len..][..iv_len]);
            direction
        };
        KeyBlock { client: keys(0), server: keys(1) }
    }

    /// The value that proves that `speaker` saw the transcript of this hash and knows the secret.
    pub(crate) fn finished(&self, speaker: Speaker, transcript: &[u8; 32]) -> [u8; FINISHED_LEN] {
        let label: &[u8] = match speaker {
            Speaker::Client => b"client finished",
            Speaker::Server => b"server finished",
        };
        let mut out = [0; FINISHED_LEN];
        prf(&self.0, label, [transcript, &[]], &mut out);
        out
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret(..)")
    }
}
