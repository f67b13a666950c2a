//! The client's second flight: its certificates, the secret, the proof.

use std::sync::Arc;

use aws_lc_rs::rand;
use palanquin_sm::key_ops::Peer;
use palanquin_sm::sm2::DEFAULT_ID;
use zeroize::Zeroizing;

use super::ClientHandshake;
use super::Exchanged;
use super::Keyed;
use super::Requested;
use crate::certificates::DualCertificate;
use crate::codec::MessageType;
use crate::codec::VERSION;
use crate::codec::certificate_list;
use crate::codec::ecdhe_parameters;
use crate::codec::prefixed_u16;
use crate::connection::Channel;
use crate::error::CertificateFault;
use crate::error::Error;
use crate::protect::Opener;
use crate::protect::Sealer;
use crate::schedule::MasterSecret;
use crate::schedule::Speaker;
use crate::server::agreement_error;
use crate::suite::KeyExchange;

impl ClientHandshake {
    pub(super) fn answer(
        &mut self,
        exchanged: Exchanged,
        requested: Requested,
        channel: &mut Channel,
    ) -> Result<Keyed, Error> {
        let config = Arc::clone(&self.config);
        let own = match requested {
            Requested::No => None,
            Requested::Yes => {
                let own = config.certificate.as_deref();
                let list = own.into_iter().flat_map(DualCertificate::list);
                self.send(MessageType::Certificate, &certificate_list(list), channel)?;
                own
            }
        };
        let (premaster, body) = match exchanged.agreed.suite.key_exchange() {
            KeyExchange::Ecc => ecc(&exchanged)?,
            KeyExchange::Ecdhe => ecdhe(&exchanged, own)?,
        };
        let Exchanged { agreed, peer, .. } = exchanged;
        self.send(MessageType::ClientKeyExchange, &body, channel)?;
        if let Some(own) = own {
            let proof = own.sign().key().sign(DEFAULT_ID, &[&self.transcript.hash()]);
            let proof = proof.map_err(|_| Error::Key("the key cannot be used"))?;
            let mut body = Vec::new();
            prefixed_u16(&mut body, |body| body.extend_from_slice(&proof.to_der()));
            self.send(MessageType::CertificateVerify, &body, channel)?;
        }
        let master = MasterSecret::derive(&premaster, &agreed.randoms);
        let bulk = agreed.suite.bulk();
        let keys = master.key_block(bulk, &agreed.randoms);
        channel.send_change_cipher_spec()?;
        channel.set_sealer(Sealer::new(bulk, &keys.client));
        let verify = master.finished(Speaker::Client, &self.transcript.hash());
        self.send(MessageType::Finished, &verify, channel)?;
        let opener = Some(Opener::new(bulk, &keys.server));
        Ok(Keyed { agreed, peer: Some(Arc::new(peer)), master, opener, sealer: None })
    }

    fn send(&mut self, kind: MessageType, body: &[u8], channel: &mut Channel) -> Result<(), Error> {
        self.transcript.add(&channel.send_message(kind, body)?);
        Ok(())
    }
}

/// A random secret, encrypted for the server.
fn ecc(exchanged: &Exchanged) -> Result<(Zeroizing<[u8; 48]>, Vec<u8>), Error> {
    let mut premaster = Zeroizing::new([0; 48]);
    rand::fill(&mut premaster[..]).map_err(|_| Error::Key("no random numbers"))?;
    premaster[..2].copy_from_slice(&VERSION.to_be_bytes());
    let ciphertext = exchanged.enc_key.encrypt(&premaster[..]);
    let ciphertext = ciphertext.map_err(|_| Error::Key("no random numbers"))?;
    let mut body = Vec::new();
    prefixed_u16(&mut body, |body| body.extend_from_slice(&ciphertext));
    Ok((premaster, body))
}

/// The client's half of the key exchange, which the server began.
fn ecdhe(
    exchanged: &Exchanged,
    own: Option<&DualCertificate>,
) -> Result<(Zeroizing<[u8; 48]>, Vec<u8>), Error> {
    let enc = own.and_then(DualCertificate::enc).ok_or(CertificateFault::NoEncryption);
    // The suite is offered only with a pair: the server forgot to ask for it.
    let enc = enc.map_err(|_| Error::Unexpected("ServerHelloDone"))?;
    let ephemeral = exchanged.ephemeral.as_ref().ok_or(Error::Decode("ServerKeyExchange"))?;
    let peer = Peer { id: DEFAULT_ID, static_key: &exchanged.enc_key, ephemeral };
    let mut premaster = Zeroizing::new([0; 48]);
    let share = enc.key().respond(DEFAULT_ID, &peer, &mut premaster[..]);
    let share = share.map_err(agreement_error)?;
    let mut body = Vec::new();
    let parameters = ecdhe_parameters(&share.to_uncompressed());
    prefixed_u16(&mut body, |body| body.extend_from_slice(&parameters));
    Ok((premaster, body))
}
