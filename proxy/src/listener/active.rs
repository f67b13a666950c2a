//! A listener's configuration made ready to serve: handshakes loaded, codec settings worked out.

use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;

use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::http::Underscores;
use palanquin_config::ir::listener::FilterChain;
use palanquin_config::ir::listener::Listener;
use palanquin_config::ir::listener::NetworkFilter;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::listener as stat;
use palanquin_filter_api::stats::listener_certificate;
use palanquin_tls::ServerTls;
use palanquin_tls::TlsConfigError;

use crate::codec::Drain;
use crate::codec::DrainTrigger;
use crate::codec::h1;
use crate::codec::h2;
use crate::tls_cell::CellStats;
use crate::tls_cell::Slot;
use crate::tls_cell::TlsCell;

/// One generation of a listener. Shared by all workers.
#[derive(Debug)]
pub(crate) struct ActiveListener {
    /// The configuration.
    pub(crate) config: Arc<Listener>,
    /// The chains in configured order, the default chain last if there is one.
    pub(crate) chains: Vec<Arc<ActiveChain>>,
    /// Whether the last chain is the default.
    pub(crate) has_default: bool,
    /// `listener.<address>.*`
    pub(crate) stats: Arc<Scope>,
}

/// One filter chain of a listener.
#[derive(Debug)]
pub(crate) struct ActiveChain {
    /// The configuration.
    pub(crate) config: Arc<FilterChain>,
    /// Its handshake; `None`: plaintext.
    pub(crate) tls: Option<Arc<TlsCell<ServerTls>>>,
}

impl ActiveListener {
    /// Loads what the chains need.
    ///
    /// # Errors
    /// A certificate, key or trust that cannot be used, with the name of its filter chain.
    pub(crate) fn build(
        config: Arc<Listener>,
        stats: &Registry,
    ) -> Result<Self, (Arc<str>, TlsConfigError)> {
        let prefix = format!("listener.{}", config.stat_prefix);
        let labels = vec![("envoy_listener_address", Arc::clone(&config.stat_prefix))];
        let scope = stats.scope(&stat::KIND, &prefix, labels.clone());
        let activate = |chain: &Arc<FilterChain>| {
            let make = |tls| {
                let stats = CellStats {
                    registry: stats.clone(),
                    certificates: &listener_certificate::KIND,
                    prefix: prefix.clone(),
                    labels: labels.clone(),
                    scope: Arc::clone(&scope),
                    updated: stat::SERVER_SSL_CONTEXT_UPDATE_BY_SDS,
                };
                TlsCell::new(tls, stats)
            };
            let tls = chain.tls.as_ref().map(make).transpose();
            let tls = tls.map_err(|error| (Arc::clone(&chain.name), error))?;
            Ok(Arc::new(ActiveChain { config: Arc::clone(chain), tls }))
        };
        let chains = config
            .chains
            .iter()
            .chain(&config.default_chain)
            .map(activate)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { chains, has_default: config.default_chain.is_some(), stats: scope, config })
    }

    /// The TLS contexts of its chains.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Arc<dyn Slot>> {
        let cells = self.chains.iter().filter_map(|chain| chain.tls.as_ref());
        cells.map(|cell| Arc::clone(cell) as Arc<dyn Slot>)
    }
}

/// A generation of a listener on one worker: what its connections share there.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The generation.
    pub(crate) listener: Arc<ActiveListener>,
    /// Codec settings by chain.
    pub(crate) codecs: Vec<Option<CodecSettings>>,
    drain: (DrainTrigger, Drain),
}

/// What the codecs of a chain's connections are told.
#[derive(Debug, Clone)]
pub(crate) struct CodecSettings {
    /// HTTP/1.
    pub(crate) h1: Rc<h1::Settings>,
    /// HTTP/2.
    pub(crate) h2: Rc<h2::Settings>,
}

impl Generation {
    /// Prepares a generation for one worker.
    pub(crate) fn new(listener: Arc<ActiveListener>) -> Rc<Self> {
        let codecs = listener
            .chains
            .iter()
            .map(|chain| match &chain.config.network {
                NetworkFilter::Http(manager) => Some(codec_settings(manager)),
                NetworkFilter::Close | NetworkFilter::Tcp(_) => None,
            })
            .collect();
        Rc::new(Self { listener, codecs, drain: Drain::new() })
    }

    /// The signal that connections of this generation should end.
    pub(crate) fn drain(&self) -> Drain {
        self.drain.1.clone()
    }

    /// Ends the generation's connections, each after its present request.
    pub(crate) fn start_drain(&self) {
        self.drain.0.announce();
    }

    /// Ends idle connections of the generation too.
    pub(crate) fn close_idle(&self) {
        self.drain.0.close_idle();
    }
}

fn codec_settings(manager: &ConnectionManager) -> CodecSettings {
    let limits = h1::HeadLimits {
        max_bytes: manager.max_request_headers_bytes as usize,
        max_fields: manager.max_headers as usize,
    };
    let h1 = h1::Settings {
        accept_http_10: manager.http1.accept_http_10,
        allow_custom_methods: manager.http1.allow_custom_methods,
        default_host: manager.http1.default_host_for_http_10.clone(),
        delayed_close_timeout: manager.delayed_close_timeout,
        idle_timeout: manager.idle_timeout,
        limits,
        max_requests: manager.max_requests_per_connection,
        // To Envoy a request that is being read is a stream, and so may be idle.
        request_headers_timeout: manager
            .request_headers_timeout
            .into_iter()
            .chain(manager.stream_idle_timeout)
            .min(),
        proxy_100_continue: manager.proxy_100_continue,
        trailers: if manager.http1.enable_trailers {
            h1::Trailers::Forward
        } else {
            h1::Trailers::Drop
        },
        underscores: match manager.underscores {
            Underscores::Allow => h1::Underscores::Allow,
            Underscores::DropHeader => h1::Underscores::Drop,
            Underscores::Reject => h1::Underscores::Reject,
        },
        write_stall_timeout: manager.stream_idle_timeout,
    };
    let h2 = h2::Settings {
        max_concurrent_streams: manager.http2.max_concurrent_streams,
        initial_stream_window_size: manager.http2.initial_stream_window_size,
        initial_connection_window_size: manager.http2.initial_connection_window_size,
        allow_connect: manager.http2.allow_connect,
        max_header_list_size: manager.max_request_headers_bytes,
        max_headers: manager.max_headers as usize,
        proxy_100_continue: manager.proxy_100_continue,
        idle_timeout: manager.idle_timeout,
        max_requests: manager.max_requests_per_connection,
        max_duration: manager.max_connection_duration,
        keepalive: manager
            .http2
            .keepalive
            .map(|(interval, timeout)| h2::KeepaliveSettings { interval, timeout }),
    };
    CodecSettings { h1: Rc::new(h1), h2: Rc::new(h2) }
}

/// The generations of one listener on one worker that still have connections; these keep them alive.
#[derive(Debug, Default)]
pub(crate) struct Generations(RefCell<Vec<Weak<Generation>>>);

impl Generations {
    /// The generation to accept with from now on. The older ones drain: each of their connections ends
    /// after its present or next request.
    pub(crate) fn begin(&self, listener: Arc<ActiveListener>) -> Rc<Generation> {
        self.start_drain();
        let generation = Generation::new(listener);
        self.0.borrow_mut().push(Rc::downgrade(&generation));
        generation
    }

    /// Each connection of the listener ends after its present or next request.
    pub(crate) fn start_drain(&self) {
        self.0.borrow_mut().retain(|generation| {
            let living = generation.upgrade();
            if let Some(generation) = &living {
                generation.start_drain();
            }
            living.is_some()
        });
    }

    /// Ends the listener's idle connections.
    pub(crate) fn close_idle(&self) {
        for generation in self.0.borrow().iter().filter_map(Weak::upgrade) {
            generation.close_idle();
        }
    }
}
