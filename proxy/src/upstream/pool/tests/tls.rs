//! TLS upstreams, played by our own server side.

use bytes::Bytes;
use http::Response;
use http::Version;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use palanquin_config::ir::cluster::UpstreamProtocol;
use palanquin_config::ir::tls::CommonTls;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::OcspPolicy;
use palanquin_config::ir::tls::SecretSource;
use palanquin_config::ir::tls::ServerResumption;
use palanquin_config::ir::tls::TlsCertificate;
use palanquin_config::ir::tls::TlsParams;
use palanquin_config::ir::tls::UpstreamTls;
use palanquin_tls::HandshakeCx;
use palanquin_tls::Peeked;
use palanquin_tls::ServerTls;
use palanquin_tls::Transport;

use super::*;

fn common(certificates: Vec<TlsCertificate>, alpn: &[&[u8]]) -> CommonTls {
    let inline = |certificate| SecretSource::Inline(Arc::new(certificate));
    CommonTls {
        params: TlsParams::default(),
        certificates: certificates.into_iter().map(inline).collect(),
        validation: None,
        alpn: alpn.iter().map(|protocol| Box::from(*protocol)).collect(),
        key_log: None,
    }
}

fn server(alpn: &[&[u8]]) -> Arc<ServerTls> {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let certificate = TlsCertificate {
        chain: vec![made.cert.der().clone()],
        key: PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into(),
        ocsp_staple: None,
    };
    let settings = DownstreamTls {
        common: common(vec![certificate], alpn),
        require_client_certificate: false,
        ocsp: OcspPolicy::Lenient,
        resumption: ServerResumption {
            tickets: None,
            stateful: false,
            timeout: Duration::from_mins(1),
        },
        prefer_client_ciphers: false,
        full_scan_on_sni_mismatch: false,
        sm_policy: palanquin_config::ir::sm::SmPolicy::default(),
    };
    ServerTls::build(&settings).unwrap()
}

async fn fixture() -> Fixture {
    Fixture::new(|config| {
        config.protocol = UpstreamProtocol::Alpn;
        config.tls = Some(Arc::new(UpstreamTls {
            common: common(Vec::new(), &[]),
            sni: Some("a.test".into()),
            auto_host_sni: false,
            auto_sni_san_validation: false,
            max_session_keys: 0,
        }));
    })
    .await
}

async fn accept(f: &Fixture, server: &ServerTls) -> Transport {
    let socket = f.upstream.accept().await.0;
    let secured = server.handshake(Peeked::tcp(socket), HandshakeCx::default()).await.unwrap();
    secured.transport
}

#[test]
fn alpn_may_agree_on_http2() {
    run(async {
        let (f, tls) = (fixture().await, server(&[b"h2", b"http/1.1"]));
        let sending = f.send();
        let transport = accept(&f, &tls).await;
        let mut h2 = ::h2::server::handshake(transport).await.unwrap();
        let (request, mut respond) = h2.accept().await.unwrap().unwrap();
        assert_eq!(request.uri().scheme_str(), Some("https"));
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"ok"), true).unwrap();
        tokio::task::spawn_local(async move { h2.accept().await.is_some() });
        let sent = sending.await.unwrap().unwrap();
        assert_eq!(sent.connection.protocol, Version::HTTP_2);
        assert_eq!(sent.connection.tls.unwrap().alpn.as_deref(), Some(&b"h2"[..]));
        assert_eq!(f.count(stat::UPSTREAM_CX_HTTP2_TOTAL), 1);
        assert_eq!(f.count(stat::SSL_HANDSHAKE), 1);
    });
}

#[test]
fn alpn_may_agree_on_http1_which_takes_one_connection_for_each_request() {
    run(async {
        let (f, tls) = (fixture().await, server(&[b"http/1.1"]));
        let sending = [f.send(), f.send()];
        for sending in sending {
            let mut transport = accept(&f, &tls).await;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(transport.read_u8().await.unwrap());
            }
            transport.write_all(OK_CLOSE.as_bytes()).await.unwrap();
            transport.flush().await.unwrap();
            let sent = sending.await.unwrap().unwrap();
            assert_eq!(sent.connection.protocol, Version::HTTP_11);
        }
        assert_eq!(f.count(stat::UPSTREAM_CX_TOTAL), 2);
        assert_eq!(f.count(stat::UPSTREAM_CX_HTTP1_TOTAL), 2);
    });
}

#[test]
fn a_failed_handshake_is_a_connection_failure_that_tells_why() {
    run(async {
        let f = fixture().await;
        let sending = f.send();
        let mut peer = f.upstream.accept().await;
        peer.0.read_u8().await.unwrap();
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let failure = sending.await.unwrap().unwrap_err();
        let reason = failure.transport_failure().unwrap();
        assert!(reason.starts_with("TLS_error:|"), "{reason}");
        assert_eq!(f.count(stat::SSL_CONNECTION_ERROR), 1);
        assert_eq!(f.count(stat::UPSTREAM_CX_CONNECT_FAIL), 1);
    });
}
