//! The one task of a client: moves bytes between the transport and the state, and commands and
//! events between the state and the owner.
//!
//! Lives on the control thread. It ends when the owner drops its end of the events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::future::pending;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::Body as HttpBody;
use tonic::codegen::StdError;
use tracing::debug;

use crate::backoff::Backoff;
use crate::client::Command;
use crate::client::Notice;
use crate::error::StreamError;
use crate::rate_limit::Bucket;
use crate::state::State;
use crate::stats::Stats;
use crate::transport;
use crate::transport::Call;
use crate::transport::Received;
use crate::transport::Requests;
use crate::transport::Responses;

/// Everything the task owns but the channel factory.
pub(crate) struct Driver<S> {
    pub(crate) state: State,
    pub(crate) stats: Arc<Stats>,
    pub(crate) call: Call,
    pub(crate) commands: UnboundedReceiver<Command>,
    pub(crate) notices: UnboundedSender<Notice>,
    pub(crate) backoff: Backoff,
    pub(crate) bucket: Option<Bucket>,
    pub(crate) phase: Phase<S>,
}

/// Where the task is on its way to a stream.
pub(crate) enum Phase<S> {
    /// Waits until then.
    BackingOff(Instant),
    /// Waits for the owner's channel.
    Connecting(LocalBoxFuture<'static, Result<S, StdError>>),
    Streaming(Streaming),
}

pub(crate) struct Streaming {
    requests: Requests,
    responses: Responses,
    /// The rate limit allows no request before.
    throttled_until: Option<Instant>,
}

/// What happened in a phase.
enum Step<S> {
    BackedOff,
    Connected(S),
    Failed(StreamError),
    Received(Received),
    Writable,
}

impl<S> Driver<S>
where
    S: GrpcService<Body> + 'static,
    S::ResponseBody: HttpBody + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError>,
{
    /// Runs until the owner is gone.
    pub(crate) async fn run(
        mut self,
        mut channel: impl FnMut() -> LocalBoxFuture<'static, Result<S, StdError>>,
    ) {
        loop {
            // All that the owner said at once becomes one request per type, in its order.
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
            self.write();
            if !self.report_events() {
                return;
            }
            let deadline = self.state.next_deadline().map(Instant::from_std);
            let (wants_write, can_read) = (self.state.has_requests(), self.state.can_read());
            let step = tokio::select! {
                command = self.commands.recv() => {
                    // Never `None`: the owner's end of the events holds a sender, too.
                    if let Some(command) = command {
                        self.obey(command);
                    }
                    continue;
                }
                () = self.notices.closed() => return,
                () = at(deadline) => {
                    self.state.on_timeout(Instant::now().into_std());
                    continue;
                }
                step = self.phase.step(wants_write, can_read) => step,
            };
            match step {
                Step::BackedOff => self.phase = Phase::Connecting(channel()),
                Step::Connected(channel) => {
                    self.state.on_stream_open();
                    let (requests, responses) = transport::open(&self.call, channel);
                    let throttled_until = None;
                    self.phase =
                        Phase::Streaming(Streaming { requests, responses, throttled_until });
                }
                Step::Failed(error) => self.lose(error),
                Step::Received(Received::Opened) => {
                    debug!("xDS stream open");
                    self.stats.set_connected(true);
                    self.notify(Notice::Connected);
                }
                Step::Received(Received::Response(response)) => {
                    // One response is proof enough of a working control plane (gRFC A57).
                    self.backoff.reset();
                    debug!(type_url = %response.type_url, version = %response.version, "xDS response");
                    self.state.on_response(*response, Instant::now().into_std());
                }
                Step::Received(Received::End) => self.lose(StreamError::Closed),
                Step::Writable => {}
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now().into_std();
        match command {
            Command::Answer { ticket, verdict } => self.state.answer(ticket, verdict, now),
            Command::AskAgain { type_url, name } => self.state.ask_again(&type_url, &name),
            Command::Subscribe { resource_type, name, fetch_timeout } => {
                self.state.subscribe(&resource_type, &name, fetch_timeout, now);
            }
            Command::Unsubscribe { type_url, name } => self.state.unsubscribe(&type_url, &name),
        }
    }

    /// Writes what the state has to say, as far as the stream and the rate limit take it.
    fn write(&mut self) {
        let Phase::Streaming(Streaming { requests, throttled_until, .. }) = &mut self.phase else {
            return;
        };
        let now = Instant::now();
        if throttled_until.is_some_and(|until| until > now) {
            return;
        }
        *throttled_until = None;
        while let Some(permit) = requests.try_reserve() {
            if !self.state.prepare_request() {
                return;
            }
            if let Some(Err(wait)) = self.bucket.as_mut().map(|it| it.take(now.into_std())) {
                self.stats.count_rate_limited();
                // The timer counts in milliseconds; a shorter wait would spin.
                *throttled_until = Some(now + wait.max(Duration::from_millis(1)));
                return;
            }
            if let Some(frame) = self.state.poll_request() {
                permit.send(frame);
            }
        }
    }

    /// Ends the stream or the attempt at one, and waits before the next.
    fn lose(&mut self, error: StreamError) {
        let wait = self.backoff.next_wait();
        // The owner hears of it as well, and knows what it means.
        debug!(%error, retry_in = ?wait, "no xDS stream");
        self.phase = Phase::BackingOff(Instant::now() + wait);
        self.state.on_stream_closed();
        self.stats.set_connected(false);
        self.notify(Notice::Disconnected(error));
    }

    /// Hands events over; false if nobody listens.
    fn report_events(&mut self) -> bool {
        while let Some(event) = self.state.poll_event() {
            self.notify(Notice::State(event));
        }
        !self.notices.is_closed()
    }

    fn notify(&self, notice: Notice) {
        if self.notices.send(notice).is_err() {
            debug!("nobody listens to xDS events any more");
        }
    }
}

impl<S> Phase<S> {
    /// Waits for the next thing to happen. Cancel safe.
    async fn step(&mut self, wants_write: bool, can_read: bool) -> Step<S> {
        match self {
            Self::BackingOff(until) => {
                sleep_until(*until).await;
                Step::BackedOff
            }
            Self::Connecting(connecting) => match connecting.await {
                Ok(channel) => Step::Connected(channel),
                Err(error) => Step::Failed(StreamError::Channel(error.to_string())),
            },
            Self::Streaming(streaming) => streaming.step(wants_write, can_read).await,
        }
    }
}

impl Streaming {
    async fn step<S>(&mut self, wants_write: bool, can_read: bool) -> Step<S> {
        let Self { requests, responses, throttled_until } = self;
        let writable = async {
            match *throttled_until {
                Some(until) => sleep_until(until).await,
                None => requests.writable().await,
            }
        };
        tokio::select! {
            () = writable, if wants_write => Step::Writable,
            received = responses.receive(), if can_read => {
                received.map_or_else(|status| Step::Failed(status.into()), Step::Received)
            }
            // Nothing to write and not allowed to read: only the owner can change that.
            else => pending().await,
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
