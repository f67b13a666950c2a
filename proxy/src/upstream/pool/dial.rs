//! One connection from the decision to make it to the codec's handshake.

use std::rc::Rc;

use http::Version;
use http::uri::Scheme;

use palanquin_filter_api::TlsInfo;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::cluster as stat;
use palanquin_filter_api::stats::tls as tls_stat;
use palanquin_tls::Transport;

use super::ConnectionFacts;
use super::Pool;
use super::Speaks;
use super::record::Record;
use crate::codec::h1;
use crate::codec::h2;
use crate::upstream::connect::DialError;
use crate::upstream::connect::Dialed;
use crate::upstream::failure::SendFailure;

/// A connection that is ready for requests.
pub(super) enum Made {
    Http1(Box<h1::ClientConn<Transport>>),
    Http2(h2::ClientConn),
}

/// Makes a connection for `pool`.
pub(super) async fn connect(pool: &Rc<Pool>, record: &Record) -> Result<Made, SendFailure> {
    if !pool.alpn {
        count_protocol(pool, pool.speaks.get());
    }
    let offer: &[&[u8]] = match pool.speaks.get() {
        _ if pool.alpn => &[b"h2", b"http/1.1"],
        Speaks::Http1 => &[b"http/1.1"],
        Speaks::Http2 => &[b"h2"],
    };
    let dialer = pool.shared.cluster.dialer();
    let dialed = dialer.dial(&pool.host, offer).await.map_err(|error| fail(pool, &error))?;
    let Dialed { transport, local, tls } = dialed;
    if let Some(tls) = &tls {
        pool.stats().inc(stat::SSL_HANDSHAKE);
        tls_stat::count(tls, pool.stats());
        if let Some(fault) = tls.forgiven {
            pool.stats().inc(tls_counter(fault));
        }
        if tls.resumed {
            pool.stats().inc(stat::SSL_SESSION_REUSED);
        }
    }
    let speaks = if pool.alpn { agreed(tls.as_deref()) } else { pool.speaks.get() };
    if pool.alpn {
        count_protocol(pool, speaks);
    }

    let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let protocol = match speaks {
        Speaks::Http1 => Version::HTTP_11,
        Speaks::Http2 => Version::HTTP_2,
    };
    let facts = ConnectionFacts { local, protocol, tls };
    match speaks {
        Speaks::Http1 => {
            let settings = Rc::clone(&pool.shared.http1);
            let connection = Box::new(h1::ClientConn::new(transport, settings));
            record.connected(facts, Some(Rc::clone(connection.meter())));
            Ok(Made::Http1(connection))
        }
        Speaks::Http2 => {
            let settings = h2::ClientSettings { scheme, ..pool.shared.http2.clone() };
            let connection = h2::connect(transport, settings);
            record.connected(facts, None);
            Ok(Made::Http2(connection))
        }
    }
}

/// What ALPN agreed on; HTTP/1.1 when nothing, as also without TLS.
fn agreed(tls: Option<&TlsInfo>) -> Speaks {
    match tls.and_then(|tls| tls.alpn.as_deref()) {
        Some(b"h2") => Speaks::Http2,
        _ => Speaks::Http1,
    }
}

fn count_protocol(pool: &Pool, speaks: Speaks) {
    pool.stats().inc(match speaks {
        Speaks::Http1 => stat::UPSTREAM_CX_HTTP1_TOTAL,
        Speaks::Http2 => stat::UPSTREAM_CX_HTTP2_TOTAL,
    });
}

fn fail(pool: &Pool, error: &DialError) -> SendFailure {
    if let DialError::Tls(error) = error
        && let Some(counter) = error.stat()
    {
        pool.stats().inc(tls_counter(counter));
    }
    error
        .reason()
        .map_or(SendFailure::ConnectTimeout, |reason| SendFailure::ConnectFailure { reason })
}

/// The counter of a name below `ssl.`.
fn tls_counter(name: &str) -> Counter {
    match name {
        "fail_verify_cert_hash" => stat::SSL_FAIL_VERIFY_CERT_HASH,
        "fail_verify_error" => stat::SSL_FAIL_VERIFY_ERROR,
        "fail_verify_no_cert" => stat::SSL_FAIL_VERIFY_NO_CERT,
        "fail_verify_san" => stat::SSL_FAIL_VERIFY_SAN,
        "was_key_usage_invalid" => stat::SSL_WAS_KEY_USAGE_INVALID,
        _ => stat::SSL_CONNECTION_ERROR,
    }
}
