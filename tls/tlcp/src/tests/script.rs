//! A client made by hand, which can say what the engine's client never would.

use super::*;
use crate::codec::ClientHello;
use crate::codec::Joiner;
use crate::codec::MessageType;
use crate::codec::SessionId;
use crate::connection::Channel;
use crate::protect::Sealer;
use crate::schedule::MasterSecret;
use crate::schedule::Randoms;
use crate::schedule::Speaker;
use crate::transcript::Transcript;

pub(crate) struct Script {
    pub(crate) server: Connection,
    pub(crate) channel: Channel,
    suite: CipherSuite,
    transcript: Transcript,
    randoms: Randoms,
}

impl Script {
    /// Says hello and hears the server's flight.
    pub(crate) fn begin(config: ServerConfig, suite: CipherSuite) -> Self {
        let mut script = Self {
            server: Connection::server(Arc::new(config)),
            channel: Channel::default(),
            suite,
            transcript: Transcript::default(),
            randoms: Randoms { client: [7; 32], server: [0; 32] },
        };
        let suites = [suite.to_wire()].into_iter();
        let hello = ClientHello::write(&[7; 32], &SessionId::default(), suites, None, &[]);
        script.say(MessageType::ClientHello, &hello).unwrap();
        let flight = take_output(&mut script.server);
        let mut joiner = Joiner::default();
        let mut rest = &flight[..];
        while let Some((header, body)) = rest.split_first_chunk::<5>() {
            let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
            joiner.push(&body[..length]);
            rest = &body[length..];
        }
        while let Some(message) = joiner.next().unwrap() {
            script.transcript.add(message.raw);
            if message.kind == MessageType::ServerHello {
                script.randoms.server = message.body[2..34].try_into().unwrap();
            }
        }
        script
    }

    /// Sends a handshake message.
    pub(crate) fn say(&mut self, kind: MessageType, body: &[u8]) -> Result<(), Error> {
        let message = self.channel.send_message(kind, body).unwrap();
        self.transcript.add(&message);
        self.deliver()
    }

    /// Changes keys, with this premaster secret, and says Finished.
    pub(crate) fn finish(&mut self, premaster: &[u8; 48]) -> Result<(), Error> {
        let master = MasterSecret::derive(premaster, &self.randoms);
        let keys = master.key_block(self.suite.bulk(), &self.randoms);
        self.channel.send_change_cipher_spec().unwrap();
        self.channel.set_sealer(Sealer::new(self.suite.bulk(), &keys.client));
        let verify = master.finished(Speaker::Client, &self.transcript.hash());
        self.say(MessageType::Finished, &verify)
    }

    pub(crate) fn transcript(&self) -> [u8; 32] {
        self.transcript.hash()
    }

    /// Carries what the channel holds to the server.
    pub(crate) fn deliver(&mut self) -> Result<(), Error> {
        let bytes = self.channel.output().to_vec();
        self.channel.sent(bytes.len());
        feed(&mut self.server, &bytes, usize::MAX)
    }

    /// The last alert in the server's output, if it is in the clear.
    pub(crate) fn alert(&mut self) -> Option<Alert> {
        let bytes = take_output(&mut self.server);
        match bytes[..] {
            [21, 1, 1, 0, 2, 2, alert] => Some(Alert(alert)),
            _ => None,
        }
    }
}
