//! From the client's hello to the end of the server's first flight.

use std::sync::Arc;

use aws_lc_rs::rand;
use palanquin_sm::sm2::DEFAULT_ID;
use rustls_pki_types::UnixTime;

use super::Agreed;
use super::Flight;
use super::Keyed;
use super::ServerHandshake;
use super::State;
use crate::certificates::DualCertificate;
use crate::codec::Answers;
use crate::codec::CertificateRequest;
use crate::codec::ClientHello;
use crate::codec::MessageType;
use crate::codec::ServerHello;
use crate::codec::ServerKeyExchange;
use crate::codec::SessionId;
use crate::codec::certificate_list;
use crate::codec::ecdhe_parameters;
use crate::codec::prefixed_u24;
use crate::config::ClientAuth;
use crate::config::Hello;
use crate::connection::Channel;
use crate::error::CertificateFault;
use crate::error::Error;
use crate::protect::Opener;
use crate::protect::Sealer;
use crate::schedule::Randoms;
use crate::schedule::Speaker;
use crate::session::Session;
use crate::suite::CipherSuite;
use crate::suite::KeyExchange;
use crate::verify::VerifyPeer;

/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746).
pub(crate) const RENEGOTIATION_SCSV: u16 = 0x00ff;

impl ServerHandshake {
    pub(super) fn client_hello(
        &mut self,
        body: &[u8],
        channel: &mut Channel,
        now: UnixTime,
    ) -> Result<State, Error> {
        let hello = ClientHello::read(body)?;
        if hello.extensions.renegotiation.is_some_and(|info| !info.is_empty()) {
            return Err(Error::NothingInCommon("the first hello speaks of an earlier handshake"));
        }
        let server_name = hello.extensions.server_name;
        let randoms = Randoms { client: hello.random, server: random()? };
        let protocol = self.choose_protocol(&hello).map(Box::from);
        if let Some(session) = self.find_session(&hello, now) {
            let agreed = Agreed {
                randoms,
                suite: session.suite,
                session_id: session.id,
                server_name: server_name.map(Into::into),
                protocol,
            };
            return self.resume(&hello, agreed, &session, channel);
        }
        let suite = self.choose_suite(&hello).ok_or(Error::NothingInCommon(
            "the client offers none of the suites that are enabled here",
        ))?;
        let certificate = self.config.certificates.resolve(&Hello { server_name });
        let certificate =
            certificate.ok_or(Error::NothingInCommon("there is no certificate for the client"))?;
        let session_id = match self.config.sessions {
            Some(_) => SessionId::new(&random()?).unwrap_or_default(),
            None => SessionId::default(),
        };
        let server_name = server_name.map(Into::into);
        let agreed = Agreed { randoms, suite, session_id, server_name, protocol };
        self.send_hello(&hello, &agreed, channel)?;
        self.send_flight(agreed, certificate, channel)
    }

    /// The server's order decides. Without client authentication ECDHE comes last, see
    /// [`crate::ServerConfig::suites`].
    fn choose_suite(&self, hello: &ClientHello<'_>) -> Option<CipherSuite> {
        let is_offered =
            |suite: &CipherSuite| hello.suite_numbers().any(|number| number == suite.to_wire());
        let mut common = self.config.suites.iter().copied().filter(is_offered);
        if matches!(self.config.client_auth, ClientAuth::None) {
            let mut plain = common.clone();
            return plain
                .find(|suite| suite.key_exchange() == KeyExchange::Ecc)
                .or_else(|| common.next());
        }
        common.next()
    }

    fn choose_protocol(&self, hello: &ClientHello<'_>) -> Option<&[u8]> {
        let mut known = self.config.protocols.iter().map(Vec::as_slice);
        known.find(|known| hello.protocols().any(|offered| offered == *known))
    }

    fn find_session(&self, hello: &ClientHello<'_>, now: UnixTime) -> Option<Arc<Session>> {
        if hello.session_id.is_empty() {
            return None;
        }
        let sessions = self.config.sessions.as_ref()?;
        let session = sessions.get(&hello.session_id, hello.extensions.server_name, now)?;
        let number = session.suite.to_wire();
        let fits = hello.suite_numbers().any(|offered| offered == number)
            && self.config.suites.contains(&session.suite);
        fits.then_some(session)
    }

    fn send_hello(
        &mut self,
        hello: &ClientHello<'_>,
        agreed: &Agreed,
        channel: &mut Channel,
    ) -> Result<(), Error> {
        let answers = Answers {
            renegotiation: hello.extensions.renegotiation.is_some()
                || hello.suite_numbers().any(|number| number == RENEGOTIATION_SCSV),
            server_name: false,
            protocol: agreed.protocol.as_deref(),
        };
        let suite = agreed.suite.to_wire();
        let body = ServerHello::write(&agreed.randoms.server, &agreed.session_id, suite, &answers);
        self.send(MessageType::ServerHello, &body, channel)
    }

    fn resume(
        &mut self,
        hello: &ClientHello<'_>,
        agreed: Agreed,
        session: &Session,
        channel: &mut Channel,
    ) -> Result<State, Error> {
        self.send_hello(hello, &agreed, channel)?;
        let bulk = agreed.suite.bulk();
        let keys = session.master.key_block(bulk, &agreed.randoms);
        channel.send_change_cipher_spec()?;
        channel.set_sealer(Sealer::new(bulk, &keys.server));
        let verify = session.master.finished(Speaker::Server, &self.transcript.hash());
        self.send(MessageType::Finished, &verify, channel)?;
        Ok(State::ChangeCipherSpec(Keyed {
            agreed,
            peer: session.peer.clone(),
            master: session.master.clone(),
            opener: Some(Opener::new(bulk, &keys.client)),
            sealer: None,
        }))
    }

    /// All that the server says before it hears of the client again.
    fn send_flight(
        &mut self,
        agreed: Agreed,
        certificate: Arc<DualCertificate>,
        channel: &mut Channel,
    ) -> Result<State, Error> {
        self.send(MessageType::Certificate, &certificate_list(certificate.list()), channel)?;
        let enc = certificate.enc().ok_or(CertificateFault::NoEncryption)?;
        let (exchange, parameters, signed) = match agreed.suite.key_exchange() {
            // The signature is over the encryption certificate, so that nobody can put another in its place.
            KeyExchange::Ecc => {
                let mut signed = Vec::new();
                prefixed_u24(&mut signed, |out| out.extend_from_slice(enc.certificate()));
                (None, Vec::new(), signed)
            }
            KeyExchange::Ecdhe => {
                let exchange = enc.key().initiate(DEFAULT_ID).map_err(own_key)?;
                let parameters = ecdhe_parameters(&exchange.ephemeral().to_uncompressed()).to_vec();
                (Some(exchange), parameters.clone(), parameters)
            }
        };
        let message = [&agreed.randoms.client[..], &agreed.randoms.server[..], &signed];
        let signature = certificate.sign().key().sign(DEFAULT_ID, &message).map_err(own_key)?;
        let body =
            ServerKeyExchange { parameters: &parameters, signature: &signature.to_der() }.write();
        self.send(MessageType::ServerKeyExchange, &body, channel)?;
        let is_asked = exchange.is_some() || !matches!(self.config.client_auth, ClientAuth::None);
        if is_asked {
            let verifier = self.config.client_auth.verifier();
            let issuers = verifier.map_or(&[][..], VerifyPeer::issuers);
            let body = CertificateRequest::write(issuers.iter().map(Vec::as_slice));
            self.send(MessageType::CertificateRequest, &body, channel)?;
        }
        self.send(MessageType::ServerHelloDone, &[], channel)?;
        let flight = Flight { agreed, certificate, exchange };
        Ok(if is_asked {
            State::Certificate(flight)
        } else {
            State::ClientKeyExchange(flight, None)
        })
    }

    fn send(&mut self, kind: MessageType, body: &[u8], channel: &mut Channel) -> Result<(), Error> {
        self.transcript.add(&channel.send_message(kind, body)?);
        Ok(())
    }
}

fn random() -> Result<[u8; 32], Error> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| Error::Key("no random numbers"))?;
    Ok(random)
}

fn own_key<E>(_: E) -> Error {
    Error::Key("the key cannot be used")
}
