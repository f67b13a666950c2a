//! The proxy in this process, on its own threads.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Once;
use std::time::Duration;

use palanquin::config_source::ConfigSource;
use palanquin::server::Extensions;
use palanquin::server::Options;
use palanquin::server::Running;
use palanquin::server::Signals;
use palanquin::server::StartError;
use palanquin_config::ir::endpoint::Address;
use tempfile::TempDir;
use tracing_subscriber::filter::LevelFilter;

use crate::client;
use crate::client::Answer;
use crate::config::Http;
use crate::config::bootstrap;
use crate::time::eventually;

/// A running proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Proxy {
    running: Option<Arc<Running>>,
    directory: TempDir,
}

/// How a proxy is started.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Worker threads.
    pub concurrency: usize,
    /// How long requests in flight may take at the end.
    pub drain_time: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { concurrency: 2, drain_time: Duration::from_secs(2) }
    }
}

impl Proxy {
    /// Runs one listener and waits until it serves.
    pub async fn http(listener: Http, clusters: &[String]) -> Self {
        Self::start(&bootstrap(&[listener], clusters)).await
    }

    /// Runs a configuration, in either form, and waits until a listener serves.
    ///
    /// # Panics
    /// The configuration cannot be used.
    pub async fn start(text: &str) -> Self {
        let proxy = Self::launch(text).await;
        eventually("a listener that serves", async || proxy.listeners().await.into_iter().next())
            .await;
        proxy
    }

    /// Runs a configuration; its listeners may serve later, or never.
    ///
    /// # Panics
    /// The configuration cannot be used.
    pub async fn launch(text: &str) -> Self {
        Self::try_launch(text, Settings::default())
            .await
            .unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
    }

    /// As [`Self::launch`].
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub async fn try_launch(text: &str, settings: Settings) -> Result<Self, StartError> {
        start_log();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let options = Options {
            concurrency: settings.concurrency,
            drain_time: settings.drain_time,
            source: ConfigSource { path: Some(path), ..ConfigSource::default() },
            signals: Signals::Ignore,
            log_level: None,
            file_log_level: None,
        };
        let started =
            tokio::task::spawn_blocking(move || Running::start(options, Extensions::built_in()));
        let running = started.await.unwrap()?;
        Ok(Self { running: Some(Arc::new(running)), directory })
    }

    /// The configuration file. The proxy watches it.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// A directory of this proxy's own, for logs and the like.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The listeners that serve now.
    pub async fn listeners(&self) -> Vec<(String, SocketAddr)> {
        let running = Arc::clone(self.running());
        let all = tokio::task::spawn_blocking(move || running.listeners()).await.unwrap();
        all.into_iter()
            .filter_map(|(name, address)| match address {
                Address::Socket(address) => Some((name.to_string(), address)),
                Address::Pipe(_) => None,
            })
            .collect()
    }

    /// The address of the listener `ingress`, once it serves.
    pub async fn address(&self) -> SocketAddr {
        self.listener("ingress").await
    }

    /// The address of a listener, once it serves.
    pub async fn listener(&self, name: &str) -> SocketAddr {
        eventually(&format!("listener {name} serves"), async || {
            let all = self.listeners().await;
            all.into_iter().find(|(found, _)| found == name).map(|(_, address)| address)
        })
        .await
    }

    /// GET on a new connection to `ingress`.
    pub async fn get(&self, path: &str) -> Answer {
        client::get(self.address().await, path).await
    }

    /// GET with a host on a new connection to `ingress`.
    pub async fn get_host(&self, host: &str, path: &str) -> Answer {
        client::get_host(self.address().await, host, path).await
    }

    /// The admin endpoint's address.
    pub fn admin(&self) -> SocketAddr {
        self.running().admin().expect("the configuration has an admin endpoint")
    }

    /// GET on the admin endpoint.
    pub async fn admin_get(&self, path: &str) -> Answer {
        client::get_host(self.admin(), &self.admin().to_string(), path).await
    }

    /// A counter or gauge as `/stats` tells it; 0 for what is not there yet.
    pub async fn stat(&self, name: &str) -> u64 {
        let answer = self.admin_get("/stats").await;
        let value =
            answer.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Waits until a statistic has this value.
    pub async fn stat_is(&self, name: &str, value: u64) {
        eventually(&format!("{name} is {value}"), async || {
            (self.stat(name).await == value).then_some(())
        })
        .await;
    }

    /// Lets the proxy read its file again, and waits until it has.
    pub async fn reload(&self) {
        self.running().reload();
        // Orders are carried out in turn: this answer comes after the reload.
        self.listeners().await;
    }

    /// Begins to end: requests in flight are finished, nothing new is accepted.
    pub fn shutdown(&self) {
        self.running().shutdown();
    }

    /// Waits for the end that [`Self::shutdown`] began.
    pub async fn ended(mut self) {
        let running = self.running.take().and_then(Arc::into_inner).unwrap();
        tokio::task::spawn_blocking(move || running.wait()).await.unwrap();
    }

    fn running(&self) -> &Arc<Running> {
        self.running.as_ref().expect("taken only by `ended`, which consumes the proxy")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown();
            // Its connections end in this thread's event loop, so this thread cannot wait for them.
            std::thread::spawn(move || drop(running));
        }
    }
}

/// The proxy's own log, if `PALANQUIN_TEST_LOG` names a level.
fn start_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = std::env::var("PALANQUIN_TEST_LOG").ok();
        if let Some(level) = level.and_then(|level| level.parse::<LevelFilter>().ok()) {
            tracing_subscriber::fmt().with_max_level(level).with_test_writer().init();
        }
    });
}
