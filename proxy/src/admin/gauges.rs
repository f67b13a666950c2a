//! `server.*`: what is true of the process at the moment somebody asks.

use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use palanquin_filter_api::stats::Scope;
use palanquin_filter_api::stats::listener;
use palanquin_filter_api::stats::server as stat;

use super::AdminState;
use super::ServerState;
use super::memory;

/// Envoy's value when there is no certificate.
const NO_CERTIFICATE: u64 = u32::MAX as u64;

/// Measures. The statistics live as long as what is returned: they are measured anew for each answer.
pub(super) fn measure(state: &AdminState) -> Arc<Scope> {
    let scope = state.stats.scope(&stat::KIND, "server", Vec::new());
    let now = state.health.state();
    scope.set(stat::LIVE, u64::from(now == ServerState::Live));
    scope.set(stat::STATE, number(now));
    scope.set(stat::UPTIME, state.started.elapsed().as_secs());
    scope.set(stat::CONCURRENCY, state.options["concurrency"].as_u64().unwrap_or(0));
    scope.set(stat::DAYS_UNTIL_FIRST_CERT_EXPIRING, days_until_expiry(state));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let ocsp = state.facts.first_ocsp_expiry().map_or(0, |end| end.saturating_sub(now));
    scope.set(stat::SECONDS_UNTIL_FIRST_OCSP_RESPONSE_EXPIRING, ocsp);
    let connections = state.stats.scopes();
    let connections =
        connections.iter().filter(|one| std::ptr::eq(one.kind(), &raw const listener::KIND));
    scope.set(
        stat::TOTAL_CONNECTIONS,
        connections.map(|one| one.gauge(listener::DOWNSTREAM_CX_ACTIVE)).sum(),
    );
    let memory = memory::read();
    scope.set(stat::MEMORY_ALLOCATED, memory.allocated.unwrap_or(0));
    scope.set(stat::MEMORY_HEAP_SIZE, memory.heap_size.unwrap_or(0));
    scope.set(stat::MEMORY_PHYSICAL_SIZE, memory.physical_size.unwrap_or(0));
    scope
}

/// The number of `envoy.admin.v3.ServerInfo.State`.
fn number(state: ServerState) -> u64 {
    match state {
        ServerState::Live => 0,
        ServerState::Draining => 1,
        ServerState::PreInitializing => 2,
        ServerState::Initializing => 3,
    }
}

fn days_until_expiry(state: &AdminState) -> u64 {
    let certificates = state.facts.certificates();
    let chains = certificates.iter().flat_map(|one| {
        ["cert_chain", "ca_cert"].into_iter().filter_map(|field| one[field].as_array()).flatten()
    });
    let days = chains.filter_map(|one| {
        let days = &one["days_until_expiration"];
        days.as_u64().or_else(|| days.as_str()?.parse().ok())
    });
    days.min().unwrap_or(NO_CERTIFICATE)
}
