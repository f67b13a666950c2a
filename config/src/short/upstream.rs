//! `upstreams`, and the addresses that routes name directly: clusters.

use serde_json::{Value as Json, json};

use super::reader::{Entries, Reader};
use super::units::{self, Address};
use super::{Build, set};
use crate::diagnostic::Position;
use crate::file::{Node, Value};

const HTTP_OPTIONS: &str =
    "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const UPSTREAM_TLS: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// The conditions of a retry when only a number is given: nothing was processed by the upstream.
const SAFE_RETRIES: &str = "connect-failure,refused-stream,reset-before-request";

/// Envoy's conditions that make sense here.
const CONDITIONS: &[&str] = &[
    "5xx",
    "gateway-error",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "reset",
    "reset-before-request",
    "cancelled",
    "deadline-exceeded",
    "resource-exhausted",
    "unavailable",
    "internal",
];

/// One upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    name: String,
    endpoints: Vec<Address>,
    always_dns: bool,
    http2: bool,
    tls: Option<Json>,
    lb: Option<&'static str>,
    connect_timeout: Option<String>,
    breaker: Option<Json>,
    /// What routes to it inherit.
    pub(super) timeout: Option<String>,
    pub(super) retry: Option<Json>,
    position: Position,
    path: String,
    used: bool,
}

/// All upstreams, by name.
#[derive(Debug, Default)]
pub(super) struct Upstreams(Vec<Upstream>);

impl Upstreams {
    /// Reads the mapping `upstreams`.
    pub(super) fn read(&mut self, reader: &mut Reader, node: &Node) {
        let entries = reader.any_entries(node, "a mapping of names to upstreams");
        for (name, key, value) in entries.iter() {
            reader.within(name, |reader| {
                if name.contains([':', ' ', '/']) {
                    let text = format!("{name:?} looks like an address, not like a name");
                    reader.error(key, text).hint("e.g. api: 10.0.0.1:8080");
                }
                let upstream = upstream(reader, name, key, value);
                self.0.extend(upstream);
            });
        }
    }

    /// Finds or makes the upstream that a route or tenant names; the result is its cluster.
    pub(super) fn resolve(&mut self, reader: &mut Reader, node: &Node) -> Option<String> {
        let text = reader.text(node, "an upstream or an address")?;
        if let Some(known) = self.0.iter_mut().find(|upstream| upstream.name == text) {
            known.used = true;
            return Some(text.to_owned());
        }
        if !text.contains(':') {
            let names: Vec<_> = self.0.iter().map(|upstream| upstream.name.clone()).collect();
            let problem = reader.error(node, format!("no upstream is named {text:?}"));
            problem.hint("name one under upstreams, or write an address such as localhost:3000");
            problem.did_you_mean(text, names.iter().map(String::as_str));
            return None;
        }
        let mut made = upstream(reader, text, node, node)?;
        made.used = true;
        self.0.push(made);
        Some(text.to_owned())
    }

    /// Adds a cluster that is not the user's, unless it exists.
    pub(super) fn add_http2(&mut self, name: &str, address: Address, at: Position, path: String) {
        if self.0.iter().any(|upstream| upstream.name == name) {
            return;
        }
        let mut upstream = empty(name, at, path);
        upstream.endpoints.push(address);
        upstream.http2 = true;
        upstream.used = true;
        self.0.push(upstream);
    }

    /// The upstream of a cluster.
    pub(super) fn get(&self, name: &str) -> Option<&Upstream> {
        self.0.iter().find(|upstream| upstream.name == name)
    }

    /// Warns about upstreams that nothing names.
    pub(super) fn warn_unused(&self, reader: &mut Reader) {
        for upstream in self.0.iter().filter(|upstream| !upstream.used) {
            reader.path.push_field(&upstream.path);
            reader.problems.warning(&reader.path, "no route goes to it").at(upstream.position);
            reader.path.pop();
        }
    }

    /// Builds all clusters.
    pub(super) fn build(&self, build: &mut Build) -> Json {
        let clusters = self.0.iter().enumerate().map(|(index, upstream)| {
            let path = format!("static_resources.clusters[{index}]");
            build.origin(path, upstream.position, upstream.path.as_str());
            cluster(upstream)
        });
        Json::Array(clusters.collect())
    }
}

fn empty(name: &str, position: Position, path: String) -> Upstream {
    Upstream {
        name: name.to_owned(),
        endpoints: Vec::new(),
        always_dns: false,
        http2: false,
        tls: None,
        lb: None,
        connect_timeout: None,
        breaker: None,
        timeout: None,
        retry: None,
        position,
        path,
        used: false,
    }
}

fn upstream(reader: &mut Reader, name: &str, key: &Node, node: &Node) -> Option<Upstream> {
    let mut out = empty(name, key.position, reader.path.to_string());
    if node.entries().is_none() {
        endpoints(reader, node, &mut out);
        return (!out.endpoints.is_empty()).then_some(out);
    }
    let known =
        ["to", "lb", "retry", "timeout", "connect-timeout", "breaker", "h2", "tls", "health"];
    let entries = reader.entries(node, "an upstream", &known);
    match entries.get("to") {
        Some(node) => reader.within("to", |reader| endpoints(reader, node, &mut out)),
        None => {
            reader.error(key, "\"to\" is missing").hint("e.g. to: 10.0.0.1:8080");
        }
    }
    if let Some(node) = entries.key("health") {
        reader.within("health", |reader| reader.not_yet(node, "health checking"));
    }
    settings(reader, &entries, &mut out);
    Some(out)
}

fn settings(reader: &mut Reader, entries: &Entries<'_>, out: &mut Upstream) {
    if let Some(node) = entries.get("lb") {
        out.lb = reader.within("lb", |reader| {
            reader.parsed(node, "a policy", |text| match text {
                "round-robin" => Ok("ROUND_ROBIN"),
                "least-request" => Ok("LEAST_REQUEST"),
                "random" => Ok("RANDOM"),
                _ => Err(format!("{text:?} is not round-robin, least-request or random")),
            })
        });
    }
    for (name, field) in
        [("timeout", &mut out.timeout), ("connect-timeout", &mut out.connect_timeout)]
    {
        if let Some(node) = entries.get(name) {
            *field =
                reader.within(name, |reader| reader.parsed(node, "a duration", units::duration));
        }
    }
    if let Some(node) = entries.get("retry") {
        out.retry = reader.within("retry", |reader| retry(reader, node));
    }
    if let Some(node) = entries.get("breaker") {
        out.breaker = Some(reader.within("breaker", |reader| breaker(reader, node)));
    }
    if let Some(node) = entries.get("h2") {
        out.http2 |= reader.within("h2", |reader| reader.boolean(node)) == Some(true);
    }
    if let Some(node) = entries.get("tls") {
        out.tls = reader.within("tls", |reader| tls(reader, node));
    }
}

/// Reads addresses: `[dns:]HOST:PORT [h2]`, `unix:PATH [h2]`.
fn endpoints(reader: &mut Reader, node: &Node, out: &mut Upstream) {
    for (item, text) in reader.texts(node, "an address such as 10.0.0.1:8080") {
        let mut words = text.split_whitespace();
        let mut address = words.next().unwrap_or_default();
        for word in words {
            if word == "h2" {
                out.http2 = true;
            } else {
                let text = format!("{word:?} after an address is not known");
                reader.error(item, text).hint("h2 is: the upstream speaks HTTP/2");
            }
        }
        if let Some(rest) = address.strip_prefix("dns:") {
            out.always_dns = true;
            address = rest;
        }
        match Address::parse(address, "127.0.0.1") {
            Ok(address) => out.endpoints.push(address),
            Err(message) => {
                reader.error(item, message);
            }
        }
    }
    let named = out.endpoints.iter().any(|address| matches!(address, Address::Name(..)));
    let unix = out.endpoints.iter().any(|address| matches!(address, Address::Unix(_)));
    if unix && (named || out.always_dns) {
        reader.error(node, "names and unix sockets do not mix in one upstream");
    }
}

/// Reads `2`, or `2 on 5xx,reset within 3s`.
pub(super) fn retry(reader: &mut Reader, node: &Node) -> Option<Json> {
    reader.parsed(node, "a number of retries", |text| {
        let example = "e.g. 2 on 5xx,reset within 3s";
        let (text, within) = match text.split_once(" within ") {
            Some((text, within)) => (text, Some(units::duration(within.trim())?)),
            None => (text, None),
        };
        let (count, on) = text.split_once(" on ").unwrap_or((text, SAFE_RETRIES));
        let count: u32 = count
            .trim()
            .parse()
            .map_err(|_| format!("{:?} is not a number of retries; {example}", count.trim()))?;
        let on: String = on.split_whitespace().collect();
        for name in on.split(',') {
            if name.parse::<u16>().is_err() && !CONDITIONS.contains(&name) {
                let known = CONDITIONS.join(", ");
                return Err(format!("{name:?} is no condition for a retry; known: {known}"));
            }
        }
        let codes: Vec<u16> = on.split(',').filter_map(|name| name.parse().ok()).collect();
        let mut names: Vec<_> = on.split(',').filter(|name| name.parse::<u16>().is_err()).collect();
        if !codes.is_empty() {
            names.push("retriable-status-codes");
        }
        let mut out = json!({"retry_on": names.join(","), "num_retries": count});
        if !codes.is_empty() {
            out["retriable_status_codes"] = json!(codes);
        }
        set(&mut out, "per_try_timeout", within);
        Ok(out)
    })
}

fn breaker(reader: &mut Reader, node: &Node) -> Json {
    let known = ["connections", "pending", "requests", "retries"];
    let entries = reader.entries(node, "a breaker", &known);
    let mut out = json!({});
    for (name, _, value) in entries.iter() {
        let limit = reader.within(name, |reader| {
            reader.parsed(value, "a number", |text| {
                units::number(text).ok_or_else(|| format!("{text:?} is not a whole number"))
            })
        });
        let field = if name == "pending" {
            "max_pending_requests".to_owned()
        } else {
            format!("max_{name}")
        };
        set(&mut out, &field, limit);
    }
    out
}

/// Reads `tls: { ca, sni, cert, key }` of an upstream.
fn tls(reader: &mut Reader, node: &Node) -> Option<Json> {
    let entries = reader.entries(node, "tls of an upstream", &["ca", "sni", "cert", "key"]);
    let mut text = |name: &str| {
        let node = entries.get(name)?;
        reader.within(name, |reader| reader.text(node, "a text").map(str::to_owned))
    };
    let (ca, sni, cert, key) = (text("ca"), text("sni"), text("cert"), text("key"));
    if ca.is_none() && node.entries().is_some() && entries.get("ca").is_none() {
        reader
            .error(node, "\"ca\" is missing: any certificate would be trusted")
            .hint("e.g. ca: /etc/ssl/certs/ca-certificates.crt for the public ones");
    }
    if cert.is_some() != key.is_some() {
        reader.error(node, "cert and key come together");
    }
    let mut validation = json!({"trusted_ca": {"filename": ca?}});
    if let Some(sni) = &sni {
        validation["match_typed_subject_alt_names"] =
            json!([{"san_type": "DNS", "matcher": {"exact": sni}}]);
    }
    let mut common = json!({"validation_context": validation});
    if let (Some(cert), Some(key)) = (cert, key) {
        common["tls_certificates"] = json!([{
            "certificate_chain": {"filename": cert},
            "private_key": {"filename": key},
        }]);
    }
    let mut out = json!({"@type": UPSTREAM_TLS, "common_tls_context": common});
    set(&mut out, "sni", sni);
    Some(out)
}

fn cluster(upstream: &Upstream) -> Json {
    let named = upstream.endpoints.iter().any(|address| matches!(address, Address::Name(..)));
    let dns = named || upstream.always_dns;
    let mut out = json!({
        "name": upstream.name,
        "type": if dns { "STRICT_DNS" } else { "STATIC" },
    });
    if dns {
        // "localhost" is both addresses to many, and most servers listen on IPv4.
        out["dns_lookup_family"] = json!("V4_PREFERRED");
    }
    set(&mut out, "connect_timeout", upstream.connect_timeout.clone());
    set(&mut out, "lb_policy", upstream.lb);
    if let Some(breaker) = &upstream.breaker {
        out["circuit_breakers"] = json!({"thresholds": [breaker]});
    }
    if upstream.http2 {
        let options = json!({
            "@type": HTTP_OPTIONS,
            "explicit_http_config": {"http2_protocol_options": {}},
        });
        out["typed_extension_protocol_options"] =
            json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
    }
    if let Some(tls) = &upstream.tls {
        let mut tls = tls.clone();
        if upstream.http2 {
            tls["common_tls_context"]["alpn_protocols"] = json!(["h2"]);
        }
        out["transport_socket"] =
            json!({"name": "envoy.transport_sockets.tls", "typed_config": tls});
    }
    let endpoints: Vec<_> = upstream
        .endpoints
        .iter()
        .map(|address| json!({"endpoint": {"address": address.to_json()}}))
        .collect();
    out["load_assignment"] =
        json!({"cluster_name": upstream.name, "endpoints": [{"lb_endpoints": endpoints}]});
    out
}

/// Whether a node is a mapping of names to weights rather than a name.
pub(super) fn is_weighted(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}
