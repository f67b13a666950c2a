//! A stream as an exchange sees it.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use http::HeaderMap;
use http::header;
use http::response::Parts;

use super::connection::Connection;
use super::connection::MAX_UNWRITTEN;
use super::connection::Role;
use super::frame;
use super::frame::Reason;
use super::frame::flag;
use super::frame::kind;
use super::hpack::Pseudo;
use super::streams::Failure;
use super::streams::Key;
use super::streams::Stream;

/// A handle of a stream. The last one that goes resets a stream that is not over.
#[derive(Debug)]
pub(super) struct StreamRef {
    connection: Rc<RefCell<Connection>>,
    key: Key,
}

/// A stream cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed(pub(super) Failure);

impl StreamRef {
    /// The first handle of a stream that was just inserted.
    pub(super) fn new(connection: Rc<RefCell<Connection>>, key: Key) -> Self {
        Self { connection, key }
    }

    /// Begins a stream of our own with a request.
    pub(super) fn request(
        connection: &Rc<RefCell<Connection>>,
        pseudo: &[(Pseudo, &[u8])],
        headers: &HeaderMap,
        end: bool,
    ) -> Self {
        let is_head = pseudo.contains(&(Pseudo::Method, b"HEAD"));
        let this = &mut *connection.borrow_mut();
        let id = this.next_own;
        this.next_own += 2;
        let window = i64::from(this.config.stream_window);
        let key = this.streams.insert(id, this.peer.initial_window, window);
        let stream = this.streams.get(key);
        stream.sent_all = end;
        stream.is_head = is_head;
        this.put_section(id, end, |encoder, out| {
            for (name, value) in pseudo {
                encoder.pseudo(out, *name, value);
            }
            // The authority stands before the fields.
            encoder.fields(out, headers.iter().filter(|(name, _)| *name != header::HOST));
        });
        this.wake_driver();
        Self { connection: Rc::clone(connection), key }
    }

    /// The response's head.
    ///
    /// # Errors
    /// The stream failed; nothing was sent.
    pub(super) fn respond(
        &self,
        status: &str,
        headers: &HeaderMap,
        end: bool,
    ) -> Result<(), Failed> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if let Some(failure) = stream.failure {
            return Err(Failed(failure));
        }
        stream.sent_all = end;
        let id = stream.id;
        this.note_end(self.key);
        this.put_section(id, end, |encoder, out| {
            encoder.pseudo(out, Pseudo::Status, status.as_bytes());
            encoder.fields(out, headers.iter());
        });
        this.wake_driver();
        Ok(())
    }

    /// An interim response without fields. Nothing happens when the stream has failed.
    pub(super) fn send_interim(&self, status: &str) {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if stream.failure.is_none() && !stream.sent_all {
            let id = stream.id;
            this.put_section(id, false, |encoder, out| {
                encoder.pseudo(out, Pseudo::Status, status.as_bytes());
            });
            this.wake_driver();
        }
    }

    /// Trailers: the end of what we send.
    ///
    /// # Errors
    /// The stream failed; nothing was sent.
    pub(super) fn send_trailers(&self, trailers: &HeaderMap) -> Result<(), Failed> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if let Some(failure) = stream.failure {
            return Err(Failed(failure));
        }
        stream.sent_all = true;
        let id = stream.id;
        this.note_end(self.key);
        this.put_section(id, true, |encoder, out| {
            encoder.fields(out, trailers.iter());
        });
        this.wake_driver();
        Ok(())
    }

    /// Sends as much of `data` as there is room for; `end` says that nothing follows it. Ready when all of it
    /// is on its way. Returns how many bytes were sent by this call in `sent`.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
        end: bool,
        sent: &mut u64,
    ) -> Poll<Result<(), Failed>> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if let Some(failure) = stream.failure {
            return Poll::Ready(Err(Failed(failure)));
        }
        loop {
            let congested = this.out.len() > MAX_UNWRITTEN;
            let room = stream.send_window.min(this.send_window);
            let piece = data
                .len()
                .min(this.peer.max_frame)
                .min(frame::MAX_PAYLOAD)
                .min(usize::try_from(room).unwrap_or(0));
            if !data.is_empty() && (piece == 0 || congested) {
                stream.sender = Some(cx.waker().clone());
                if stream.send_window > 0 && !this.blocked.contains(&self.key) {
                    this.blocked.push(self.key);
                }
                // For what this call sent, which makes the room that it waits for.
                this.wake_driver();
                return Poll::Pending;
            }
            let last = piece == data.len();
            let flags = if last && end { flag::END_STREAM } else { 0 };
            frame::put_head(&mut this.out, piece, kind::DATA, flags, stream.id);
            this.out.extend_from_slice(&data.split_to(piece));
            let bytes = i64::from(frame::bytes(piece));
            stream.send_window -= bytes;
            this.send_window -= bytes;
            *sent += piece as u64;
            if last {
                stream.sent_all |= end;
                this.note_end(self.key);
                this.wake_driver();
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether the stream failed.
    pub(super) fn has_failed(&self) -> bool {
        self.connection.borrow().streams.peek(self.key).failure.is_some()
    }

    /// Ready when the stream failed. Registers whoever sends.
    pub(super) fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<Failure> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if let Some(failure) = stream.failure {
            return Poll::Ready(failure);
        }
        register(&mut stream.sender, cx);
        Poll::Pending
    }

    /// Resets the stream; what was sent before leaves first.
    pub(super) fn reset(&self, reason: Reason) {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if stream.failure.is_none() && !(stream.sent_all && stream.received_all) {
            let id = stream.id;
            stream.fail(Failure::Reset(reason));
            this.note_end(self.key);
            this.input.forget(id);
            frame::put_reset(&mut this.out, id, reason);
            this.wake_driver();
        }
    }

    // ---- what exchanges receive

    /// The head of the response.
    pub(super) fn poll_response(&self, cx: &mut Context<'_>) -> Poll<Result<Box<Parts>, Failed>> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if let Some(head) = stream.response.take() {
            return Poll::Ready(Ok(head));
        }
        if let Some(failure) = stream.failure {
            return Poll::Ready(Err(Failed(failure)));
        }
        register(&mut stream.receiver, cx);
        Poll::Pending
    }

    /// Whether a 100 (Continue) arrived since this was last asked.
    pub(super) fn take_continue(&self) -> bool {
        std::mem::take(&mut self.connection.borrow_mut().streams.get(self.key).continues)
    }

    /// The next data; `None` at its end. Makes room for as much.
    pub(super) fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Failed>>> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if let Some(chunk) = stream.chunks.pop_front() {
            let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let window = this.config.stream_window;
            if !stream.received_all {
                stream.taken += bytes;
                if stream.taken >= window / 2 && stream.failure.is_none() {
                    let more = std::mem::take(&mut stream.taken);
                    stream.receive_window += i64::from(more);
                    frame::put_window_update(&mut this.out, stream.id, more);
                    if let Some(driver) = &this.driver {
                        driver.wake_by_ref();
                    }
                }
            }
            this.give_back(bytes);
            return Poll::Ready(Some(Ok(chunk)));
        }
        if stream.received_all {
            return Poll::Ready(None);
        }
        if let Some(failure) = stream.failure {
            return Poll::Ready(Some(Err(Failed(failure))));
        }
        register(&mut stream.receiver, cx);
        Poll::Pending
    }

    /// The trailers, after the data.
    pub(super) fn take_trailers(&self) -> Option<HeaderMap> {
        self.connection.borrow_mut().streams.get(self.key).trailers.take()
    }

    /// True when everything arrived and was taken.
    pub(super) fn is_drained(&self) -> bool {
        let this = self.connection.borrow();
        let stream = this.streams.peek(self.key);
        stream.received_all && stream.chunks.is_empty() && stream.trailers.is_none()
    }

    /// All data, if everything that the peer sends has arrived, in one piece and without trailers.
    pub(super) fn take_whole(&self) -> Option<Bytes> {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        if !stream.received_all || stream.chunks.len() > 1 || stream.trailers.is_some() {
            return None;
        }
        let whole = stream.chunks.pop_front().unwrap_or_default();
        this.give_back(u32::try_from(whole.len()).unwrap_or(u32::MAX));
        Some(whole)
    }
}

fn register(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(known) if known.will_wake(cx.waker()) => {}
        place => *place = Some(cx.waker().clone()),
    }
}

impl Clone for StreamRef {
    fn clone(&self) -> Self {
        self.connection.borrow_mut().streams.get(self.key).handles += 1;
        Self { connection: Rc::clone(&self.connection), key: self.key }
    }
}

impl Drop for StreamRef {
    fn drop(&mut self) {
        let this = &mut *self.connection.borrow_mut();
        let stream = this.streams.get(self.key);
        stream.handles -= 1;
        if stream.handles > 0 {
            return;
        }
        let Stream { id, failure, sent_all, received_all, is_counted, .. } = *stream;
        let untaken: usize = stream.chunks.iter().map(Bytes::len).sum();
        if failure.is_none() && !(sent_all && received_all) && !this.is_closed {
            // A server that has answered does not want the rest (RFC 9113 section 8.1).
            let reason = match this.role {
                Role::Server if sent_all => Reason::NO_ERROR,
                Role::Client | Role::Server => Reason::CANCEL,
            };
            frame::put_reset(&mut this.out, id, reason);
            this.input.forget(id);
            this.wake_driver();
        }
        if is_counted {
            this.open -= 1;
        }
        let key = self.key;
        this.blocked.retain(|blocked| *blocked != key);
        this.streams.remove(key);
        if this.is_abandoned {
            this.wake_driver();
        }
        this.give_back(u32::try_from(untaken).unwrap_or(u32::MAX));
    }
}
