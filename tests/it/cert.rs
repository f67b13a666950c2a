//! `palanquin cert`: what it makes is what the report says, and serves at once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use palanquin::cert;
use palanquin::cert::CertArgs;
use palanquin::cert::CertError;
use palanquin_rfc8998 as rfc8998;
use palanquin_rfc8998::verify::ServerVerifier;
use palanquin_tests::client::Client;
use palanquin_tests::proxy::Proxy;
use palanquin_tests::upstream::Upstream;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

fn args(out: &Path) -> CertArgs {
    CertArgs {
        names: vec!["shop.example".parse().unwrap()],
        out: out.join("certs"),
        sm: false,
        spiffe: Some("spiffe://shop/proxy".parse().unwrap()),
        clients: Vec::new(),
        intermediate: false,
        days: 1,
        force: false,
    }
}

/// A client with a certificate of `certs`, of the standard world.
fn client(certs: &Path, name: &str) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let (chain, key) = identity(certs, name);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(certs, "ca.pem"))
        .with_client_auth_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// The same, of RFC 8998.
fn sm_client(certs: &Path, name: &str) -> Arc<ClientConfig> {
    let provider = || Arc::clone(rfc8998::provider());
    let roots = Arc::new(roots(certs, "sm-ca.pem"));
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build().unwrap();
    let (chain, key) = identity(certs, name);
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier(verifier)))
        .with_client_auth_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

fn roots(certs: &Path, name: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certs.join(name)).unwrap()).unwrap();
    roots
}

fn identity(certs: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_file_iter(certs.join(format!("{name}.pem"))).unwrap();
    let key = PrivateKeyDer::from_pem_file(certs.join(format!("{name}.key"))).unwrap();
    (chain.map(Result::unwrap).collect(), key)
}

#[tokio::test]
async fn the_listener_of_the_report_serves_its_clients() {
    let directory = tempfile::tempdir().unwrap();
    let service = Upstream::echo("service").await;
    for intermediate in [false, true] {
        let clients =
            ["cart", "till=spiffe://shop/till"].map(|client| client.parse().unwrap()).to_vec();
        let asked = CertArgs { clients, intermediate, force: true, ..args(directory.path()) };
        let report = cert::make(&asked, SystemTime::now()).unwrap().to_string();
        let tls = report.lines().find_map(|line| line.trim().strip_prefix("tls: ")).unwrap();
        let proxy = Proxy::start(&format!(
            "listen:\n  - addr: 127.0.0.1:0\n    tls: {tls}\nroutes:\n  /: {}\n",
            service.address
        ))
        .await;
        let (_, address) = proxy.listeners().await.remove(0);
        for (name, server, identity) in [
            ("cart", "shop.example", "spiffe://shop/cart"),
            ("till", "localhost", "spiffe://shop/till"),
            ("till", "127.0.0.1", "spiffe://shop/till"),
        ] {
            let tls = client(&asked.out, name);
            let mut connection = Client::tls(address, server, tls).await.unwrap();
            assert_eq!(connection.get("/").await.text(), "service");
            let seen = service.seen().pop().unwrap();
            let xfcc = seen.header("x-forwarded-client-cert").unwrap().to_owned();
            assert!(xfcc.contains(&format!("URI={identity}")), "{xfcc}");
        }
    }
}

/// TLCP of it is judged by tests/interop/sm, as its clients are programs.
#[tokio::test]
async fn the_gateway_of_the_document_serves_both_worlds() {
    let directory = tempfile::tempdir().unwrap();
    let asked = CertArgs { sm: true, ..args(directory.path()) };
    cert::make(&asked, SystemTime::now()).unwrap();
    let service = Upstream::echo("service").await;
    let text = include_str!("../../config/examples/envoy/sm-gateway.yaml")
        .replace("certs/", &format!("{}/", asked.out.display()))
        .replace("port_value: 9901", "port_value: 0")
        .replace("port_value: 8443", "port_value: 0")
        .replace("port_value: 3000", &format!("port_value: {}", service.address.port()));
    let proxy = Proxy::start(&text).await;
    let address = proxy.listener("gateway").await;
    for tls in [client(&asked.out, "client"), sm_client(&asked.out, "sm-client")] {
        let mut connection = Client::tls(address, "shop.example", tls).await.unwrap();
        assert_eq!(connection.get("/").await.text(), "service");
    }
    for request in service.seen() {
        let xfcc = request.header("x-forwarded-client-cert").unwrap();
        assert!(xfcc.contains("URI=spiffe://shop/client"), "{xfcc}");
    }
    assert_eq!(service.seen().len(), 2);
}

#[test]
fn every_file_of_the_report_is_there_and_keys_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let asked = CertArgs { sm: true, ..args(directory.path()) };
    let report = cert::make(&asked, SystemTime::now()).unwrap();
    let mut expected: Vec<String> =
        ["ca", "server", "client", "sm-ca", "sm-server", "sm-server-enc"]
            .into_iter()
            .chain(["sm-client", "sm-client-enc"])
            .flat_map(|name| [format!("{name}.pem"), format!("{name}.key")])
            .chain(["ca-bundle.pem".to_owned()])
            .collect();
    let mut made = report.files().to_vec();
    made.sort();
    expected.sort();
    assert_eq!(made, expected);
    let text = report.to_string();
    for file in &made {
        assert!(text.contains(file.as_str()), "{file} is not in\n{text}");
        let path = asked.out.join(file);
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        let is_key = path.extension().unwrap() == "key";
        // What the umask takes from the others is its own affair.
        assert_eq!(mode.trailing_zeros() >= 6, is_key, "{file}: {mode:o}");
    }
}

#[test]
fn nothing_is_overwritten_unasked() {
    let directory = tempfile::tempdir().unwrap();
    let asked = args(directory.path());
    cert::make(&asked, SystemTime::now()).unwrap();
    let key = asked.out.join("server.key");
    let before = std::fs::read(&key).unwrap();
    std::fs::remove_file(asked.out.join("ca.pem")).unwrap();
    let error = cert::make(&asked, SystemTime::now()).unwrap_err();
    assert!(matches!(&error, CertError::Exists { files, .. } if files.len() == 5), "{error}");
    assert!(error.to_string().ends_with("; --force overwrites"), "{error}");
    assert_eq!(std::fs::read(&key).unwrap(), before);
    assert!(!asked.out.join("ca.pem").exists());
    cert::make(&CertArgs { force: true, ..asked }, SystemTime::now()).unwrap();
    assert_ne!(std::fs::read(&key).unwrap(), before);
}

#[test]
fn two_files_of_one_name_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let clients = vec!["server".parse().unwrap()];
    let asked = CertArgs { clients, ..args(directory.path()) };
    let error = cert::make(&asked, SystemTime::now()).unwrap_err();
    assert!(matches!(&error, CertError::Twice(_)), "{error}");
    assert!(!asked.out.exists());
}
