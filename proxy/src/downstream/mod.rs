//! One downstream connection: what it carries is found out, its chain chosen, its handshake made, and its
//! codec run.

mod chain_match;
mod detect;
mod inspect;
pub(crate) mod proxy_protocol;
mod tcp;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use palanquin_config::ir::http::Codec;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::listener::NetworkFilter;
use palanquin_filter_api::ConnectionInfo;
use palanquin_filter_api::TlsInfo;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::http as http_stat;
use palanquin_filter_api::stats::listener as stat;
use palanquin_filter_api::stats::tls as tls_stat;
use palanquin_tls::HandshakeCx;
use palanquin_tls::Peeked;
use palanquin_tls::ServerTls;
use palanquin_tls::TlsError;
use palanquin_tls::Transport;
use palanquin_tls::handshake::Accept;

use self::chain_match::Facts;
use self::detect::HttpVersion;
use crate::codec::Meter;
use crate::codec::h1;
use crate::codec::h2;
use crate::http::Connection;
use crate::http::ConnectionService;
use crate::listener::CodecSettings;
use crate::listener::Generation;
use crate::worker::Worker;

/// Serves a connection to its end.
pub(crate) async fn serve(
    mut io: Peeked,
    remote: SocketAddr,
    local: SocketAddr,
    id: u64,
    worker: &Rc<Worker>,
    generation: &Rc<Generation>,
) {
    let listener = &generation.listener;
    let stats = Rc::new(Counted::begin(&listener.stats));
    let ends = inspect::Ends { remote, direct_remote: remote, local };
    let seen = if inspect::is_needed(&listener.config) {
        let looking = Box::pin(inspect::look(&mut io, &listener.config, ends));
        match looking.await {
            Ok(seen) => seen,
            Err(failure) => {
                listener.stats.inc(failure.counter());
                return;
            }
        }
    } else {
        inspect::Seen::nothing(ends)
    };
    let facts = Facts {
        local: seen.ends.local,
        remote: seen.ends.remote,
        direct_remote: seen.ends.direct_remote,
        server_name: seen.server_name.as_deref(),
        transport: seen.transport.name(),
        protocols: &seen.protocols,
    };
    let Some(position) = chain_match::choose(listener, &facts) else {
        listener.stats.inc(stat::NO_FILTER_CHAIN_MATCH);
        return;
    };
    let chain = &listener.chains[position];
    let (transport, tls) = match &chain.tls {
        None => (Transport::Plain(io), None),
        Some(cell) => {
            // Not all of its secrets have come: there is nothing to prove who we are with, or who the client
            // is.
            let Some(tls) = cell.load() else {
                listener.stats.inc(stat::SERVER_SSL_DOWNSTREAM_CONTEXT_SECRETS_NOT_READY);
                return;
            };
            let limit = chain.config.transport_connect_timeout;
            match handshake(&tls, io, &seen.ends, limit, &listener.stats).await {
                Some((transport, info)) => (transport, Some(info)),
                None => return,
            }
        }
    };
    let info = Rc::new(ConnectionInfo {
        id,
        remote: seen.ends.remote,
        direct_remote: seen.ends.direct_remote,
        local: seen.ends.local,
        listener: Arc::clone(&listener.config.name),
        filter_chain: Arc::clone(&chain.config.name),
        sni: tls.as_ref().and_then(|tls| tls.sni.clone()).or(seen.server_name),
        tls,
    });
    match &chain.config.network {
        NetworkFilter::Close => {}
        NetworkFilter::Http(manager) => {
            let Some(codecs) = &generation.codecs[position] else { return };
            Box::pin(http(transport, info, manager, codecs, worker, generation)).await;
        }
        NetworkFilter::Tcp(proxy) => Box::pin(tcp::serve(transport, info, proxy, worker)).await,
    }
    drop(stats);
}

/// Shakes hands within `limit`. A failure is counted, and the connection is gone.
async fn handshake(
    tls: &ServerTls,
    io: Peeked,
    ends: &inspect::Ends,
    limit: Option<Duration>,
    stats: &Scope,
) -> Option<(Transport, Arc<TlsInfo>)> {
    let cx = HandshakeCx { local: Some(ends.local), remote: Some(ends.remote) };
    let handshake = tls.accept(io, cx);
    let result = match limit {
        None => handshake.await,
        Some(limit) => {
            if let Ok(result) = tokio::time::timeout(limit, handshake).await {
                result
            } else {
                stats.inc(stat::DOWNSTREAM_CX_TRANSPORT_SOCKET_CONNECT_TIMEOUT);
                return None;
            }
        }
    };
    match result {
        Ok(secured) => {
            stats.inc(stat::SSL_HANDSHAKE);
            tls_stat::count(&secured.info, stats);
            if let Some(fault) = secured.info.forgiven {
                stats.inc(tls_counter(fault));
            }
            for counter in secured.info.stapled {
                stats.inc(tls_counter(counter));
            }
            if secured.info.resumed {
                stats.inc(stat::SSL_SESSION_REUSED);
            }
            if secured.info.peer.is_none() {
                stats.inc(stat::SSL_NO_CERTIFICATE);
            }
            Some((secured.transport, secured.info))
        }
        Err(error) => {
            if matches!(error, TlsError::NoStaple) {
                stats.inc(stat::SSL_OCSP_STAPLE_REQUESTS);
                stats.inc(stat::SSL_OCSP_STAPLE_FAILED);
            }
            if let Some(counter) = error.stat() {
                stats.inc(tls_counter(counter));
            }
            tracing::debug!(%error, remote = %ends.remote, "TLS handshake failed");
            None
        }
    }
}

/// The counter of a name below `ssl.`.
fn tls_counter(name: &str) -> Counter {
    match name {
        "fail_verify_cert_hash" => stat::SSL_FAIL_VERIFY_CERT_HASH,
        "fail_verify_error" => stat::SSL_FAIL_VERIFY_ERROR,
        "fail_verify_no_cert" => stat::SSL_FAIL_VERIFY_NO_CERT,
        "fail_verify_san" => stat::SSL_FAIL_VERIFY_SAN,
        "ocsp_staple_omitted" => stat::SSL_OCSP_STAPLE_OMITTED,
        "ocsp_staple_requests" => stat::SSL_OCSP_STAPLE_REQUESTS,
        "ocsp_staple_responses" => stat::SSL_OCSP_STAPLE_RESPONSES,
        "was_key_usage_invalid" => stat::SSL_WAS_KEY_USAGE_INVALID,
        _ => stat::SSL_CONNECTION_ERROR,
    }
}

/// Runs the codec of an HTTP connection.
#[expect(clippy::large_futures, reason = "boxed by its only caller")]
async fn http(
    mut transport: Transport,
    info: Rc<ConnectionInfo>,
    manager: &Arc<ConnectionManager>,
    codecs: &CodecSettings,
    worker: &Rc<Worker>,
    generation: &Generation,
) {
    let version = match manager.codec {
        Codec::Http1 => HttpVersion::Http1,
        Codec::Http2 => HttpVersion::Http2,
        Codec::Auto => {
            let alpn = info.tls.as_ref().and_then(|tls| tls.alpn.as_deref());
            match detect::by_alpn(alpn) {
                Some(version) => version,
                None => match detect::by_preface(&mut transport, manager.idle_timeout).await {
                    Some(version) => version,
                    None => return,
                },
            }
        }
    };
    let encrypted = info.tls.is_some();
    let drain = generation.drain();
    let connection = Rc::new(Connection {
        info,
        manager: Arc::clone(manager),
        worker: Rc::clone(worker),
        drain: drain.clone(),
        timers: Rc::default(),
    });
    let meter = Rc::new(Meter::default());
    let counted = HttpCounted::begin(manager, version, encrypted);
    let service = ConnectionService(connection);
    match version {
        HttpVersion::Http1 => {
            h1::serve(transport, Rc::clone(&codecs.h1), service, drain, meter).await;
        }
        HttpVersion::Http2 => h2::serve(transport, Rc::clone(&codecs.h2), service, drain).await,
    }
    drop(counted);
}

/// A connection in the listener's statistics, while it lives.
struct Counted {
    stats: Arc<Scope>,
    begun: Instant,
}

impl Counted {
    fn begin(stats: &Arc<Scope>) -> Self {
        stats.raise(stat::DOWNSTREAM_CX_ACTIVE);
        Self { stats: Arc::clone(stats), begun: Instant::now() }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.lower(stat::DOWNSTREAM_CX_ACTIVE);
        self.stats.inc(stat::DOWNSTREAM_CX_DESTROY);
        self.stats.record(stat::DOWNSTREAM_CX_LENGTH_MS, self.begun.elapsed());
    }
}

/// A connection in the connection manager's statistics, while it lives.
struct HttpCounted {
    stats: Arc<Scope>,
    version: HttpVersion,
    encrypted: bool,
    begun: Instant,
}

impl HttpCounted {
    fn begin(manager: &ConnectionManager, version: HttpVersion, encrypted: bool) -> Self {
        let stats = Arc::clone(&manager.stats);
        stats.inc(http_stat::DOWNSTREAM_CX_TOTAL);
        stats.raise(http_stat::DOWNSTREAM_CX_ACTIVE);
        let (total, active) = match version {
            HttpVersion::Http1 => {
                (http_stat::DOWNSTREAM_CX_HTTP1_TOTAL, http_stat::DOWNSTREAM_CX_HTTP1_ACTIVE)
            }
            HttpVersion::Http2 => {
                (http_stat::DOWNSTREAM_CX_HTTP2_TOTAL, http_stat::DOWNSTREAM_CX_HTTP2_ACTIVE)
            }
        };
        stats.inc(total);
        stats.raise(active);
        if encrypted {
            stats.inc(http_stat::DOWNSTREAM_CX_SSL_TOTAL);
            stats.raise(http_stat::DOWNSTREAM_CX_SSL_ACTIVE);
        }
        Self { stats, version, encrypted, begun: Instant::now() }
    }
}

impl Drop for HttpCounted {
    fn drop(&mut self) {
        let stats = &self.stats;
        stats.inc(http_stat::DOWNSTREAM_CX_DESTROY);
        stats.lower(http_stat::DOWNSTREAM_CX_ACTIVE);
        stats.lower(match self.version {
            HttpVersion::Http1 => http_stat::DOWNSTREAM_CX_HTTP1_ACTIVE,
            HttpVersion::Http2 => http_stat::DOWNSTREAM_CX_HTTP2_ACTIVE,
        });
        if self.encrypted {
            stats.lower(http_stat::DOWNSTREAM_CX_SSL_ACTIVE);
        }
        stats.record(http_stat::DOWNSTREAM_CX_LENGTH_MS, self.begun.elapsed());
    }
}
