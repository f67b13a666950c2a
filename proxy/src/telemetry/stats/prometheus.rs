//! `/stats/prometheus`: the text format 0.0.4, with Envoy's names and labels.
//!
//! Envoy takes tags out of a statistic's name: the cluster's name, the connection manager's prefix, the
//! listener's address, and status codes. Ours know their labels, so nothing is guessed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use palanquin_filter_api::stats::HistogramSnapshot;
use palanquin_filter_api::stats::Label;
use palanquin_filter_api::stats::Scope;

use super::{BUCKETS_MS, Selection, Source, classes, full_name};

/// Names that end so carry a class of statuses.
const CLASSES: [(&str, &str); 5] =
    [("_1xx", "1"), ("_2xx", "2"), ("_3xx", "3"), ("_4xx", "4"), ("_5xx", "5")];

/// The samples of one metric.
#[derive(Default)]
struct Family {
    kind: &'static str,
    samples: String,
}

/// Writes statistics in Prometheus' text format. `filter` is matched with the names of `/stats`.
pub fn prometheus(source: Source<'_>, selection: &Selection) -> String {
    let mut families = BTreeMap::new();
    for scope in source.registry.scopes() {
        let numbers = [
            ("counter", scope.counters().collect()),
            ("gauge", scope.gauges().collect::<Vec<_>>()),
        ];
        for (kind, numbers) in numbers {
            for (name, value) in numbers {
                if selection.number(&full_name(scope.prefix(), name), value) {
                    number(&mut families, &scope, kind, name, value);
                }
            }
        }
        let codes = scope.codes();
        for (family, class, count) in classes(&codes) {
            if selection.name(&full_name(scope.prefix(), &format!("{family}_{class}xx"))) {
                let metric = metric(&scope, &format!("{family}_xx"));
                let label = ("envoy_response_code_class", class.to_string());
                sample(&mut families, metric, "counter", Some(label), &scope, count);
            }
        }
        for (family, status, count) in codes {
            if selection.name(&full_name(scope.prefix(), &format!("{family}_{status}"))) {
                let label = ("envoy_response_code", status.to_string());
                sample(
                    &mut families,
                    metric(&scope, family),
                    "counter",
                    Some(label),
                    &scope,
                    count,
                );
            }
        }
        for (about, name, count) in scope.all_agreed() {
            let family = about.family();
            if selection.name(&full_name(scope.prefix(), &format!("{family}.{name}"))) {
                let label = (about.label(), name.to_owned());
                let metric = metric(&scope, family);
                sample(&mut families, metric, "counter", Some(label), &scope, count);
            }
        }
        for (name, values) in scope.histograms() {
            if selection.number(&full_name(scope.prefix(), name), values.count()) {
                histogram(&mut families, &scope, name, &values);
            }
        }
    }
    for (name, value) in source.extra {
        if selection.number(name, *value) {
            let metric = format!("envoy_{}", sanitize(name));
            let family: &mut Family = families.entry(metric.clone()).or_default();
            family.kind = "counter";
            let _ = writeln!(family.samples, "{metric}{{}} {value}");
        }
    }
    let mut out = String::new();
    for (name, family) in families {
        let _ = writeln!(out, "# TYPE {name} {}", family.kind);
        out.push_str(&family.samples);
    }
    out
}

fn number(
    families: &mut BTreeMap<String, Family>,
    scope: &Scope,
    kind: &'static str,
    name: &str,
    value: u64,
) {
    for (suffix, class) in CLASSES {
        if let Some(base) = name.strip_suffix(suffix) {
            let label = ("envoy_response_code_class", class.to_owned());
            let metric = metric(scope, &format!("{base}_xx"));
            return sample(families, metric, kind, Some(label), scope, value);
        }
    }
    sample(families, metric(scope, name), kind, None, scope, value);
}

fn sample(
    families: &mut BTreeMap<String, Family>,
    metric: String,
    kind: &'static str,
    label: Option<(&'static str, String)>,
    scope: &Scope,
    value: u64,
) {
    let labels = labels(label, scope.labels());
    let line = format!("{metric}{{{labels}}} {value}\n");
    let family = families.entry(metric).or_default();
    family.kind = kind;
    family.samples.push_str(&line);
}

fn histogram(
    families: &mut BTreeMap<String, Family>,
    scope: &Scope,
    name: &str,
    values: &HistogramSnapshot,
) {
    let metric = metric(scope, name);
    let labels = labels(None, scope.labels());
    let comma = if labels.is_empty() { "" } else { "," };
    let family = families.entry(metric.clone()).or_default();
    family.kind = "histogram";
    let out = &mut family.samples;
    let count = values.count();
    for bound in BUCKETS_MS {
        // Buckets of ours that straddle the bound may count a little early, never beyond the whole.
        let below = values.count_at_most(bound).min(count);
        let _ = writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}");
    }
    let _ = writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "{metric}_sum{{{labels}}} {}", values.sum_ms());
    let _ = writeln!(out, "{metric}_count{{{labels}}} {count}");
}

/// `envoy_<family>_<name>`. A scope without labels is the only one of its prefix, which then is the
/// family: `tracing.opentelemetry`.
fn metric(scope: &Scope, name: &str) -> String {
    let family = if scope.labels().is_empty() { &**scope.prefix() } else { scope.kind().family };
    let joined = if family.is_empty() { name.to_owned() } else { format!("{family}_{name}") };
    format!("envoy_{}", sanitize(&joined))
}

fn labels(first: Option<(&'static str, String)>, rest: &[Label]) -> String {
    let mut out = String::new();
    let rest = rest.iter().map(|(name, value)| (*name, &**value));
    for (name, value) in first.iter().map(|(name, value)| (*name, value.as_str())).chain(rest) {
        if !out.is_empty() {
            out.push(',');
        }
        let _ = write!(out, "{name}=\"");
        for character in value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
    }
    out
}

/// Metric names are `[a-zA-Z0-9_:]`.
fn sanitize(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect()
}
