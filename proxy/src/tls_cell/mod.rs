//! A TLS context in use: its secrets may come after it and change while it serves.
//!
//! A handshake loads the present context once and keeps it to its end. A rotation swaps one pointer: it
//! rebuilds no listener and no cluster, and no connection notices. Until every secret has come there is no
//! context, and a connection is refused; a context is never used with a part of its secrets.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use palanquin_config::ir::tls::CommonTls;
use palanquin_config::ir::tls::DownstreamTls;
use palanquin_config::ir::tls::FindSecret;
use palanquin_config::ir::tls::SecretId;
use palanquin_config::ir::tls::SecretKind;
use palanquin_config::ir::tls::SecretService;
use palanquin_config::ir::tls::UpstreamTls;
use palanquin_filter_api::stats::Counter;
use palanquin_filter_api::stats::Kind;
use palanquin_filter_api::stats::Label;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_tls::ClientTls;
use palanquin_tls::ServerTls;
use palanquin_tls::TlsConfigError;

use self::expiry::Expiry;

mod expiry;

/// One side of TLS: how it is made of a configuration.
pub trait Context: fmt::Debug + Send + Sync + Sized + 'static {
    /// The configuration.
    type Config: fmt::Debug + Send + Sync + 'static;

    /// Loads certificates, keys and trust.
    ///
    /// # Errors
    /// They cannot be used.
    fn build(config: &Self::Config) -> Result<Arc<Self>, TlsConfigError>;

    /// What both sides have in common.
    fn common(config: &Self::Config) -> &CommonTls;

    /// Every secret that may come or change.
    fn secret_ids(config: &Self::Config) -> Vec<(SecretId, SecretKind)>;

    /// The configuration with the secrets of now.
    fn with_secrets(config: &Self::Config, find: FindSecret<'_>) -> Self::Config;
}

impl Context for ServerTls {
    type Config = DownstreamTls;

    fn build(config: &DownstreamTls) -> Result<Arc<Self>, TlsConfigError> {
        Self::build(config)
    }

    fn common(config: &DownstreamTls) -> &CommonTls {
        &config.common
    }

    fn secret_ids(config: &DownstreamTls) -> Vec<(SecretId, SecretKind)> {
        config.secret_ids()
    }

    fn with_secrets(config: &DownstreamTls, find: FindSecret<'_>) -> DownstreamTls {
        config.with_secrets(find)
    }
}

impl Context for ClientTls {
    type Config = UpstreamTls;

    fn build(config: &UpstreamTls) -> Result<Arc<Self>, TlsConfigError> {
        Self::build(config)
    }

    fn common(config: &UpstreamTls) -> &CommonTls {
        &config.common
    }

    fn secret_ids(config: &UpstreamTls) -> Vec<(SecretId, SecretKind)> {
        config.secret_ids()
    }

    fn with_secrets(config: &UpstreamTls, find: FindSecret<'_>) -> UpstreamTls {
        config.with_secrets(find)
    }
}

/// Where a context's statistics are.
#[derive(Debug, Clone)]
pub struct CellStats {
    /// All of them; the certificates' expiry is a scope of its own each.
    pub registry: Registry,
    /// What the certificates' statistics are.
    pub certificates: &'static Kind,
    /// `listener.<address>` or `cluster.<name>`: the prefix of the certificates' statistics.
    pub prefix: String,
    /// Their labels beside the certificate's name.
    pub labels: Vec<Label>,
    /// The listener's or cluster's.
    pub scope: Arc<Scope>,
    /// `ssl_context_update_by_sds`
    pub updated: Counter,
}

/// A context that is swapped when a secret changes. Shared by all workers.
pub struct TlsCell<T: Context> {
    config: Arc<T::Config>,
    secrets: Vec<(SecretId, SecretKind)>,
    present: ArcSwapOption<Present<T>>,
    stats: CellStats,
}

/// What is in use.
struct Present<T: Context> {
    tls: Arc<T>,
    /// With every secret in its place.
    config: T::Config,
    _expiry: Expiry,
}

impl<T: Context> TlsCell<T> {
    /// A context with the secrets that its configuration holds. One that names a secret is empty until
    /// [`Slot::prepare`] has found it.
    ///
    /// # Errors
    /// What the configuration holds cannot be used.
    pub fn new(config: &Arc<T::Config>, stats: CellStats) -> Result<Arc<Self>, TlsConfigError> {
        let secrets = T::secret_ids(config);
        let cell =
            Self { config: Arc::clone(config), present: ArcSwapOption::empty(), stats, secrets };
        let is_complete = !cell.secrets.iter().any(|(id, _)| matches!(id, SecretId::Named(_)));
        if is_complete {
            let present = cell.built(T::with_secrets(config, &|_| None))?;
            cell.present.store(Some(Arc::new(present)));
        }
        Ok(Arc::new(cell))
    }

    /// The context of now; `None` while a secret is missing.
    pub fn load(&self) -> Option<Arc<T>> {
        self.present.load().as_ref().map(|present| Arc::clone(&present.tls))
    }

    fn built(&self, config: T::Config) -> Result<Present<T>, TlsConfigError> {
        let tls = T::build(&config)?;
        let names: Vec<_> = T::common(&self.config)
            .certificates
            .iter()
            .map(|source| source.sds_name().cloned())
            .collect();
        let expiry = Expiry::show(T::common(&config), &names, &self.stats);
        Ok(Present { tls, config, _expiry: expiry })
    }
}

impl<T: Context> fmt::Debug for TlsCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_present = self.present.load().is_some();
        f.debug_struct("TlsCell").field("is_present", &is_present).finish_non_exhaustive()
    }
}

/// A step that puts a context in use.
pub type Swap = Box<dyn FnOnce()>;

/// A context whichever side it is of, to whom it may concern that a secret changes.
pub trait Slot: fmt::Debug + Send + Sync {
    /// Every secret that may come or change, and what it has to be.
    fn secrets(&self) -> &[(SecretId, SecretKind)];

    /// Whether there is a context.
    fn is_present(&self) -> bool;

    /// Makes the context with the secrets that `find` knows, and puts it in use when the result is called.
    /// `None`: a secret is still missing.
    ///
    /// # Errors
    /// The context cannot be used. The present one stays.
    fn prepare(self: Arc<Self>, find: FindSecret<'_>) -> Result<Option<Swap>, String>;

    /// Shows the configuration in use with every secret in its place.
    fn with_present(&self, show: &mut dyn FnMut(&CommonTls));
}

impl<T: Context> Slot for TlsCell<T> {
    fn secrets(&self) -> &[(SecretId, SecretKind)] {
        &self.secrets
    }

    fn is_present(&self) -> bool {
        self.present.load().is_some()
    }

    fn prepare(self: Arc<Self>, find: FindSecret<'_>) -> Result<Option<Swap>, String> {
        let mut is_complete = true;
        for (id, kind) in &self.secrets {
            match find(id) {
                Some(found) if found.kind() != *kind => {
                    return Err(format!("it is a {}, and a {kind} is wanted", found.kind()));
                }
                None if matches!(id, SecretId::Named(_)) => is_complete = false,
                Some(_) | None => {}
            }
        }
        let config = T::with_secrets(&self.config, find);
        // Also while others are missing: the blame is the trust's, not that of the secret that comes last.
        check_trust(T::common(&self.config), T::common(&config))?;
        if !is_complete {
            return Ok(None);
        }
        let present = self.built(config).map_err(|error| error.to_string())?;
        // What the bootstrap brings with a context is no update of it.
        let is_update = self.is_present() || self.secrets.iter().any(|(id, _)| comes_later(id));
        Ok(Some(Box::new(move || {
            self.present.store(Some(Arc::new(present)));
            if is_update {
                self.stats.scope.inc(self.stats.updated);
            }
        })))
    }

    fn with_present(&self, show: &mut dyn FnMut(&CommonTls)) {
        if let Some(present) = &*self.present.load() {
            show(T::common(&present.config));
        }
    }
}

fn comes_later(id: &SecretId) -> bool {
    matches!(id, SecretId::Named(secret) if secret.service != SecretService::Static)
}

/// Whoever asks for the trust of a service wants to know the peer: an answer that trusts nobody in particular
/// would let everybody in. Envoy would.
fn check_trust(asked: &CommonTls, found: &CommonTls) -> Result<(), String> {
    let is_from_service = asked.validation.as_ref().is_some_and(|validation| {
        validation.sds_overlay.is_some() || validation.context.sds_name().is_some()
    });
    let Some(validation) = found.validation.as_ref().filter(|_| is_from_service) else {
        return Ok(());
    };
    let Some(context) = validation.context.value().filter(|_| validation.sds_overlay.is_none())
    else {
        return Ok(());
    };
    if let Some(flaw) = context.flaw() {
        return Err(flaw.to_owned());
    }
    if !context.authenticates() && !context.accept_untrusted {
        return Err("there is no trusted_ca in it: peers would not be verified".to_owned());
    }
    Ok(())
}
