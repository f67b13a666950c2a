//! The client's handshake, message by message; the order is told in [`crate::server`].

mod answer;
mod hello;

use std::fmt;
use std::mem;
use std::sync::Arc;

use palanquin_sm::sm2::DEFAULT_ID;
use palanquin_sm::sm2::PublicKey;
use palanquin_sm::sm2::Signature;
use rustls_pki_types::UnixTime;
use subtle::ConstantTimeEq;

use crate::certificates::Pair;
use crate::certificates::PeerCertificates;
use crate::codec::CertificateRequest;
use crate::codec::Message;
use crate::codec::MessageType;
use crate::codec::Random;
use crate::codec::ServerKeyExchange;
use crate::codec::SessionId;
use crate::codec::prefixed_u24;
use crate::codec::read_certificate_list;
use crate::config::ClientConfig;
use crate::config::Target;
use crate::connection::Channel;
use crate::connection::Established;
use crate::error::CertificateFault;
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
pub(crate) struct ClientHandshake {
    config: Arc<ClientConfig>,
    target: Target,
    random: Random,
    /// The suites that were offered.
    suites: Vec<CipherSuite>,
    /// The session that was offered.
    offered: Option<Arc<Session>>,
    transcript: Transcript,
    state: State,
}

/// What is waited for, with what is known by then.
#[derive(Debug)]
enum State {
    Certificate(Agreed),
    /// The server takes up a session: it goes first.
    ChangeCipherSpecFirst(Keyed),
    /// The client has said all of its own.
    ChangeCipherSpec(Keyed),
    /// A step failed: nothing comes any more.
    Failed,
    Finished(Keyed),
    RequestOrDone(Box<Exchanged>, Requested),
    ServerHello,
    ServerKeyExchange(Agreed, PeerCertificates),
}

/// What both hellos agreed on.
#[derive(Debug)]
struct Agreed {
    randoms: Randoms,
    suite: CipherSuite,
    session_id: SessionId,
    protocol: Option<Box<[u8]>>,
}

/// The server has proved who it is.
#[derive(Debug)]
struct Exchanged {
    agreed: Agreed,
    peer: PeerCertificates,
    /// The key of the server's encryption certificate.
    enc_key: PublicKey,
    /// With ECDHE: the server's ephemeral key.
    ephemeral: Option<PublicKey>,
}

/// Whether the server asked for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Requested {
    No,
    Yes,
}

/// Both sides know the keys.
struct Keyed {
    agreed: Agreed,
    peer: Option<Arc<PeerCertificates>>,
    master: MasterSecret,
    /// For what the server says from its ChangeCipherSpec on; in use from then.
    opener: Option<Opener>,
    /// In a resumed handshake: for what the client says at its end.
    sealer: Option<Sealer>,
}

impl ClientHandshake {
    pub(crate) fn is_blocking(&self) -> bool {
        self.config.certificate.as_ref().is_some_and(|certificate| certificate.is_blocking())
    }

    /// After a failure: the next connection does not try the session again.
    pub(crate) fn forget_session(&self) {
        if let (Some(sessions), Some(key), Some(_)) =
            (&self.config.sessions, &self.target.session_key, &self.offered)
        {
            sessions.remove(key);
        }
    }

    /// Takes in a message; the result is there when the handshake is over.
    pub(crate) fn message(
        &mut self,
        message: &Message<'_>,
        channel: &mut Channel,
        now: UnixTime,
    ) -> Result<Option<Established>, Error> {
        let proved = match message.kind {
            MessageType::Finished => self.transcript.hash(),
            _ => [0; 32],
        };
        self.transcript.add(message.raw);
        let state = mem::replace(&mut self.state, State::Failed);
        self.state = match (state, message.kind) {
            (State::ServerHello, MessageType::ServerHello) => self.server_hello(message.body)?,
            (State::Certificate(agreed), MessageType::Certificate) => {
                let peer = self.server_certificate(message.body, now)?;
                State::ServerKeyExchange(agreed, peer)
            }
            (State::ServerKeyExchange(agreed, peer), MessageType::ServerKeyExchange) => {
                State::RequestOrDone(
                    Box::new(server_key_exchange(agreed, peer, message.body)?),
                    Requested::No,
                )
            }
            (State::RequestOrDone(exchanged, Requested::No), MessageType::CertificateRequest) => {
                CertificateRequest::read(message.body)?;
                State::RequestOrDone(exchanged, Requested::Yes)
            }
            (State::RequestOrDone(exchanged, requested), MessageType::ServerHelloDone) => {
                if !message.body.is_empty() {
                    return Err(Error::Decode("ServerHelloDone"));
                }
                State::ChangeCipherSpec(self.answer(*exchanged, requested, channel)?)
            }
            (State::Finished(keyed), MessageType::Finished) => {
                return self.finished(keyed, message.body, &proved, channel, now).map(Some);
            }
            _ => return Err(Error::Unexpected("handshake message")),
        };
        Ok(None)
    }

    /// The server protects what it says from now on.
    pub(crate) fn change_cipher_spec(&mut self, channel: &mut Channel) -> Result<(), Error> {
        match mem::replace(&mut self.state, State::Failed) {
            State::ChangeCipherSpec(mut keyed) | State::ChangeCipherSpecFirst(mut keyed) => {
                if let Some(opener) = keyed.opener.take() {
                    channel.set_opener(opener);
                }
                self.state = State::Finished(keyed);
                Ok(())
            }
            _ => Err(Error::Unexpected("ChangeCipherSpec")),
        }
    }

    fn server_certificate(&self, body: &[u8], now: UnixTime) -> Result<PeerCertificates, Error> {
        let list = read_certificate_list(body)?;
        if list.is_empty() {
            return Err(Error::NoPeerCertificate);
        }
        let peer = PeerCertificates::sort(list, Pair::Required)?;
        let name = self.target.server_name.as_deref();
        self.config.verifier.verify(&peer, name, now).map_err(Error::Verify)?;
        Ok(peer)
    }

    fn finished(
        &mut self,
        keyed: Keyed,
        body: &[u8],
        proved: &[u8; 32],
        channel: &mut Channel,
        now: UnixTime,
    ) -> Result<Established, Error> {
        let Keyed { agreed, peer, master, sealer, .. } = keyed;
        let expected = master.finished(Speaker::Server, proved);
        if !bool::from(expected[..].ct_eq(body)) {
            return Err(Error::Decrypt("Finished"));
        }
        let resumed = sealer.is_some();
        if let Some(sealer) = sealer {
            channel.send_change_cipher_spec()?;
            channel.set_sealer(sealer);
            let verify = master.finished(Speaker::Client, &self.transcript.hash());
            channel.send_message(MessageType::Finished, &verify)?;
        } else if let (Some(sessions), Some(key)) =
            (&self.config.sessions, &self.target.session_key)
            && !agreed.session_id.is_empty()
        {
            let session = Session {
                id: agreed.session_id,
                suite: agreed.suite,
                master,
                peer: peer.clone(),
                server_name: self.target.server_name.clone(),
                born: now,
            };
            sessions.put(key, Arc::new(session));
        }
        Ok(Established {
            suite: agreed.suite,
            resumed,
            protocol: agreed.protocol,
            server_name: self.target.server_name.clone(),
            peer,
        })
    }
}

/// Checks that the server has the signing key, and that it says so of these keys.
fn server_key_exchange(
    agreed: Agreed,
    peer: PeerCertificates,
    body: &[u8],
) -> Result<Exchanged, Error> {
    let wrong = || Error::Decrypt("ServerKeyExchange");
    let (exchange, ephemeral, signed) = match agreed.suite.key_exchange() {
        KeyExchange::Ecc => {
            let enc = peer.enc.as_ref().ok_or(CertificateFault::NoEncryption)?;
            let mut signed = Vec::new();
            prefixed_u24(&mut signed, |out| out.extend_from_slice(enc));
            (ServerKeyExchange::read_ecc(body)?, None, signed)
        }
        KeyExchange::Ecdhe => {
            let (exchange, point) = ServerKeyExchange::read_ecdhe(body)?;
            let ephemeral = PublicKey::from_uncompressed(&point).map_err(|_| {
                Error::IllegalParameter("the server's share is not a point of the curve")
            })?;
            let signed = exchange.parameters.to_vec();
            (exchange, Some(ephemeral), signed)
        }
    };
    let signature = Signature::from_der(exchange.signature).map_err(|_| wrong())?;
    let message = [&agreed.randoms.client[..], &agreed.randoms.server[..], &signed];
    peer.sign_key()?.verify(DEFAULT_ID, &message, &signature).map_err(|_| wrong())?;
    let enc_key = peer.enc_key()?;
    Ok(Exchanged { agreed, peer, enc_key, ephemeral })
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").field("agreed", &self.agreed).finish_non_exhaustive()
    }
}
