//! `/clusters`: the text, and Envoy's `admin.v3.Clusters` as JSON.

use axum::body::Body;
use http::Response;
use http::StatusCode;
use palanquin_config::ir::Priority;
use palanquin_config::ir::endpoint::Address;
use palanquin_config::ir::endpoint::Health;
use palanquin_config::ir::endpoint::Locality;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::pages::Query;
use super::{AdminState, ClusterStatus, reply};

pub(super) fn serve(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    let filter = match query.regex("filter") {
        Ok(filter) => filter,
        Err(refused) => return *refused,
    };
    let mut clusters = state.facts.clusters();
    if let Some(filter) = filter {
        clusters.retain(|status| filter.is_match(&status.cluster.config.name));
    }
    match query.get("format").as_deref() {
        None | Some("text") => {
            let mut out = String::new();
            for status in clusters {
                status.cluster.write_admin(status.added_via_api, &mut out);
            }
            reply::text(StatusCode::OK, out)
        }
        Some("json") => {
            let all: Vec<Value> = clusters.iter().map(status).collect();
            reply::json(&json!({ "cluster_statuses": all }))
        }
        Some(_) => reply::text(StatusCode::BAD_REQUEST, "usage: /clusters?format=(text|json)\n"),
    }
}

/// As protobuf's JSON does it, fields with their default value are left out.
fn status(status: &ClusterStatus) -> Value {
    let cluster = &status.cluster;
    let mut all = Map::new();
    all.insert("name".into(), json!(&*cluster.config.name));
    if status.added_via_api {
        all.insert("added_via_api".into(), json!(true));
    }
    let hosts = cluster.hosts();
    let mut statuses = Vec::new();
    for member in hosts.members() {
        let mut host = Map::new();
        host.insert("address".into(), address(&member.endpoint.address));
        host.insert("stats".into(), host_stats(member.host.stats.all()));
        let health = match member.endpoint.health {
            Health::Degraded => "DEGRADED",
            Health::Draining => "DRAINING",
            Health::Healthy => "HEALTHY",
            Health::Unhealthy => "UNHEALTHY",
        };
        host.insert("health_status".into(), json!({ "eds_health_status": health }));
        if !member.endpoint.hostname.is_empty() {
            host.insert("hostname".into(), json!(&*member.endpoint.hostname));
        }
        host.insert("weight".into(), json!(member.endpoint.weight));
        if member.endpoint.priority > 0 {
            host.insert("priority".into(), json!(member.endpoint.priority));
        }
        host.insert("locality".into(), locality(hosts.locality(member)));
        statuses.push(Value::Object(host));
    }
    if !statuses.is_empty() {
        all.insert("host_statuses".into(), Value::Array(statuses));
    }
    let thresholds: Vec<Value> = [Priority::Default, Priority::High]
        .into_iter()
        .map(|priority| {
            let limits = &cluster.config.breakers[priority as usize];
            let mut all = Map::new();
            if priority == Priority::High {
                all.insert("priority".into(), json!("HIGH"));
            }
            all.insert("max_connections".into(), json!(limits.max_connections));
            all.insert("max_pending_requests".into(), json!(limits.max_pending_requests));
            all.insert("max_requests".into(), json!(limits.max_requests));
            all.insert("max_retries".into(), json!(limits.max_retries));
            Value::Object(all)
        })
        .collect();
    all.insert("circuit_breakers".into(), json!({ "thresholds": thresholds }));
    all.insert("observability_name".into(), json!(&*cluster.config.stat_name));
    Value::Object(all)
}

/// Counters first, then gauges; numbers of 64 bits are texts in protobuf's JSON.
fn host_stats(counts: impl Iterator<Item = (&'static str, u64)>) -> Value {
    let (gauges, counters): (Vec<_>, Vec<_>) =
        counts.partition(|(name, _)| name.ends_with("_active"));
    let counters = counters.into_iter().map(|(name, value)| (None, name, value));
    let gauges = gauges.into_iter().map(|(name, value)| (Some("GAUGE"), name, value));
    let all = counters.chain(gauges).map(|(kind, name, value)| {
        let mut one = Map::new();
        if let Some(kind) = kind {
            one.insert("type".into(), json!(kind));
        }
        if value > 0 {
            one.insert("value".into(), json!(value.to_string()));
        }
        one.insert("name".into(), json!(name));
        Value::Object(one)
    });
    all.collect()
}

fn locality(locality: Option<&Locality>) -> Value {
    let mut all = Map::new();
    if let Some(locality) = locality {
        for (name, value) in [
            ("region", &locality.region),
            ("zone", &locality.zone),
            ("sub_zone", &locality.sub_zone),
        ] {
            if !value.is_empty() {
                all.insert(name.into(), json!(&**value));
            }
        }
    }
    Value::Object(all)
}

/// `core.v3.Address` as JSON.
pub(super) fn address(address: &Address) -> Value {
    match address {
        Address::Socket(socket) => json!({
            "socket_address": { "address": socket.ip().to_string(), "port_value": socket.port() }
        }),
        Address::Pipe(path) => json!({ "pipe": { "path": path.display().to_string() } }),
    }
}
