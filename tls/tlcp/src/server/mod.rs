//! The server's handshake, message by message.
//!
//! A full one: ClientHello; ServerHello, Certificate, ServerKeyExchange, (CertificateRequest), ServerHelloDone;
//! (Certificate), ClientKeyExchange, (CertificateVerify), ChangeCipherSpec, Finished; ChangeCipherSpec, Finished.
//! A resumed one: ClientHello; ServerHello, ChangeCipherSpec, Finished; ChangeCipherSpec, Finished.

mod hello;
mod key_exchange;

use std::fmt;
use std::mem;
use std::sync::Arc;

use palanquin_sm::key_ops::Exchange;
use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::Signature;
use rustls_pki_types::UnixTime;
use subtle::ConstantTimeEq;

pub(crate) use self::hello::RENEGOTIATION_SCSV;
pub(crate) use self::key_exchange::agreement_error;
use crate::certificates::DualCertificate;
use crate::certificates::Pair;
use crate::certificates::PeerCertificates;
use crate::codec::Message;
use crate::codec::MessageType;
use crate::codec::SessionId;
use crate::codec::read_certificate_list;
use crate::codec::read_signature;
use crate::config::ClientAuth;
use crate::config::ServerConfig;
use crate::connection::Channel;
use crate::connection::Established;
use crate::error::Error;
use crate::protect::Opener;
use crate::protect::Sealer;
use crate::schedule::MasterSecret;
use crate::schedule::Randoms;
use crate::schedule::Speaker;
use crate::session::Session;
use crate::suite::CipherSuite;
use crate::suite::KeyExchange;
use crate::transcript::Transcript;

/// A handshake in progress.
#[derive(Debug)]
pub(crate) struct ServerHandshake {
    config: Arc<ServerConfig>,
    transcript: Transcript,
    state: State,
}

/// What is waited for, with what is known by then.
#[derive(Debug)]
enum State {
    Certificate(Flight),
    CertificateVerify(Keyed),
    ChangeCipherSpec(Keyed),
    ClientHello,
    ClientKeyExchange(Flight, Option<Arc<PeerCertificates>>),
    /// A step failed: nothing comes any more.
    Failed,
    Finished(Keyed),
}

/// What both hellos agreed on.
#[derive(Debug)]
struct Agreed {
    randoms: Randoms,
    suite: CipherSuite,
    session_id: SessionId,
    server_name: Option<Box<str>>,
    protocol: Option<Box<[u8]>>,
}

/// The server has said all of its own.
struct Flight {
    agreed: Agreed,
    certificate: Arc<DualCertificate>,
    /// With ECDHE.
    exchange: Option<Box<dyn Exchange>>,
}

/// Both sides know the keys.
struct Keyed {
    agreed: Agreed,
    peer: Option<Arc<PeerCertificates>>,
    master: MasterSecret,
    /// For what the client says from its ChangeCipherSpec on; in use from then.
    opener: Option<Opener>,
    /// For what the server says from its ChangeCipherSpec on; `None` when it said that already, as in a resumed
    /// handshake.
    sealer: Option<Sealer>,
}

impl ServerHandshake {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self { config, transcript: Transcript::default(), state: State::ClientHello }
    }

    pub(crate) fn is_blocking(&self) -> bool {
        self.config.certificates.is_blocking()
    }

    /// Takes in a message; the result is there when the handshake is over.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        channel: &mut Channel,
        now: UnixTime,
    ) -> Result<Option<Established>, Error> {
        // A proof is about all messages before it.
        let proved = match message.kind {
            MessageType::CertificateVerify | MessageType::Finished => self.transcript.hash(),
            _ => [0; 32],
        };
        self.transcript.add(message.raw);
        let state = mem::replace(&mut self.state, State::Failed);
        self.state = match (state, message.kind) {
            (State::ClientHello, MessageType::ClientHello) => {
                self.client_hello(message.body, channel, now)?
            }
            (State::Certificate(flight), MessageType::Certificate) => {
                let peer = self.client_certificate(&flight, message.body, now)?;
                State::ClientKeyExchange(flight, peer.map(Arc::new))
            }
            (State::ClientKeyExchange(flight, peer), MessageType::ClientKeyExchange) => {
                let keyed = client_key_exchange(flight, peer, message.body)?;
                match keyed.peer {
                    Some(_) => State::CertificateVerify(keyed),
                    None => State::ChangeCipherSpec(keyed),
                }
            }
            (State::CertificateVerify(keyed), MessageType::CertificateVerify) => {
                certificate_verify(&keyed, message.body, &proved)?;
                State::ChangeCipherSpec(keyed)
            }
            (State::Finished(keyed), MessageType::Finished) => {
                return self.finished(keyed, message.body, &proved, channel, now).map(Some);
            }
            _ => return Err(Error::Unexpected("handshake message")),
        };
        Ok(None)
    }

    /// The client protects what it says from now on.
    pub(crate) fn change_cipher_spec(&mut self, channel: &mut Channel) -> Result<(), Error> {
        match mem::replace(&mut self.state, State::Failed) {
            State::ChangeCipherSpec(mut keyed) => {
                if let Some(opener) = keyed.opener.take() {
                    channel.set_opener(opener);
                }
                self.state = State::Finished(keyed);
                Ok(())
            }
            _ => Err(Error::Unexpected("ChangeCipherSpec")),
        }
    }

    fn client_certificate(
        &self,
        flight: &Flight,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Option<PeerCertificates>, Error> {
        let list = read_certificate_list(body)?;
        let pair = match flight.agreed.suite.key_exchange() {
            KeyExchange::Ecc => Pair::Optional,
            KeyExchange::Ecdhe => Pair::Required,
        };
        if list.is_empty() {
            let required = matches!(self.config.client_auth, ClientAuth::Required(_));
            return if required || pair == Pair::Required {
                Err(Error::NoPeerCertificate)
            } else {
                Ok(None)
            };
        }
        let peer = PeerCertificates::sort(list, pair)?;
        if let Some(verifier) = self.config.client_auth.verifier() {
            verifier.verify(&peer, None, now).map_err(Error::Verify)?;
        }
        Ok(Some(peer))
    }

    fn finished(
        &self,
        keyed: Keyed,
        body: &[u8],
        proved: &[u8; 32],
        channel: &mut Channel,
        now: UnixTime,
    ) -> Result<Established, Error> {
        let Keyed { agreed, peer, master, sealer, .. } = keyed;
        let expected = master.finished(Speaker::Client, proved);
        if !bool::from(expected[..].ct_eq(body)) {
            return Err(Error::Decrypt("Finished"));
        }
        let resumed = sealer.is_none();
        if let Some(sealer) = sealer {
            channel.send_change_cipher_spec()?;
            channel.set_sealer(sealer);
            let verify = master.finished(Speaker::Server, &self.transcript.hash());
            channel.send_message(MessageType::Finished, &verify)?;
            if let Some(sessions) = self.config.sessions.as_ref()
                && !agreed.session_id.is_empty()
            {
                sessions.put(Arc::new(Session {
                    id: agreed.session_id,
                    suite: agreed.suite,
                    master,
                    peer: peer.clone(),
                    server_name: agreed.server_name.clone(),
                    born: now,
                }));
            }
        }
        Ok(Established {
            suite: agreed.suite,
            resumed,
            protocol: agreed.protocol,
            server_name: agreed.server_name,
            peer,
        })
    }
}

/// The client's half of the key exchange: now both sides know the keys.
fn client_key_exchange(
    flight: Flight,
    peer: Option<Arc<PeerCertificates>>,
    body: &[u8],
) -> Result<Keyed, Error> {
    let Flight { agreed, certificate, exchange } = flight;
    let premaster = match (exchange, &peer) {
        (Some(exchange), Some(peer)) => key_exchange::ecdhe_premaster(exchange, peer, body)?,
        (None, _) => key_exchange::ecc_premaster(&certificate, body)?,
        (Some(_), None) => return Err(Error::NoPeerCertificate),
    };
    let master = MasterSecret::derive(&premaster, &agreed.randoms);
    let keys = master.key_block(agreed.suite.bulk(), &agreed.randoms);
    let opener = Opener::new(agreed.suite.bulk(), &keys.client);
    let sealer = Some(Sealer::new(agreed.suite.bulk(), &keys.server));
    Ok(Keyed { agreed, peer, master, opener: Some(opener), sealer })
}

/// The client proves that it has the signing key: a signature over the hash of the transcript (which is hashed
/// again in the signature, as Tongsuo, gotlcp and Kona do it).
fn certificate_verify(keyed: &Keyed, body: &[u8], proved: &[u8; 32]) -> Result<(), Error> {
    let wrong = || Error::Decrypt("CertificateVerify");
    let signature = read_signature(body, "CertificateVerify")?;
    let signature = Signature::from_der(signature).map_err(|_| wrong())?;
    let key = keyed.peer.as_ref().ok_or_else(wrong)?.sign_key()?;
    key.verify(DEFAULT_ID, &[proved], &signature).map_err(|_| wrong())
}

impl fmt::Debug for Flight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("agreed", &self.agreed).finish_non_exhaustive()
    }
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("agreed", &self.agreed).finish_non_exhaustive()
    }
}
