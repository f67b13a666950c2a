//! Names, labels and layout were observed from Envoy 1.40.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use palanquin_filter_api::stats::{Registry, Scope, cluster, http as manager, server};

use super::*;

fn registry() -> (Registry, Vec<Arc<Scope>>) {
    let registry = Registry::new(2);
    let label = vec![("envoy_cluster_name", "we\"b\n".into())];
    let web = registry.scope(&cluster::KIND, "cluster.we\"b\n", label);
    web.inc(cluster::UPSTREAM_RQ_TOTAL);
    web.raise(cluster::UPSTREAM_RQ_ACTIVE);
    web.code(0, StatusCode::OK);
    web.code(0, StatusCode::NO_CONTENT);
    web.record(cluster::UPSTREAM_RQ_TIME, Duration::from_millis(7));
    let label = vec![("envoy_http_conn_manager_prefix", "ingress".into())];
    let ingress = registry.scope(&manager::KIND, "http.ingress", label);
    ingress.inc(manager::DOWNSTREAM_RQ_2XX);
    let own = registry.scope(&server::KIND, "server", Vec::new());
    own.set(server::LIVE, 1);
    (registry, vec![web, ingress, own])
}

const EXTRA: &[(&str, u64)] = &[("access_log.lines_dropped", 3)];

#[test]
fn text_has_envoys_names_and_histograms_last() {
    let (registry, _scopes) = registry();
    let source = Source { registry: &registry, extra: EXTRA };
    let selection = Selection { used_only: true, ..Selection::default() };
    let text = text(source, &selection);
    let (numbers, histograms) =
        text.split_at(text.find("cluster.we\"b_.upstream_rq_time").unwrap());
    assert_eq!(
        numbers,
        "access_log.lines_dropped: 3\n\
         cluster.we\"b_.upstream_rq_200: 1\n\
         cluster.we\"b_.upstream_rq_204: 1\n\
         cluster.we\"b_.upstream_rq_2xx: 2\n\
         cluster.we\"b_.upstream_rq_active: 1\n\
         cluster.we\"b_.upstream_rq_total: 1\n\
         http.ingress.downstream_rq_2xx: 1\n\
         server.live: 1\n"
    );
    assert!(histograms.contains(": P0(nan,") && histograms.contains(" P99.9(nan,"), "{histograms}");
    assert_eq!(histograms.lines().count(), 1);
}

#[test]
fn a_histogram_without_values_says_so() {
    let (registry, _scopes) = registry();
    let selection = Selection {
        filter: Some(Regex::new("downstream_rq_time$").unwrap()),
        ..Selection::default()
    };
    let text = text(Source { registry: &registry, extra: &[] }, &selection);
    assert_eq!(text, "http.ingress.downstream_rq_time: No recorded values\n");
}

#[test]
fn prometheus_has_envoys_metrics_and_labels() {
    let (registry, _scopes) = registry();
    let text = prometheus(Source { registry: &registry, extra: EXTRA }, &Selection::default());
    for line in [
        "# TYPE envoy_cluster_upstream_rq_total counter",
        r#"envoy_cluster_upstream_rq_total{envoy_cluster_name="we\"b\n"} 1"#,
        r#"envoy_cluster_upstream_rq_active{envoy_cluster_name="we\"b\n"} 1"#,
        r#"envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="we\"b\n"} 1"#,
        r#"envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="we\"b\n"} 2"#,
        r#"envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"} 1"#,
        "# TYPE envoy_cluster_upstream_rq_time histogram",
        r#"envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="we\"b\n",le="5"} 0"#,
        r#"envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="we\"b\n",le="10"} 1"#,
        r#"envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="we\"b\n",le="+Inf"} 1"#,
        r#"envoy_cluster_upstream_rq_time_sum{envoy_cluster_name="we\"b\n"} 7"#,
        r#"envoy_cluster_upstream_rq_time_count{envoy_cluster_name="we\"b\n"} 1"#,
        "envoy_server_live{} 1",
        "envoy_access_log_lines_dropped{} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

/// Checks what Prometheus' own parser demands of the text format.
#[test]
fn prometheus_text_is_well_formed() {
    let (registry, _scopes) = registry();
    let text = prometheus(Source { registry: &registry, extra: EXTRA }, &Selection::default());
    let sample = Regex::new(
        r#"^([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\} ([0-9.]+)$"#,
    )
    .unwrap();
    let mut typed = HashSet::new();
    let mut seen = HashSet::new();
    let mut current = String::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            current = declared.split(' ').next().unwrap().to_owned();
            assert!(typed.insert(current.clone()), "declared twice: {current}");
            continue;
        }
        let found = sample.captures(line).unwrap_or_else(|| panic!("no sample: {line}"));
        assert!(found[1].starts_with(&current), "{line} under {current}");
        let series = line.rsplit_once(' ').unwrap().0.to_owned();
        assert!(seen.insert(series), "twice: {line}");
    }
}

#[test]
fn json_lists_numbers_and_histograms() {
    let (registry, _scopes) = registry();
    let selection = Selection { used_only: true, ..Selection::default() };
    let json = json(Source { registry: &registry, extra: &[] }, &selection);
    let stats = json["stats"].as_array().unwrap();
    assert!(stats.contains(&serde_json::json!({ "name": "server.live", "value": 1 })));
    let histograms = &stats.last().unwrap()["histograms"];
    assert_eq!(histograms["supported_quantiles"][8], 99.9);
    assert!(histograms["computed_quantiles"][0]["values"][2]["cumulative"].is_number());
}
