//! `tracing`, `log` and `admin`.

use serde_json::{Value as Json, json};

use super::reader::{Entries, Reader};
use super::units::{self, Address};
use super::upstream::Upstreams;
use crate::file::Node;

const OPEN_TELEMETRY: &str = "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig";
const STDOUT: &str =
    "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const FILE: &str = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";

/// The cluster of the collector.
const COLLECTOR: &str = "otlp-collector";

/// What is watched of the proxy, and how.
#[derive(Debug, Default)]
pub(super) struct Observe {
    pub(super) tracing: Option<Json>,
    pub(super) access_log: Option<Json>,
    pub(super) admin: Option<Address>,
    pub(super) log_level: Option<String>,
}

/// Reads the three keys of the document.
pub(super) fn read(reader: &mut Reader, top: &Entries<'_>, upstreams: &mut Upstreams) -> Observe {
    let mut out = Observe::default();
    if let Some(node) = top.get("tracing") {
        out.tracing = reader.within("tracing", |reader| tracing(reader, node, upstreams));
    }
    if let Some(node) = top.get("log") {
        reader.within("log", |reader| log(reader, node, &mut out));
    }
    if let Some(node) = top.get("admin") {
        out.admin = reader.within("admin", |reader| admin(reader, node));
    }
    out
}

fn tracing(reader: &mut Reader, node: &Node, upstreams: &mut Upstreams) -> Option<Json> {
    if node.entries().is_none() {
        let address = reader.parsed(node, "the collector's URL", collector)?;
        upstreams.add_http2(COLLECTOR, address, node.position, reader.path.to_string());
        return Some(manager_tracing(None, Vec::new(), None, Vec::new()));
    }
    let known = ["otlp", "sample", "service", "headers", "attributes"];
    let entries = reader.entries(node, "tracing", &known);
    let Some(otlp) = entries.get("otlp") else {
        reader.error(node, "\"otlp\" is missing").hint("e.g. otlp: http://localhost:4317");
        return None;
    };
    let address = reader.within("otlp", |reader| {
        let address = reader.parsed(otlp, "the collector's URL", collector)?;
        upstreams.add_http2(COLLECTOR, address, otlp.position, reader.path.to_string());
        Some(())
    });
    let sample = entries.get("sample").and_then(|node| {
        reader.within("sample", |reader| reader.parsed(node, "a share", units::percent))
    });
    let service = entries.get("service").and_then(|node| {
        reader.within("service", |reader| reader.text(node, "a name").map(str::to_owned))
    });
    let metadata = pairs(reader, &entries, "headers");
    let metadata = metadata.into_iter().map(|(key, value)| json!({"key": key, "value": value}));
    let metadata: Vec<_> = metadata.collect();
    let mut tags = Vec::new();
    for (key, value) in pairs(reader, &entries, "attributes") {
        if value.starts_with("tenant.") {
            let at = entries.key("attributes").unwrap_or(node);
            let text = format!("{value:?}: the tenant is on every span already");
            reader.within("attributes", |reader| {
                reader.error(at, text).hint("as tenant.id; remove this attribute");
            });
        } else if let Some(header) = value.strip_prefix("header:") {
            tags.push(json!({"tag": key, "request_header": {"name": header.trim()}}));
        } else {
            tags.push(json!({"tag": key, "literal": {"value": value}}));
        }
    }
    address?;
    Some(manager_tracing(sample, metadata, service, tags))
}

fn manager_tracing(
    sample: Option<f64>,
    metadata: Vec<Json>,
    service: Option<String>,
    tags: Vec<Json>,
) -> Json {
    let mut grpc = json!({"envoy_grpc": {"cluster_name": COLLECTOR}, "timeout": "1s"});
    if !metadata.is_empty() {
        grpc["initial_metadata"] = Json::Array(metadata);
    }
    let service = service.unwrap_or_else(|| "palanquin".to_owned());
    let config = json!({"@type": OPEN_TELEMETRY, "grpc_service": grpc, "service_name": service});
    let mut out = json!({
        "spawn_upstream_span": true,
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": config},
    });
    if let Some(sample) = sample {
        out["random_sampling"] = json!({"value": sample});
    }
    if !tags.is_empty() {
        out["custom_tags"] = Json::Array(tags);
    }
    out
}

/// Reads `http://HOST:PORT` of a collector that takes OTLP over gRPC.
fn collector(text: &str) -> Result<Address, String> {
    let rest = match text.split_once("://") {
        Some(("http", rest)) => rest.trim_end_matches('/'),
        Some(("https", _)) => {
            return Err(format!("{text:?}: TLS to the collector is not supported yet"));
        }
        _ => return Err(format!("{text:?} is not a URL such as http://localhost:4317")),
    };
    let address = Address::parse(rest, "127.0.0.1")?;
    match address {
        Address::Ip(_, 4318) | Address::Name(_, 4318) => Err(format!(
            "{text:?}: port 4318 is OTLP over HTTP, which is not supported yet; use gRPC, port 4317"
        )),
        _ => Ok(address),
    }
}

fn pairs(reader: &mut Reader, entries: &Entries<'_>, name: &str) -> Vec<(String, String)> {
    let Some(node) = entries.get(name) else { return Vec::new() };
    reader.within(name, |reader| {
        let mut out = Vec::new();
        for (key, _, value) in reader.any_entries(node, "a mapping").iter() {
            let text = reader.within(key, |reader| reader.text(value, "a text"));
            out.extend(text.map(|text| (key.to_owned(), text.to_owned())));
        }
        out
    })
}

fn log(reader: &mut Reader, node: &Node, out: &mut Observe) {
    if node.entries().is_none() {
        out.access_log = access(reader, node, None);
        return;
    }
    let entries = reader.entries(node, "log", &["access", "file", "level"]);
    let file = entries.get("file").and_then(|node| {
        reader.within("file", |reader| reader.text(node, "a file name").map(str::to_owned))
    });
    if let Some(node) = entries.get("access") {
        out.access_log = reader.within("access", |reader| access(reader, node, file.as_deref()));
    } else if let Some(at) = entries.key("file") {
        reader.error(at, "\"file\" needs \"access\": json or text");
    }
    if let Some(node) = entries.get("level") {
        out.log_level = reader.within("level", |reader| {
            reader.parsed(node, "a level", |text| match text {
                "trace" | "debug" | "info" | "warn" | "error" | "off" => Ok(text.to_owned()),
                _ => Err(format!("{text:?} is not trace, debug, info, warn, error or off")),
            })
        });
    }
}

fn access(reader: &mut Reader, node: &Node, file: Option<&str>) -> Option<Json> {
    let format = reader.parsed(node, "json, text or off", |text| match text {
        "json" => Ok(Some(json!({"log_format": {"json_format": {
            "time": "%START_TIME%",
            "method": "%REQ(:METHOD)%",
            "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
            "host": "%REQ(:AUTHORITY)%",
            "protocol": "%PROTOCOL%",
            "status": "%RESPONSE_CODE%",
            "flags": "%RESPONSE_FLAGS%",
            "details": "%RESPONSE_CODE_DETAILS%",
            "duration_ms": "%DURATION%",
            "bytes_in": "%BYTES_RECEIVED%",
            "bytes_out": "%BYTES_SENT%",
            "client": "%DOWNSTREAM_REMOTE_ADDRESS%",
            "upstream": "%UPSTREAM_HOST%",
            "cluster": "%UPSTREAM_CLUSTER%",
            "request_id": "%REQ(X-REQUEST-ID)%",
            "trace_id": "%TRACE_ID%",
        }}}))),
        "text" => Ok(Some(json!({}))),
        "off" => Ok(None),
        _ => Err(format!("{text:?} is not json, text or off")),
    });
    let mut config = format??;
    match file {
        Some(path) => {
            config["@type"] = json!(FILE);
            config["path"] = json!(path);
        }
        None => config["@type"] = json!(STDOUT),
    }
    let name =
        if file.is_some() { "envoy.access_loggers.file" } else { "envoy.access_loggers.stdout" };
    Some(json!([{"name": name, "typed_config": config}]))
}

/// Without a host the page is for this machine only: it can stop the proxy.
fn admin(reader: &mut Reader, node: &Node) -> Option<Address> {
    let text = reader.text(node, "an address such as 127.0.0.1:9901, or off")?;
    if text == "off" {
        return None;
    }
    let text =
        if text.bytes().all(|b| b.is_ascii_digit()) { format!(":{text}") } else { text.to_owned() };
    match Address::parse(&text, "127.0.0.1") {
        Ok(Address::Name(name, port)) if name == "localhost" => {
            Some(Address::Ip("127.0.0.1".to_owned(), port))
        }
        Ok(Address::Name(name, _)) => {
            reader.error(node, format!("{name:?} is a name: the admin page needs an IP address"));
            None
        }
        Ok(address) => Some(address),
        Err(message) => {
            reader.error(node, message);
            None
        }
    }
}
