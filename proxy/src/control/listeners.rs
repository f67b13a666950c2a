//! The listeners that exist: serving, or warming until their routes and secrets are known.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use palanquin_config::ir::endpoint::Address;
use palanquin_config::ir::listener::Listener;
use palanquin_filter_api::stats::Registry;
use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::listener_manager as stat;
use tokio::sync::watch;

use super::Origin;
use super::clusters::Put;
use crate::listener::ActiveListener;
use crate::listener::ListenSocket;
use crate::listener::bind;
use crate::worker::Command;
use crate::worker::WorkerHandle;

/// All listeners of the process.
pub(super) struct Listeners {
    entries: HashMap<Arc<str>, Entry>,
    registry: Registry,
    stats: Arc<Scope>,
    workers: Rc<[WorkerHandle]>,
    drain_time: Duration,
}

struct Entry {
    origin: Origin,
    serving: Option<Serving>,
    warming: Option<Arc<ActiveListener>>,
}

struct Serving {
    listener: Arc<ActiveListener>,
    present: watch::Sender<Option<Arc<ActiveListener>>>,
    bound: Vec<Address>,
}

impl Entry {
    fn is(&self, is_meant: &dyn Fn(&Listener) -> bool) -> bool {
        let serving = self.serving.as_ref().map(|serving| &serving.listener);
        serving.or(self.warming.as_ref()).is_some_and(|listener| is_meant(&listener.config))
    }
}

impl Listeners {
    pub(super) fn new(
        registry: Registry,
        workers: Rc<[WorkerHandle]>,
        drain_time: Duration,
    ) -> Self {
        let stats = registry.scope(&stat::KIND, "listener_manager", Vec::new());
        Self { entries: HashMap::new(), registry, stats, workers, drain_time }
    }

    /// Adds or changes a listener. It serves once [`Self::promote`] finds it ready. `attach` sees to its secrets.
    ///
    /// # Errors
    /// A certificate cannot be used, or another listener has the address. What was there goes on serving.
    pub(super) fn put(
        &mut self,
        config: Arc<Listener>,
        origin: Origin,
        attach: &mut dyn FnMut(&ActiveListener) -> Result<(), String>,
    ) -> Result<Put, String> {
        let name = Arc::clone(&config.name);
        if let Some(entry) = self.entries.get(&name) {
            if entry.origin == Origin::Static && origin != Origin::Static {
                return Ok(Put::Unchanged);
            }
            let serving = entry.serving.as_ref().map(|serving| &serving.listener);
            let newest = entry.warming.as_ref().or(serving);
            if newest.is_some_and(|newest| newest.config.digest == config.digest) {
                return Ok(Put::Unchanged);
            }
        }
        self.check_addresses(&config)?;
        let listener =
            ActiveListener::build(config, &self.registry).map_err(|(chain, error)| {
                self.stats.inc(stat::LISTENER_CREATE_FAILURE);
                if chain.is_empty() {
                    error.to_string()
                } else {
                    format!("filter chain {chain}: {error}")
                }
            })?;
        attach(&listener).inspect_err(|_| self.stats.inc(stat::LISTENER_CREATE_FAILURE))?;
        let entry =
            self.entries.entry(name).or_insert(Entry { origin, serving: None, warming: None });
        self.stats.inc(if entry.serving.is_some() {
            stat::LISTENER_MODIFIED
        } else {
            stat::LISTENER_ADDED
        });
        entry.warming = Some(Arc::new(listener));
        Ok(Put::Changed)
    }

    /// Two listeners on one address would share its connections at random.
    fn check_addresses(&self, config: &Listener) -> Result<(), String> {
        if !config.bind_to_port {
            return Ok(());
        }
        for (name, entry) in self.entries.iter().filter(|(name, _)| **name != config.name) {
            let serving = entry.serving.as_ref().map(|serving| &serving.listener);
            for other in serving.into_iter().chain(&entry.warming).map(|one| &one.config) {
                let is_taken = |address: &&Address| {
                    other.bind_to_port && is_fixed(address) && other.addresses.contains(address)
                };
                if let Some(address) = config.addresses.iter().find(is_taken) {
                    return Err(format!(
                        "has duplicate address '{address}' as existing listener '{name}'"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Removes a listener: its sockets close and its connections end, each after its present request.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let dynamic = self.entries.get(name).is_some_and(|entry| entry.origin != Origin::Static);
        if dynamic {
            self.stop(name);
        }
        dynamic
    }

    /// Removes every listener of `origin` that is not in `keep`. Returns their names.
    pub(super) fn retain(&mut self, origin: Origin, keep: &dyn Fn(&str) -> bool) -> Vec<Arc<str>> {
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(name, entry)| entry.origin == origin && !keep(name))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in &gone {
            self.stop(name);
        }
        gone
    }

    /// Stops the listeners in question; those that warm will not serve.
    pub(super) fn stop_where(&mut self, is_meant: &dyn Fn(&Listener) -> bool) {
        for (_, entry) in self.entries.extract_if(|_, entry| entry.is(is_meant)) {
            if let Some(serving) = entry.serving {
                serving.present.send_replace(None);
                self.stats.inc(stat::LISTENER_STOPPED);
            }
        }
    }

    /// Ends the connections of the listeners in question, each after its present or next request. New ones
    /// are accepted: to workers the listener was replaced by itself.
    pub(super) fn drain_where(&self, is_meant: &dyn Fn(&Listener) -> bool) {
        let entries = self.entries.values().filter(|entry| entry.is(is_meant));
        for serving in entries.filter_map(|entry| entry.serving.as_ref()) {
            serving.present.send_replace(Some(Arc::clone(&serving.listener)));
        }
    }

    fn stop(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.stats.inc(stat::LISTENER_REMOVED);
            if let Some(serving) = entry.serving {
                serving.present.send_replace(None);
            }
        }
    }

    /// Lets warming listeners serve that `is_ready`. Returns what could not be bound: (listener, error).
    pub(super) fn promote(
        &mut self,
        is_ready: &dyn Fn(&ActiveListener) -> bool,
    ) -> Vec<(Arc<str>, String)> {
        let mut failures = Vec::new();
        for (name, entry) in &mut self.entries {
            let Some(listener) = entry.warming.take_if(|listener| is_ready(listener)) else {
                continue;
            };
            match serve(listener, entry.serving.take(), &self.workers, self.drain_time) {
                Ok(serving) => {
                    self.stats.inc(stat::LISTENER_CREATE_SUCCESS);
                    entry.serving = Some(serving);
                }
                Err((before, error)) => {
                    self.stats.inc(stat::LISTENER_CREATE_FAILURE);
                    entry.serving = before;
                    failures.push((Arc::clone(name), error));
                }
            }
        }
        self.entries.retain(|_, entry| entry.serving.is_some() || entry.warming.is_some());
        let serving = self.entries.values().filter(|entry| entry.serving.is_some()).count();
        let warming = self.entries.values().filter(|entry| entry.warming.is_some()).count();
        self.stats.set(stat::TOTAL_LISTENERS_ACTIVE, serving as u64);
        self.stats.set(stat::TOTAL_LISTENERS_WARMING, warming as u64);
        failures
    }

    /// Whether this listener's newest version waits for its routes.
    pub(super) fn is_warming(&self, name: &str) -> bool {
        self.entries.get(name).is_some_and(|entry| entry.warming.is_some())
    }

    /// Names of listeners whose routes are not known yet.
    pub(super) fn warming(&self) -> Vec<Arc<str>> {
        let warming = self.entries.iter().filter(|(_, entry)| entry.warming.is_some());
        let mut names: Vec<_> = warming.map(|(name, _)| Arc::clone(name)).collect();
        names.sort();
        names
    }

    /// (name, address) of what serves, the address as it was bound.
    pub(super) fn serving(&self) -> Vec<(Arc<str>, Address)> {
        let mut all: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(name, entry)| Some((name, entry.serving.as_ref()?)))
            .flat_map(|(name, serving)| {
                serving.bound.iter().map(|address| (Arc::clone(name), address.clone()))
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Counts a finished update of all listeners from a control plane.
    pub(super) fn count_update(&self, rejected: bool) {
        self.stats.inc(stat::LDS_UPDATE_ATTEMPT);
        self.stats.inc(if rejected { stat::LDS_UPDATE_REJECTED } else { stat::LDS_UPDATE_SUCCESS });
    }
}

/// Serves `listener`, on the sockets of its predecessor if the addresses are the same: then no connection
/// is refused in between, and none is lost. The error brings the predecessor back.
fn serve(
    listener: Arc<ActiveListener>,
    before: Option<Serving>,
    workers: &[WorkerHandle],
    drain_time: Duration,
) -> Result<Serving, (Option<Serving>, String)> {
    let before = match before {
        Some(before) if before.listener.config.addresses == listener.config.addresses => {
            before.present.send_replace(Some(Arc::clone(&listener)));
            return Ok(Serving { listener, ..before });
        }
        before => before,
    };
    let mut sockets = Vec::new();
    let config = &listener.config;
    for address in config.addresses.iter().filter(|_| config.bind_to_port) {
        match bind(address, config.backlog, workers.len()) {
            Ok(bound) => sockets.push(bound),
            Err(error) => return Err((before, format!("cannot bind {address}: {error}"))),
        }
    }
    let bound = sockets.iter().filter_map(|sockets| bound_address(sockets.first()?)).collect();
    let (present, receiver) = watch::channel(Some(Arc::clone(&listener)));
    for sockets in sockets {
        for (socket, worker) in sockets.into_iter().zip(workers) {
            let present = receiver.clone();
            worker.tell(Command::Listen { socket, present, drain_time });
        }
    }
    if let Some(before) = before {
        before.present.send_replace(None);
    }
    Ok(Serving { listener, present, bound })
}

/// The system chooses a port 0 anew for each.
fn is_fixed(address: &Address) -> bool {
    match address {
        Address::Socket(address) => address.port() != 0,
        Address::Pipe(_) => true,
    }
}

fn bound_address(socket: &ListenSocket) -> Option<Address> {
    match socket {
        ListenSocket::Tcp(socket) => socket.local_addr().ok().map(Address::Socket),
        ListenSocket::Unix(socket) => {
            let address = socket.local_addr().ok()?;
            address.as_pathname().map(|path| Address::Pipe(path.to_owned()))
        }
    }
}
