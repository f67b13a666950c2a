//! Statistics as text, JSON and Prometheus, with Envoy's names.
//!
//! The number of series is bounded by configuration: names come from clusters, listeners and connection
//! managers, never from requests, except status codes, of which there are 500.

mod json;
mod prometheus;
mod text;

use palanquin_filter_api::stats::Registry;
use regex::Regex;

pub use json::json;
pub use prometheus::prometheus;
pub use text::text;

/// Envoy's default buckets, in milliseconds.
const BUCKETS_MS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10000.0,
    30000.0,
    60000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// The quantiles of `/stats`.
const QUANTILES: [f64; 10] = [0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

/// Which statistics are shown.
#[derive(Debug, Default)]
pub struct Selection {
    /// Only names in which this is found.
    pub filter: Option<Regex>,
    /// Only what is not zero.
    pub used_only: bool,
}

/// All statistics: those of the registry, and counters kept elsewhere with their full names.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Scopes.
    pub registry: &'a Registry,
    /// Counters beside them.
    pub extra: &'a [(&'static str, u64)],
}

impl Selection {
    fn name(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.is_match(name))
    }

    fn number(&self, name: &str, value: u64) -> bool {
        (value != 0 || !self.used_only) && self.name(name)
    }
}

/// The full name of a statistic. Control characters, which a cluster's name may hold, would end a line.
fn full_name(prefix: &str, name: &str) -> String {
    let joined = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    if joined.chars().any(char::is_control) {
        joined.chars().map(|c| if c.is_control() { '_' } else { c }).collect()
    } else {
        joined
    }
}

/// Counters and gauges with their full names, sorted; also each status and each class of statuses.
fn numbers(source: Source<'_>, selection: &Selection) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut add = |name: String, value| {
        if selection.number(&name, value) {
            all.push((name, value));
        }
    };
    for scope in source.registry.scopes() {
        for (name, value) in scope.counters().chain(scope.gauges()) {
            add(full_name(scope.prefix(), name), value);
        }
        for (family, class, count) in classes(&scope.codes()) {
            add(full_name(scope.prefix(), &format!("{family}_{class}xx")), count);
        }
        for (family, status, count) in scope.codes() {
            add(full_name(scope.prefix(), &format!("{family}_{status}")), count);
        }
    }
    for scope in source.registry.scopes() {
        for (about, name, count) in scope.all_agreed() {
            add(full_name(scope.prefix(), &format!("{}.{name}", about.family())), count);
        }
    }
    for (name, value) in source.extra {
        add((*name).to_owned(), *value);
    }
    all.sort();
    all
}

/// Sums statuses by their first digit.
fn classes(codes: &[(&'static str, u16, u64)]) -> Vec<(&'static str, u16, u64)> {
    let mut sums: Vec<(&'static str, u16, u64)> = Vec::new();
    for (family, status, count) in codes {
        let class = status / 100;
        match sums.iter_mut().find(|(name, known, _)| name == family && *known == class) {
            Some((.., sum)) => *sum += count,
            None => sums.push((family, class, *count)),
        }
    }
    sums
}

#[cfg(test)]
mod tests;
