//! Handshakes of both sides against each other over a pipe in memory.

mod handshake;
mod inspection;
mod issuers;
mod pki;
mod sm;
mod tlcp;
mod validation;

use std::sync::Arc;
use std::time::Duration;

use palanquin_config::ir::sm::SmPolicy;
use palanquin_config::ir::tls::CommonTls;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::OcspPolicy;
use palanquin_config::ir::tls::PeerValidation;
use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::ServerResumption;
use palanquin_config::ir::tls::TicketSource;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::ir::tls::TlsParams;
use palanquin_config::ir::tls::TlsVersion;
use palanquin_config::ir::tls::UpstreamTls;
use palanquin_config::ir::tls::ValidationContext;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::ClientTls;
use crate::HandshakeCx;
use crate::Peeked;
use crate::Secured;
use crate::ServerTls;
use crate::TlsError;
use crate::TlsTarget;

/// A server context without client validation.
fn downstream(certificates: Vec<TlsCertificate>) -> DownstreamTls {
    DownstreamTls {
        common: common(certificates),
        require_client_certificate: false,
        resumption: ServerResumption {
            tickets: Some(TicketSource::Generated),
            stateful: true,
            timeout: Duration::from_hours(2),
        },
        prefer_client_ciphers: false,
        ocsp: OcspPolicy::default(),
        full_scan_on_sni_mismatch: false,
        sm_policy: SmPolicy::default(),
    }
}

/// A client context that accepts any server.
fn upstream(certificates: Vec<TlsCertificate>) -> UpstreamTls {
    UpstreamTls {
        common: common(certificates),
        sni: Some("a.test".into()),
        auto_host_sni: false,
        auto_sni_san_validation: false,
        max_session_keys: 0,
    }
}

fn common(certificates: Vec<TlsCertificate>) -> CommonTls {
    let inline = |certificate| SecretSource::Inline(Arc::new(certificate));
    CommonTls {
        params: TlsParams::default(),
        certificates: certificates.into_iter().map(inline).collect(),
        validation: None,
        alpn: Vec::new(),
        key_log: None,
    }
}

fn validation(context: ValidationContext) -> PeerValidation {
    let context = SecretSource::Inline(Arc::new(context));
    PeerValidation { context, sds_overlay: None }
}

fn only(version: TlsVersion) -> TlsParams {
    TlsParams { min_version: version, max_version: version, ..TlsParams::default() }
}

/// Both ends of one handshake, and one byte each way after it, so that a TLS 1.3 client has seen whether
/// the server took its certificate and has got its ticket.
async fn shake(
    server: &ServerTls,
    client: &ClientTls,
    target: TlsTarget<'_>,
) -> (Result<Secured, TlsError>, Result<Secured, TlsError>) {
    let (left, right) = tokio::io::duplex(64 * 1024);
    let accept = async {
        let mut secured = server.handshake(Peeked::foreign(left), HandshakeCx::default()).await?;
        secured.transport.write_all(b"s").await.map_err(TlsError::from_io)?;
        secured.transport.flush().await.map_err(TlsError::from_io)?;
        let _ = secured.transport.read_u8().await;
        Ok(secured)
    };
    let connect = async {
        let mut secured = client.handshake(Peeked::foreign(right), target).await?;
        secured.transport.read_u8().await.map_err(TlsError::from_io)?;
        secured.transport.write_all(b"c").await.map_err(TlsError::from_io)?;
        secured.transport.flush().await.map_err(TlsError::from_io)?;
        Ok(secured)
    };
    // Boxed, because a handshake is larger than a future should be.
    tokio::join!(Box::pin(accept), Box::pin(connect))
}

/// A handshake that must work; the server's view and the client's.
async fn secured(server: &DownstreamTls, client: &UpstreamTls) -> (Secured, Secured) {
    let (server, client) = (ServerTls::build(server).unwrap(), ClientTls::build(client).unwrap());
    let (server, client) = shake(&server, &client, TlsTarget::default()).await;
    (server.unwrap(), client.unwrap())
}

/// A handshake that the server must refuse; the server's error.
async fn refused(server: &DownstreamTls, client: &UpstreamTls) -> TlsError {
    let (server, client) = (ServerTls::build(server).unwrap(), ClientTls::build(client).unwrap());
    let (server, client) = shake(&server, &client, TlsTarget::default()).await;
    assert!(client.is_err(), "the client must learn of it");
    server.unwrap_err()
}

/// A handshake in which the client must refuse the server; the client's error.
async fn refused_by_client(server: &DownstreamTls, client: &UpstreamTls) -> TlsError {
    let (server, client) = (ServerTls::build(server).unwrap(), ClientTls::build(client).unwrap());
    let (server, client) = shake(&server, &client, TlsTarget::default()).await;
    assert!(server.is_err(), "the server must learn of it");
    client.unwrap_err()
}
