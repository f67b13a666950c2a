//! Upstreams that serve by themselves and remember what they saw.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::HeaderMap;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::time::within;

/// The body of a test's messages.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A request that an upstream got.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method, URI, version, header fields.
    pub head: http::request::Parts,
    /// The whole body.
    pub body: Bytes,
    /// The trailers.
    pub trailers: HeaderMap,
    /// Which connection it came on, counted from 0.
    pub connection: u64,
}

impl Seen {
    /// A header field as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The path and query.
    pub fn path(&self) -> &str {
        self.head.uri.path_and_query().map_or("", |path| path.as_str())
    }

    /// `:authority` or `host`.
    pub fn host(&self) -> &str {
        let authority = self.head.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| self.header("host")).unwrap_or_default()
    }
}

/// Which connection a request came on; in the extensions of requests to handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionNumber(pub u64);

/// A running upstream: HTTP/1.1 and HTTP/2 on one port. It ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    seen: watch::Receiver<Vec<Seen>>,
    /// Tasks of the listener and its connections.
    _tasks: JoinSet<()>,
}

impl Upstream {
    /// Answers 200 with its name in `x-upstream` and as the body; a request's body comes back instead.
    pub async fn echo(name: &'static str) -> Self {
        Self::start(None, move |request| echo(name, request)).await
    }

    /// As [`Self::echo`], over TLS.
    pub async fn echo_tls(name: &'static str, tls: Arc<ServerConfig>) -> Self {
        Self::start(Some(tls), move |request| echo(name, request)).await
    }

    /// As [`Self::echo`], but answers once the gate lets it.
    pub async fn gated(name: &'static str) -> (Self, Gate) {
        let gate = Gate::default();
        let guard = gate.clone();
        let upstream = Self::start(None, move |request| {
            let guard = guard.clone();
            async move {
                guard.pass().await;
                echo(name, request).await
            }
        })
        .await;
        (upstream, gate)
    }

    /// Answers every request with `status` and nothing else.
    pub async fn status(status: u16) -> Self {
        Self::start(None, move |request| async move {
            let recorded = record(request).await;
            (recorded, Response::builder().status(status).body(full("")).unwrap())
        })
        .await
    }

    /// Answers as `handle` says. What it returns first is what [`Self::seen`] tells.
    pub async fn start<F>(
        tls: Option<Arc<ServerConfig>>,
        handle: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = (Option<Seen>, Response<Body>)> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, tls, handle)
    }

    /// As [`Self::start`], on a socket of the caller's.
    pub fn start_on<F>(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        handle: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = (Option<Seen>, Response<Body>)> + Send + 'static,
    {
        let address = listener.local_addr().unwrap();
        let (sender, seen) = watch::channel(Vec::new());
        let (sender, handle) = (Arc::new(sender), Arc::new(handle));
        let acceptor = tls.map(TlsAcceptor::from);
        let connections = AtomicU64::new(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let (sender, handle) = (Arc::clone(&sender), Arc::clone(&handle));
                let service = service_fn(move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(ConnectionNumber(number));
                    let (answer, sender) = (handle(request), Arc::clone(&sender));
                    async move {
                        let (seen, response) = answer.await;
                        if let Some(seen) = seen {
                            sender.send_modify(|all| all.push(seen));
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                serving.spawn(serve(stream, acceptor.clone(), service));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// The only request.
    ///
    /// # Panics
    /// There were others, or none.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "one request at the upstream");
        seen.remove(0)
    }

    /// Waits until that many requests were answered.
    pub async fn answered(&self, count: usize) {
        let mut seen = self.seen.clone();
        within("requests at the upstream", seen.wait_for(|all| all.len() >= count)).await.unwrap();
    }
}

/// Holds requests back until the test lets them through.
#[derive(Debug, Clone)]
pub struct Gate {
    permits: Arc<Semaphore>,
    arrived: Arc<watch::Sender<usize>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), arrived: Arc::new(watch::Sender::new(0)) }
    }
}

impl Gate {
    /// Waits to be let through.
    pub async fn pass(&self) {
        self.arrived.send_modify(|count| *count += 1);
        self.permits.acquire().await.unwrap().forget();
    }

    /// Waits until that many have come to the gate.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        within("requests at the gate", arrived.wait_for(|arrived| *arrived >= count))
            .await
            .unwrap();
    }

    /// How many have come to the gate.
    pub fn arrivals(&self) -> usize {
        *self.arrived.borrow()
    }

    /// Lets `count` more through.
    pub fn release(&self, count: usize) {
        self.permits.add_permits(count);
    }
}

/// Reads a request to its end.
pub async fn record(request: Request<Incoming>) -> Option<Seen> {
    let (head, body) = request.into_parts();
    let connection = head.extensions.get::<ConnectionNumber>().map_or(0, |number| number.0);
    let collected = body.collect().await.ok()?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Some(Seen { head, body: collected.to_bytes(), trailers, connection })
}

/// What [`Upstream::echo`] answers.
pub async fn echo(
    name: &'static str,
    request: Request<Incoming>,
) -> (Option<Seen>, Response<Body>) {
    let seen = record(request).await;
    let body = seen.as_ref().map(|seen| seen.body.clone()).filter(|body| !body.is_empty());
    let body = full(body.unwrap_or_else(|| Bytes::from_static(name.as_bytes())));
    (seen, Response::builder().header("x-upstream", name).body(body).unwrap())
}

async fn serve<S, F>(stream: TcpStream, acceptor: Option<TlsAcceptor>, service: S)
where
    S: hyper::service::Service<
            Request<Incoming>,
            Response = Response<Body>,
            Error = Infallible,
            Future = F,
        > + Send
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    drop(stream.set_nodelay(true));
    let server = auto::Builder::new(TokioExecutor::new());
    // A client that goes away in the middle is a matter of the test.
    match acceptor {
        Some(acceptor) => {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            drop(server.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
        }
        None => drop(server.serve_connection_with_upgrades(TokioIo::new(stream), service).await),
    }
}
