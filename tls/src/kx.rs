//! Key exchanges that BoringSSL has and rustls' provider has not.

use aws_lc_rs::agreement;
use aws_lc_rs::rand::SystemRandom;
use rustls::Error;
use rustls::NamedGroup;
use rustls::PeerMisbehaved;
use rustls::crypto::ActiveKeyExchange;
use rustls::crypto::GetRandomFailed;
use rustls::crypto::SharedSecret;
use rustls::crypto::SupportedKxGroup;

/// ECDH on P-521 (RFC 8422 §5.4.1, RFC 8446 §4.2.8.2). Only for who configures it.
pub(crate) static SECP521R1: &dyn SupportedKxGroup = &Secp521r1;

#[derive(Debug)]
struct Secp521r1;

struct Exchange {
    key: agreement::EphemeralPrivateKey,
    public: agreement::PublicKey,
}

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let random = SystemRandom::new();
        let key = agreement::EphemeralPrivateKey::generate(&agreement::ECDH_P521, &random)
            .map_err(|_| GetRandomFailed)?;
        let public = key.compute_public_key().map_err(|_| GetRandomFailed)?;
        Ok(Box::new(Exchange { key, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let wrong = || Error::from(PeerMisbehaved::InvalidKeyShare);
        // aws-lc takes compressed points as well; TLS has only uncompressed ones.
        if peer.first() != Some(&0x04) {
            return Err(wrong());
        }
        let peer = agreement::UnparsedPublicKey::new(&agreement::ECDH_P521, peer);
        agreement::agree_ephemeral(self.key, peer, wrong(), |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

#[cfg(test)]
mod tests {
    use super::SECP521R1;

    #[test]
    fn both_sides_of_p521_agree_and_other_forms_of_points_are_refused() {
        let (one, two) = (SECP521R1.start().unwrap(), SECP521R1.start().unwrap());
        let (first, second) = (one.pub_key().to_vec(), two.pub_key().to_vec());
        assert_eq!(first.len(), 133);
        let secret = one.complete(&second).unwrap();
        assert_eq!(secret.secret_bytes(), two.complete(&first).unwrap().secret_bytes());
        let mut compressed = first;
        compressed[0] = 3;
        compressed.truncate(67);
        assert!(SECP521R1.start().unwrap().complete(&compressed).is_err());
    }
}
