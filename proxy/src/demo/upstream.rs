//! An upstream: tells its name and what it saw. `/slow` takes two seconds.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

/// How long `/slow` takes: enough to start a few requests by hand.
const SLOW: Duration = Duration::from_secs(2);

/// Serves until the event loop ends.
pub(super) async fn serve(name: &'static str, listener: TcpListener, tls: Arc<ServerConfig>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, name, "upstream cannot listen"),
    };
    let acceptor = TlsAcceptor::from(tls);
    while let Ok((stream, _)) = listener.accept().await {
        // Small answers leave at once. Where that cannot be set they are only later.
        drop(stream.set_nodelay(true));
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| async move {
                Ok::<_, Infallible>(answer(name, &request).await)
            });
            match acceptor.accept(stream).await {
                Ok(stream) => {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A connection that breaks is the proxy's business.
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                }
                Err(error) => tracing::warn!(%error, name, "upstream refused a connection"),
            }
        });
    }
}

async fn answer(name: &str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/slow" {
        tokio::time::sleep(SLOW).await;
    }
    let header = |name: &str| {
        request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-")
    };
    let text = format!(
        "{name} answers {} {}\n  tenant {}\n  client {}\n  traceparent {}\n",
        request.method(),
        request.uri().path(),
        header("x-tenant-id"),
        header("x-forwarded-client-cert"),
        header("traceparent"),
    );
    Response::new(Full::from(text))
}
