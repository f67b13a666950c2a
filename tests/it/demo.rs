//! The demo, with the commands that it tells its users to try.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::Request;
use palanquin::demo::Demo;
use palanquin::demo::DemoError;
use palanquin::demo::Tell;
use palanquin::server::Extensions;
use palanquin::server::Signals;
use palanquin_rfc8998 as rfc8998;
use palanquin_rfc8998::verify::ServerVerifier;
use palanquin_tests::client::Answer;
use palanquin_tests::client::Client;
use palanquin_tests::time::eventually;
use palanquin_tests::upstream::full;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;

/// A demo with ports of the system's choice, and what it tells.
async fn demo() -> (Demo, UnboundedReceiver<String>) {
    let (sender, told) = mpsc::unbounded_channel();
    let tell: Tell = Arc::new(move |text: &str| drop(sender.send(text.to_owned())));
    let demo = tokio::task::spawn_blocking(move || start(0, tell)).await.unwrap().unwrap();
    (demo, told)
}

fn start(port: u16, tell: Tell) -> Result<Demo, DemoError> {
    Demo::start(port, Signals::Ignore, tell, Extensions::built_in())
}

/// A command of the guide: what curl is asked to do.
#[derive(Debug)]
struct Curl {
    options: Option<String>,
    ca: Option<String>,
    method: String,
    header: Option<(String, String)>,
    url: String,
}

impl Curl {
    /// Reads a command as the guide writes them.
    fn parse(command: &str) -> Self {
        let mut curl = Self {
            options: None,
            ca: None,
            method: "GET".to_owned(),
            header: None,
            url: String::new(),
        };
        let mut words = words(command).into_iter().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("an option has a value");
            match &*word {
                "-K" => curl.options = Some(value()),
                "--cacert" => curl.ca = Some(value()),
                "-X" => curl.method = value(),
                "-H" => {
                    let header = value();
                    let (name, value) = header.split_once(": ").unwrap();
                    curl.header = Some((name.to_owned(), value.to_owned()));
                }
                "-o" | "-w" => drop(value()),
                "-s" => {}
                url => url.clone_into(&mut curl.url),
            }
        }
        curl
    }

    /// Does what curl would do; `None` if there is no answer.
    async fn run(&self) -> Option<Answer> {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        let (authority, path) = rest.split_once('/').unwrap();
        let (host, port) = authority.rsplit_once(':').unwrap();
        // All names of the guide are loopback, as curl resolves them.
        let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
        let mut client = match scheme {
            "https" => Client::tls(address, host, self.tls()).await.ok()?,
            _ => Client::http1(address).await,
        };
        let mut request = Request::builder()
            .method(self.method.as_str())
            .uri(format!("/{path}"))
            .header("host", authority);
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        client.try_send(request.body(full("")).unwrap()).await.ok()
    }

    fn tls(&self) -> Arc<ClientConfig> {
        // The file of options that the demo wrote for curl: `name = "value"` lines.
        let options = self.options.as_ref().map(|path| std::fs::read_to_string(path).unwrap());
        let option = |name: &str| {
            let lines = options.as_deref()?.lines();
            let value =
                lines.filter_map(|line| line.split_once(" = ")).find(|(key, _)| *key == name)?;
            Some(value.1.trim_matches('"').to_owned())
        };
        let ca = self.ca.clone().or_else(|| option("cacert")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match (option("cert"), option("key")) {
            (Some(cert), Some(key)) => {
                let chain = vec![CertificateDer::from_pem_file(cert).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap()
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// Words as a shell splits them, with single quotes only.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in command.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The commands of the guide, a loop's without the loop.
fn commands(guide: &str) -> Vec<Curl> {
    guide
        .lines()
        .map(str::trim)
        .filter_map(|line| match line.strip_prefix("(for i in 1 2 3 4 5; do ") {
            Some(body) => body.strip_suffix(" & done; wait)"),
            None => line.starts_with("curl ").then_some(line),
        })
        .map(Curl::parse)
        .collect()
}

/// The same command five times at once; the statuses in order.
async fn five(curl: Curl) -> Vec<u16> {
    let curl = Arc::new(curl);
    let all = [(); 5].map(|()| {
        let curl = Arc::clone(&curl);
        tokio::spawn(async move { curl.run().await.unwrap().status() })
    });
    let mut statuses = Vec::new();
    for one in all {
        statuses.push(one.await.unwrap());
    }
    statuses.sort_unstable();
    statuses
}

async fn text(curl: &Curl) -> String {
    curl.run().await.unwrap().text().to_owned()
}

#[tokio::test]
async fn every_command_of_the_guide_does_what_the_guide_says() {
    let (demo, mut told) = demo().await;
    let guide = demo.guide();
    let mut commands = commands(&guide).into_iter();
    let mut next = || commands.next().expect("the guide has as many commands");

    let answer = text(&next()).await;
    assert!(answer.starts_with("blue answers GET /") && answer.contains("tenant acme"), "{answer}");
    let answer = text(&next()).await;
    assert!(
        answer.starts_with("green answers GET /") && answer.contains("tenant beta"),
        "{answer}"
    );

    let (acme, others) = (next(), next());
    let (acme, others) = tokio::join!(five(acme), five(others));
    assert_eq!(acme, [200, 200, 503, 503, 503]);
    assert_eq!(others, [200; 5]);

    assert!(text(&next()).await.starts_with("blue "));
    let switched = next().run().await.unwrap();
    assert_eq!((switched.status(), switched.text()), (200, "the route leads to green now\n"));
    assert!(text(&next()).await.starts_with("green "));

    assert!(text(&next()).await.contains("0af7651916cd43dd8448eb211c80319c"));
    let mut trace = String::new();
    while !trace.starts_with("trace 0af7651916cd43dd8448eb211c80319c") {
        trace = palanquin_tests::time::within("the trace", told.recv()).await.unwrap();
    }
    assert!(trace.contains("server") && trace.contains("client"), "{trace}");
    assert!(trace.contains("tenant.id=acme"), "{trace}");

    assert!(next().run().await.is_none(), "without a certificate there is no answer");
    assert!(text(&next()).await.contains("blue::"));
    assert!(text(&next()).await.contains("acme"));
    assert!(commands.next().is_none());
    tokio::task::spawn_blocking(move || drop(demo)).await.unwrap();
}

/// TLCP of the same port is judged by tests/interop/sm, as its clients are programs.
#[tokio::test]
async fn the_certificates_of_the_sm_command_are_a_tenant_too() {
    let (demo, _told) = demo().await;
    let guide = demo.guide();
    let command = guide.lines().find(|line| line.contains("-tls1_3")).unwrap();
    let words = words(command);
    let value =
        |option: &str| words[words.iter().position(|word| word == option).unwrap() + 1].clone();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(value("-CAfile")).unwrap()).unwrap();
    let provider = || Arc::clone(rfc8998::provider());
    let roots = Arc::new(roots);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build().unwrap();
    let tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(ServerVerifier(verifier)))
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(value("-cert")).unwrap()],
            PrivateKeyDer::from_pem_file(value("-key")).unwrap(),
        )
        .unwrap();
    let port = value("-connect").strip_prefix("localhost:").unwrap().parse().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut connection = Client::tls(address, "localhost", Arc::new(tls)).await.unwrap();
    let answer = connection.get("/").await;
    assert!(answer.text().contains("tenant acme"), "{}", answer.text());
    tokio::task::spawn_blocking(move || drop(demo)).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_told_by_number_and_purpose() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let tell: Tell = Arc::new(|_| {});
    let error = tokio::task::spawn_blocking(move || start(port, tell)).await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("port {port} (for the proxy)")), "{text}");
    assert!(text.contains("--port"), "{text}");
}

#[tokio::test]
async fn the_end_of_the_demo_removes_its_certificates() {
    let (demo, _told) = demo().await;
    let directory = demo.directory().to_owned();
    assert!(directory.join("ca.pem").exists());
    tokio::task::spawn_blocking(move || drop(demo)).await.unwrap();
    let gone = |path: &Path| !path.exists();
    eventually("the directory is gone", async || gone(&directory).then_some(())).await;
}
