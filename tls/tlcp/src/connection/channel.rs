//! What is sent: records, protected once there are keys, and what is not on its way yet.

use crate::alert;
use crate::alert::Alert;
use crate::codec::ContentType;
use crate::codec::MAX_PLAIN;
use crate::codec::MessageType;
use crate::codec::RecordHeader;
use crate::codec::prefixed_u24;
use crate::error::Error;
use crate::protect::Opener;
use crate::protect::Sealer;

/// Both directions' keys, and the bytes to send.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    sealer: Option<Sealer>,
    opener: Option<Opener>,
    output: Vec<u8>,
    /// How much of `output` is on its way.
    sent: usize,
}

impl Channel {
    /// Protects what is sent from now on.
    pub(crate) fn set_sealer(&mut self, sealer: Sealer) {
        self.sealer = Some(sealer);
    }

    /// What comes from now on is protected.
    pub(crate) fn set_opener(&mut self, opener: Opener) {
        self.opener = Some(opener);
    }

    pub(crate) fn opener(&mut self) -> Option<&mut Opener> {
        self.opener.as_mut()
    }

    /// Sends a handshake message and gives it back as it enters the transcript.
    pub(crate) fn send_message(
        &mut self,
        kind: MessageType,
        body: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let mut message = Vec::with_capacity(4 + body.len());
        message.push(kind as u8);
        prefixed_u24(&mut message, |message| message.extend_from_slice(body));
        for piece in message.chunks(MAX_PLAIN) {
            self.send_record(ContentType::Handshake, std::iter::once(piece), piece.len())?;
        }
        Ok(message)
    }

    pub(crate) fn send_change_cipher_spec(&mut self) -> Result<(), Error> {
        self.send_record(ContentType::ChangeCipherSpec, std::iter::once(&[1][..]), 1)
    }

    pub(crate) fn send_fatal(&mut self, alert: Alert) -> Result<(), Error> {
        self.send_record(ContentType::Alert, std::iter::once(&[alert::FATAL, alert.0][..]), 2)
    }

    pub(crate) fn send_close_notify(&mut self) -> Result<(), Error> {
        let body = [alert::WARNING, Alert::CLOSE_NOTIFY.0];
        self.send_record(ContentType::Alert, std::iter::once(&body[..]), 2)
    }

    /// Sends data of the application; `length` is that of all pieces together, and at most [`MAX_PLAIN`].
    pub(crate) fn send_data<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        length: usize,
    ) -> Result<(), Error> {
        match &mut self.sealer {
            Some(sealer) => sealer.seal_data(pieces, length, &mut self.output),
            None => self.send_record(ContentType::ApplicationData, pieces, length),
        }
    }

    /// Sends one record; `length` is that of all pieces together, and at most [`MAX_PLAIN`].
    pub(crate) fn send_record<'a>(
        &mut self,
        content: ContentType,
        pieces: impl Iterator<Item = &'a [u8]>,
        length: usize,
    ) -> Result<(), Error> {
        if let Some(sealer) = &mut self.sealer {
            return sealer.seal(content, pieces, &mut self.output);
        }
        self.output.extend_from_slice(&RecordHeader::bytes(content, length));
        pieces.for_each(|piece| self.output.extend_from_slice(piece));
        Ok(())
    }

    pub(crate) fn output(&self) -> &[u8] {
        self.output.get(self.sent..).unwrap_or_default()
    }

    pub(crate) fn sent(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count).min(self.output.len());
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
    }
}
