//! One connection without I/O: bytes of the peer in, bytes for the peer out.
//!
//! The driver's circle: put what came into [`Connection::room`] and say so with [`Connection::filled`], call
//! [`Connection::process`], send [`Connection::output`], take [`Connection::plaintext`]. Everything is bounded: at most
//! one record and a bit is held of what came, and one handshake message.

mod channel;
mod input;

use std::io::IoSlice;
use std::mem;
use std::ops::Range;
use std::sync::Arc;

use rustls_pki_types::UnixTime;

pub(crate) use self::channel::Channel;
use self::input::Input;
use crate::alert;
use crate::alert::Alert;
use crate::certificates::PeerCertificates;
use crate::client::ClientHandshake;
use crate::codec::ContentType;
use crate::codec::HEADER_LEN;
use crate::codec::Joiner;
use crate::codec::MAX_PLAIN;
use crate::codec::MAX_SEALED;
use crate::codec::Message;
use crate::codec::RecordHeader;
use crate::config::ClientConfig;
use crate::config::ServerConfig;
use crate::config::Target;
use crate::error::Error;
use crate::server::ServerHandshake;
use crate::suite::CipherSuite;

/// One connection, of a server or a client.
#[derive(Debug)]
pub struct Connection {
    input: Input,
    channel: Channel,
    joiner: Joiner,
    phase: Phase,
    /// Plaintext of the first record in `input`, counted from the record's first byte.
    plain: Range<usize>,
    /// The length of the record that holds the plaintext, with its header.
    plain_record: usize,
    /// Records and warnings that came in a row and carried nothing.
    idle_records: u8,
    close_notify_received: bool,
    close_notify_sent: bool,
}

#[derive(Debug)]
enum Phase {
    Failed,
    Handshake(Handshake),
    Open(Arc<Established>),
}

#[derive(Debug)]
enum Handshake {
    Client(Box<ClientHandshake>),
    Server(Box<ServerHandshake>),
}

/// What a handshake agreed on and proved.
#[derive(Debug, Clone)]
pub struct Established {
    /// The suite.
    pub suite: CipherSuite,
    /// Whether an earlier session was taken up.
    pub resumed: bool,
    /// What is spoken above (RFC 7301).
    pub protocol: Option<Box<[u8]>>,
    /// The name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// Whom the peer proved to be; in a resumed session, whom it proved to be at first.
    pub peer: Option<Arc<PeerCertificates>>,
}

impl Connection {
    /// A server's side, which waits for the client.
    pub fn server(config: Arc<ServerConfig>) -> Self {
        let handshake = Box::new(ServerHandshake::new(config));
        Self::new(Channel::default(), Handshake::Server(handshake))
    }

    /// A client's side; its hello is in the output. `now` is for the age of sessions.
    ///
    /// # Errors
    /// When there are no random numbers, or no suite is left to offer.
    pub fn client(config: Arc<ClientConfig>, target: Target, now: UnixTime) -> Result<Self, Error> {
        let mut channel = Channel::default();
        let handshake = ClientHandshake::start(config, target, &mut channel, now)?;
        Ok(Self::new(channel, Handshake::Client(Box::new(handshake))))
    }

    fn new(channel: Channel, handshake: Handshake) -> Self {
        Self {
            input: Input::default(),
            channel,
            joiner: Joiner::default(),
            phase: Phase::Handshake(handshake),
            plain: 0..0,
            plain_record: 0,
            idle_records: 0,
            close_notify_received: false,
            close_notify_sent: false,
        }
    }

    /// Room for bytes of the peer. It is empty only when there is plaintext to take, or all that came is of use
    /// to nobody any more.
    pub fn room(&mut self) -> &mut [u8] {
        self.input.room()
    }

    /// Takes over `count` bytes that were put into the room.
    pub fn filled(&mut self, count: usize) {
        self.input.filled(count);
    }

    /// Does what can be done with what came: until there is plaintext, or bytes are missing.
    ///
    /// # Errors
    /// When the connection failed. The output then ends with an alert that should be sent before the
    /// connection is closed.
    pub fn process(&mut self, now: UnixTime) -> Result<(), Error> {
        let result = self.advance(now);
        if let Err(error) = &result {
            self.fail(error);
        }
        result
    }

    /// What is to be sent.
    pub fn output(&self) -> &[u8] {
        self.channel.output()
    }

    /// Forgets `count` bytes of the output, which were sent.
    pub fn sent(&mut self, count: usize) {
        self.channel.sent(count);
    }

    /// What the peer said. More of it may be there after it was taken, and [`Self::process`] called.
    pub fn plaintext(&self) -> &[u8] {
        self.input.bytes().get(self.plain.clone()).unwrap_or_default()
    }

    /// Forgets the first `count` bytes of the plaintext.
    pub fn consume(&mut self, count: usize) {
        if self.plain.is_empty() {
            return;
        }
        self.plain.start = self.plain.start.saturating_add(count).min(self.plain.end);
        if self.plain.is_empty() {
            self.input.consume(self.plain_record);
            self.plain = 0..0;
        }
    }

    /// Protects as much of `pieces` as fits until the output is `limit` bytes long, at least one record. Returns
    /// how much that was; 0 before the handshake is over and after [`Self::close`].
    ///
    /// # Errors
    /// When there are no random numbers, or after 2^64 records.
    pub fn write(&mut self, pieces: &[IoSlice<'_>], limit: usize) -> Result<usize, Error> {
        if !matches!(self.phase, Phase::Open(_)) || self.close_notify_sent {
            return Ok(0);
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut written = 0;
        while written < total && (written == 0 || self.channel.output().len() < limit) {
            let length = (total - written).min(MAX_PLAIN);
            let part = range_of(pieces, written..written + length);
            self.channel.send_data(part, length)?;
            written += length;
        }
        Ok(written)
    }

    /// Says goodbye: a `close_notify` goes into the output, once. Nothing can be written any more.
    pub fn close(&mut self) {
        if !self.close_notify_sent && !matches!(self.phase, Phase::Failed) {
            self.close_notify_sent = true;
            // Without random numbers the peer sees the end of the connection only.
            let _ = self.channel.send_close_notify();
        }
    }

    /// What was agreed on, once the handshake is over.
    pub fn established(&self) -> Option<&Arc<Established>> {
        match &self.phase {
            Phase::Open(established) => Some(established),
            Phase::Failed | Phase::Handshake(_) => None,
        }
    }

    /// Whether the peer said goodbye: there will be no more plaintext.
    pub fn is_closed_by_peer(&self) -> bool {
        self.close_notify_received
    }

    /// Whether [`Self::process`] may take long now, because of a key that is not in this process.
    pub fn is_blocking(&self) -> bool {
        match &self.phase {
            Phase::Handshake(Handshake::Client(handshake)) => handshake.is_blocking(),
            Phase::Handshake(Handshake::Server(handshake)) => handshake.is_blocking(),
            Phase::Failed | Phase::Open(_) => false,
        }
    }

    #[cfg(test)]
    pub(crate) fn write_empty_record(&mut self) {
        let nothing = std::iter::empty();
        self.channel.send_record(ContentType::ApplicationData, nothing, 0).unwrap();
    }

    #[cfg(test)]
    pub(crate) fn write_message(&mut self, kind: crate::codec::MessageType) {
        self.channel.send_message(kind, &[]).unwrap();
    }

    fn advance(&mut self, now: UnixTime) -> Result<(), Error> {
        if matches!(self.phase, Phase::Failed) {
            return Err(Error::Unexpected("use of a failed connection"));
        }
        while self.plain.is_empty() {
            if self.close_notify_received {
                // RFC 5246 (7.2.1): whatever comes behind is nothing.
                self.input.consume(usize::MAX);
                return Ok(());
            }
            let protected = self.channel.opener().is_some();
            let most = if protected { MAX_SEALED } else { MAX_PLAIN };
            let Some(header) = RecordHeader::read(self.input.bytes(), most)? else { return Ok(()) };
            let whole = HEADER_LEN + header.length;
            let Some(record) = self.input.bytes_mut().get_mut(..whole) else { return Ok(()) };
            let body = &mut record[HEADER_LEN..];
            let plain = match (self.channel.opener(), header.content) {
                (Some(opener), _) => opener.open(header.content, body)?,
                (None, ContentType::ApplicationData) => {
                    return Err(Error::Unexpected("application data"));
                }
                (None, _) => 0..body.len(),
            };
            self.record(header.content, whole, plain, now)?;
        }
        Ok(())
    }

    /// Takes in an opened record, the first in the input. `plain` is counted from behind the header.
    fn record(
        &mut self,
        content: ContentType,
        whole: usize,
        plain: Range<usize>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let plain = plain.start + HEADER_LEN..plain.end + HEADER_LEN;
        if content == ContentType::ApplicationData {
            if !matches!(self.phase, Phase::Open(_)) {
                return Err(Error::Unexpected("application data"));
            }
            if plain.is_empty() {
                self.input.consume(whole);
                return self.idle("empty record");
            }
            self.idle_records = 0;
            (self.plain, self.plain_record) = (plain, whole);
            return Ok(());
        }
        let payload = &self.input.bytes()[plain];
        if payload.is_empty() {
            return Err(Error::Decode("empty record"));
        }
        match content {
            ContentType::Alert => {
                let alert = <[u8; 2]>::try_from(payload).map_err(|_| Error::Decode("alert"))?;
                self.input.consume(whole);
                self.alert(alert)
            }
            ContentType::ChangeCipherSpec => {
                let is_good = payload == [1] && self.joiner.is_empty();
                self.input.consume(whole);
                if !is_good {
                    return Err(Error::Unexpected("ChangeCipherSpec"));
                }
                self.change_cipher_spec()
            }
            ContentType::Handshake | ContentType::ApplicationData => {
                self.joiner.push(payload);
                self.input.consume(whole);
                self.messages(now)
            }
        }
    }

    fn alert(&mut self, [level, description]: [u8; 2]) -> Result<(), Error> {
        let description = Alert(description);
        match level {
            alert::WARNING if description == Alert::CLOSE_NOTIFY => {
                if matches!(self.phase, Phase::Handshake(_)) {
                    return Err(Error::AlertReceived(description));
                }
                self.close_notify_received = true;
                Ok(())
            }
            alert::WARNING => self.idle("warning"),
            alert::FATAL => Err(Error::AlertReceived(description)),
            _ => Err(Error::IllegalParameter("an alert has an unknown level")),
        }
    }

    /// Counts what costs the peer little and us work: a flood of it ends the connection.
    fn idle(&mut self, what: &'static str) -> Result<(), Error> {
        self.idle_records += 1;
        if self.idle_records > MAX_IDLE_RECORDS { Err(Error::Unexpected(what)) } else { Ok(()) }
    }

    fn change_cipher_spec(&mut self) -> Result<(), Error> {
        match &mut self.phase {
            Phase::Handshake(Handshake::Client(handshake)) => {
                handshake.change_cipher_spec(&mut self.channel)
            }
            Phase::Handshake(Handshake::Server(handshake)) => {
                handshake.change_cipher_spec(&mut self.channel)
            }
            Phase::Failed | Phase::Open(_) => Err(Error::Unexpected("ChangeCipherSpec")),
        }
    }

    fn messages(&mut self, now: UnixTime) -> Result<(), Error> {
        let Self { joiner, phase, channel, .. } = self;
        while let Some(message) = joiner.next()? {
            let Phase::Handshake(handshake) = phase else {
                return Err(after_handshake(&message));
            };
            let done = match handshake {
                Handshake::Client(handshake) => handshake.message(&message, channel, now)?,
                Handshake::Server(handshake) => handshake.message(&message, channel, now)?,
            };
            if let Some(established) = done {
                *phase = Phase::Open(Arc::new(established));
            }
        }
        if matches!(phase, Phase::Open(_)) {
            joiner.release();
        }
        Ok(())
    }

    fn fail(&mut self, error: &Error) {
        if matches!(self.phase, Phase::Failed) {
            return;
        }
        if let Phase::Handshake(Handshake::Client(handshake)) =
            mem::replace(&mut self.phase, Phase::Failed)
        {
            handshake.forget_session();
        }
        self.plain = 0..0;
        if let Some(alert) = error.alert() {
            // Without random numbers the peer sees the end of the connection only.
            let _ = self.channel.send_fatal(alert);
        }
    }
}

fn after_handshake(message: &Message<'_>) -> Error {
    use crate::codec::MessageType;
    match message.kind {
        MessageType::ClientHello | MessageType::HelloRequest => Error::Renegotiation,
        _ => Error::Unexpected("handshake message"),
    }
}

/// The parts of `pieces` that make up `range` of them all.
fn range_of<'a>(pieces: &'a [IoSlice<'a>], range: Range<usize>) -> impl Iterator<Item = &'a [u8]> {
    let mut at = 0;
    pieces.iter().filter_map(move |piece| {
        let start = range.start.saturating_sub(at).min(piece.len());
        let end = range.end.saturating_sub(at).min(piece.len());
        at += piece.len();
        piece.get(start..end).filter(|part| !part.is_empty())
    })
}

/// Tongsuo begins with one empty record; OpenSSL's old defence sent one before each. As many as OpenSSL allows.
const MAX_IDLE_RECORDS: u8 = 32;
