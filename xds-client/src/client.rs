//! What the owner of a client sees: configuration, subscriptions, events and their answers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use palanquin_proto::envoy::config::core::v3::Node;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::Body as HttpBody;
use tonic::codegen::StdError;
use tonic::metadata::MetadataMap;

use crate::backoff::Backoff;
use crate::backoff::BackoffPolicy;
use crate::error::ResourceError;
use crate::error::StreamError;
use crate::rate_limit::Bucket;
use crate::rate_limit::RateLimit;
use crate::resource::Absence;
use crate::resource::Protocol;
use crate::resource::Resource;
use crate::resource::ResourceType;
use crate::resource::WILDCARD;
use crate::state;
use crate::state::State;
use crate::state::Ticket;
use crate::state::Verdict;
use crate::stats::Stats;
use crate::stream::Driver;
use crate::stream::Phase;
use crate::transport::Call;

/// How a client speaks. [`Config::new`] sets Envoy's defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who we are. go-control-plane and istiod refuse a node without an id. TTLs are sent to those
    /// whose `client_features` name `xds.config.supports-resource-ttl` and, for the state of the
    /// world, `xds.config.resource-in-sotw`; both are supported here.
    pub node: Node,
    /// Incremental or state of the world.
    pub protocol: Protocol,
    /// `set_node_on_first_message_only`: true unless a server wants the node in every request.
    pub node_on_first_message_only: bool,
    /// The gRPC method; another one than the aggregated service's serves a single type.
    pub method: PathAndQuery,
    /// Scheme and authority of the requests, for channels that do not set their own.
    pub origin: Uri,
    /// `GrpcService.initial_metadata`, sent with every stream.
    pub metadata: MetadataMap,
    /// `initial_fetch_timeout` of every name subscribed to; `None` waits for ever.
    pub initial_fetch_timeout: Option<Duration>,
    /// Waits between streams.
    pub backoff: BackoffPolicy,
    /// `rate_limit_settings`; none by default.
    pub rate_limit: Option<RateLimit>,
    /// The largest response taken. 256 MiB: ten thousands of clusters in one response.
    pub max_message_bytes: usize,
}

impl Config {
    /// The defaults of Envoy, over the aggregated service.
    pub fn new(node: Node, protocol: Protocol) -> Self {
        Self {
            node,
            protocol,
            node_on_first_message_only: true,
            method: PathAndQuery::from_static(protocol.aggregated_method()),
            origin: Uri::from_static("http://xds"),
            metadata: MetadataMap::new(),
            initial_fetch_timeout: Some(Duration::from_secs(15)),
            backoff: BackoffPolicy::default(),
            rate_limit: None,
            max_message_bytes: 256 << 20,
        }
    }

    /// The same over the service of secrets (SDS), as agents on the same machine offer it.
    #[must_use]
    pub fn for_secrets(mut self) -> Self {
        self.method = PathAndQuery::from_static(self.protocol.secrets_method());
        self
    }
}

/// A connection to a control plane and what is asked of it.
#[derive(Debug)]
pub struct XdsClient;

impl XdsClient {
    /// Makes a client: the handle to subscribe with, the events, and the task that does the work.
    ///
    /// The task is a future for a tokio runtime with a timer, on any one thread. It asks `channel`
    /// for a channel before each stream, first at once, then after each back-off, so it may return
    /// another server's. It ends when the [`XdsEvents`] are dropped.
    #[expect(clippy::new_ret_no_self, reason = "a client is these three parts")]
    pub fn new<F, Fut, S, E>(
        config: Config,
        mut channel: F,
    ) -> (XdsHandle, XdsEvents, impl Future<Output = ()>)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<S, E>> + 'static,
        E: Into<StdError>,
        S: GrpcService<Body> + 'static,
        S::ResponseBody: HttpBody + Send + 'static,
        <S::ResponseBody as HttpBody>::Error: Into<StdError>,
    {
        let stats = Arc::new(Stats::default());
        // Both are unbounded channels with a natural bound: commands come from the owner's own
        // calls, and at most `max_unanswered` updates per type are under way at a time.
        let (command_sender, commands) = mpsc::unbounded_channel();
        let (notices, notice_receiver) = mpsc::unbounded_channel();
        let handle = XdsHandle {
            commands: command_sender.clone(),
            fetch_timeout: config.initial_fetch_timeout,
            stats: stats.clone(),
        };
        let events = XdsEvents { notices: notice_receiver, commands: command_sender };
        let mut channel = move || -> futures_util::future::LocalBoxFuture<'static, _> {
            let connecting = channel();
            Box::pin(async move { connecting.await.map_err(Into::into) })
        };
        let driver = async move {
            let now = tokio::time::Instant::now();
            let driver = Driver {
                state: State::new(
                    config.protocol,
                    config.node,
                    config.node_on_first_message_only,
                    stats.clone(),
                ),
                stats,
                call: Call {
                    protocol: config.protocol,
                    method: config.method,
                    origin: config.origin,
                    metadata: config.metadata,
                    max_message_bytes: config.max_message_bytes,
                },
                commands,
                notices,
                backoff: Backoff::new(config.backoff, Backoff::random_seed()),
                bucket: config.rate_limit.map(|limit| Bucket::new(limit, now.into_std())),
                phase: Phase::BackingOff(now),
            };
            driver.run(&mut channel).await;
        };
        (handle, events, driver)
    }
}

/// Subscribes to resources. Cheap to clone.
#[derive(Debug, Clone)]
pub struct XdsHandle {
    commands: UnboundedSender<Command>,
    fetch_timeout: Option<Duration>,
    stats: Arc<Stats>,
}

impl XdsHandle {
    /// Asks for the resource `name` until the subscription is dropped.
    ///
    /// References are counted by name. A second subscription to a name gets nothing new.
    /// All calls made before the task runs again go out as one request per type, and types in the
    /// order of the first call: subscribe to endpoints before accepting the clusters, and the
    /// control plane hears it in this order.
    pub fn subscribe(
        &self,
        resource_type: &ResourceType,
        name: impl Into<Arc<str>>,
    ) -> Subscription {
        self.subscribe_within(resource_type, name, self.fetch_timeout)
    }

    /// Like [`Self::subscribe`], with its own initial fetch timeout; `None` waits for ever.
    pub fn subscribe_within(
        &self,
        resource_type: &ResourceType,
        name: impl Into<Arc<str>>,
        fetch_timeout: Option<Duration>,
    ) -> Subscription {
        let name = name.into();
        tell(
            &self.commands,
            Command::Subscribe {
                resource_type: resource_type.clone(),
                name: name.clone(),
                fetch_timeout,
            },
        );
        let type_url = resource_type.type_url().clone();
        Subscription { commands: self.commands.clone(), type_url, name }
    }

    /// Asks for every resource of the type.
    pub fn subscribe_all(&self, resource_type: &ResourceType) -> Subscription {
        self.subscribe(resource_type, WILDCARD)
    }

    /// The counters, live.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }
}

/// Keeps a resource subscribed to; the last one of a name to be dropped unsubscribes.
#[derive(Debug)]
#[must_use = "dropping it unsubscribes"]
pub struct Subscription {
    commands: UnboundedSender<Command>,
    type_url: Arc<str>,
    name: Arc<str>,
}

impl Subscription {
    /// What is subscribed to; `*` is everything.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Asks the control plane to send the resource once more, see [`State::ask_again`].
    pub fn ask_again(&self) {
        let (type_url, name) = (self.type_url.clone(), self.name.clone());
        tell(&self.commands, Command::AskAgain { type_url, name });
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let (type_url, name) = (self.type_url.clone(), self.name.clone());
        tell(&self.commands, Command::Unsubscribe { type_url, name });
    }
}

/// What happens, in order. Dropping it ends the client.
#[derive(Debug)]
pub struct XdsEvents {
    notices: UnboundedReceiver<Notice>,
    commands: UnboundedSender<Command>,
}

impl XdsEvents {
    /// The next event; `None` once the task has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        let notice = self.notices.recv().await?;
        Some(self.event(notice))
    }

    /// The next event if there is one now.
    pub fn try_next(&mut self) -> Option<Event> {
        let notice = self.notices.try_recv().ok()?;
        Some(self.event(notice))
    }

    fn event(&self, notice: Notice) -> Event {
        match notice {
            Notice::Connected => Event::Connected,
            Notice::Disconnected(error) => Event::Disconnected { error },
            Notice::State(state::Event::Absent { type_url, names, reason }) => {
                Event::Absent { type_url, names, reason }
            }
            Notice::State(state::Event::Rejected { type_url, version, names, message }) => {
                Event::Rejected { type_url, version, names, message }
            }
            Notice::State(state::Event::Update(delivery)) => Event::Update(Update {
                type_url: delivery.type_url,
                version: delivery.version,
                resources: delivery.resources,
                removed: delivery.removed,
                invalid: delivery.invalid,
                token: Token { ticket: Some(delivery.ticket), commands: self.commands.clone() },
            }),
        }
    }
}

/// What a client tells its owner.
#[derive(Debug)]
pub enum Event {
    /// Names are absent although no update said so.
    Absent {
        /// The type of the resources.
        type_url: Arc<str>,
        /// Which ones; `*` is the type as a whole.
        names: Vec<Arc<str>>,
        /// Why.
        reason: Absence,
    },
    /// The control plane answered a new stream. What was delivered before stays valid.
    Connected,
    /// The stream broke or could not be made; the client will try again.
    Disconnected {
        /// Why.
        error: StreamError,
    },
    /// A response broke a rule of the protocol and was refused as a whole, with a NACK.
    Rejected {
        /// The type of the response.
        type_url: Arc<str>,
        /// Its version.
        version: Arc<str>,
        /// What it carried. None of these will time out any more.
        names: Vec<Arc<str>>,
        /// The text of the NACK; names the resource.
        message: String,
    },
    /// Resources to be judged.
    Update(Update),
}

/// One response of the control plane.
#[derive(Debug)]
pub struct Update {
    /// The type of the resources.
    pub type_url: Arc<str>,
    /// The version of the response; informative in the incremental protocol.
    pub version: Arc<str>,
    /// What is there, in the order of the response, the unchanged included.
    pub resources: Vec<Resource>,
    /// What is there no longer, or does not exist although asked for by name. In order. Holds
    /// whatever the answer is: Envoy removes from a rejected update, too.
    pub removed: Vec<Arc<str>>,
    /// What could not be read. The response will get a NACK in any case.
    pub invalid: Vec<ResourceError>,
    /// Answers the response.
    pub token: Token,
}

/// The right and the duty to answer one update.
///
/// It may be kept while the resources warm; per type, answers go out in the order of the updates.
/// Dropped without an answer it rejects the update, so that a cancelled owner cannot pass for a
/// content one.
#[derive(Debug)]
#[must_use = "dropping it rejects the update"]
pub struct Token {
    ticket: Option<Ticket>,
    commands: UnboundedSender<Command>,
}

impl Token {
    /// Everything in the update is in use.
    pub fn accept(mut self) {
        self.answer(Verdict::Accept);
    }

    /// These resources are not usable. The other ones of the update count as accepted and must be
    /// in use (partial acceptance, as in Envoy).
    pub fn reject(mut self, errors: Vec<ResourceError>) {
        self.answer(Verdict::Reject(errors));
    }

    fn answer(&mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            tell(&self.commands, Command::Answer { ticket, verdict });
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.answer(Verdict::Refuse("the update was given up before it was in use".into()));
    }
}

/// What the owner wants of the task.
#[derive(Debug)]
pub(crate) enum Command {
    Answer { ticket: Ticket, verdict: Verdict },
    AskAgain { type_url: Arc<str>, name: Arc<str> },
    Subscribe { resource_type: ResourceType, name: Arc<str>, fetch_timeout: Option<Duration> },
    Unsubscribe { type_url: Arc<str>, name: Arc<str> },
}

/// What the task tells the owner; becomes an [`Event`] at the owner's end.
#[derive(Debug)]
pub(crate) enum Notice {
    Connected,
    Disconnected(StreamError),
    State(state::Event),
}

/// Passes a command on. Without the task there is nobody to obey, and nothing to undo.
fn tell(commands: &UnboundedSender<Command>, command: Command) {
    if commands.send(command).is_err() {
        tracing::debug!("the xDS client has ended");
    }
}
