//! The client's hello, and what the server makes of it.

use std::sync::Arc;

use aws_lc_rs::rand;
use rustls_pki_types::UnixTime;

use super::Agreed;
use super::ClientHandshake;
use super::Keyed;
use super::State;
use crate::codec::ClientHello;
use crate::codec::MessageType;
use crate::codec::ServerHello;
use crate::codec::SessionId;
use crate::config::ClientConfig;
use crate::config::Target;
use crate::connection::Channel;
use crate::error::Error;
use crate::protect::Opener;
use crate::protect::Sealer;
use crate::schedule::Randoms;
use crate::server::RENEGOTIATION_SCSV;
use crate::suite::CipherSuite;
use crate::transcript::Transcript;

impl ClientHandshake {
    /// Says hello.
    pub(crate) fn start(
        config: Arc<ClientConfig>,
        target: Target,
        channel: &mut Channel,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let mut random = [0; 32];
        rand::fill(&mut random).map_err(|_| Error::Key("no random numbers"))?;
        let suites: Vec<_> = config.offered().collect();
        if suites.is_empty() {
            return Err(Error::NothingInCommon("no suite is left to offer"));
        }
        let offered = config
            .sessions
            .as_ref()
            .zip(target.session_key.as_ref())
            .and_then(|(sessions, key)| sessions.get(key, now))
            .filter(|session| suites.contains(&session.suite))
            .filter(|session| session.server_name == target.server_name);
        let session_id = offered.as_ref().map_or_else(SessionId::default, |session| session.id);
        let numbers = suites.iter().map(|suite| suite.to_wire());
        let body = ClientHello::write(
            &random,
            &session_id,
            // Not an extension, because of GmSSL: a server must refuse this hello inside of another connection.
            numbers.chain([RENEGOTIATION_SCSV]),
            target.server_name.as_deref(),
            &config.protocols,
        );
        let mut transcript = Transcript::default();
        transcript.add(&channel.send_message(MessageType::ClientHello, &body)?);
        let state = State::ServerHello;
        Ok(Self { config, target, random, suites, offered, transcript, state })
    }

    pub(super) fn server_hello(&self, body: &[u8]) -> Result<State, Error> {
        let hello = ServerHello::read(body)?;
        let extensions = &hello.extensions;
        let unsolicited = extensions.unknown
            || (extensions.alpn.is_some() && self.config.protocols.is_empty())
            || (extensions.server_name.is_some() && self.target.server_name.is_none());
        if unsolicited {
            return Err(Error::UnsolicitedExtension);
        }
        if extensions.renegotiation.is_some_and(|info| !info.is_empty()) {
            return Err(Error::NothingInCommon("the server speaks of an earlier handshake"));
        }
        let protocol = hello.protocol()?;
        if protocol.is_some_and(|chosen| !self.config.protocols.iter().any(|own| own == chosen)) {
            return Err(Error::IllegalParameter("the server chose a protocol nobody offered"));
        }
        let suite = CipherSuite::from_wire(hello.suite)
            .filter(|suite| self.suites.contains(suite))
            .ok_or(Error::IllegalParameter("the server chose a suite nobody offered"))?;
        let randoms = Randoms { client: self.random, server: hello.random };
        let session_id = hello.session_id;
        let agreed = Agreed { randoms, suite, session_id, protocol: protocol.map(Into::into) };
        let Some(session) = self.offered.as_ref().filter(|session| session.id == session_id) else {
            return Ok(State::Certificate(agreed));
        };
        if session.suite != suite {
            return Err(Error::IllegalParameter("the server changed the suite of the session"));
        }
        let keys = session.master.key_block(suite.bulk(), &agreed.randoms);
        Ok(State::ChangeCipherSpecFirst(Keyed {
            agreed,
            peer: session.peer.clone(),
            master: session.master.clone(),
            opener: Some(Opener::new(suite.bulk(), &keys.server)),
            sealer: Some(Sealer::new(suite.bulk(), &keys.client)),
        }))
    }
}
