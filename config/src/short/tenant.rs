//! `tenants`: the tenant filter's configuration.
//!
//! The filter reads an identity from a list of sources and looks up its policy. The short form says
//! it the other way round, for each tenant what its requests look like; sources are collected from
//! these, and an identity that differs from the tenant's name becomes an alias.

use serde_json::{Value as Json, json};

use super::reader::{Entries, Reader};
use super::upstream::Upstreams;
use super::{set, units};
use crate::file::Node;

const KEYS: &[&str] = &["match", "limit", "quota", "concurrency", "breaker", "to", "allow"];

/// Reads the mapping `tenants` into a `palanquin.tenant.v1.TenantFilter`.
pub(super) fn read(reader: &mut Reader, node: &Node, upstreams: &mut Upstreams) -> Option<Json> {
    let mut sources: Vec<Json> = Vec::new();
    let mut policies = serde_json::Map::new();
    let mut has_default = false;
    for (name, key, value) in reader.any_entries(node, "a mapping of tenants").iter() {
        reader.within(name, |reader| {
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
            if name.is_empty() || name.len() > 63 || !name.bytes().all(allowed) {
                reader
                    .error(key, format!("{name:?} is not a tenant's name"))
                    .hint("1 to 63 of a-z, 0-9, '.', '_' and '-'");
            }
            has_default |= name == "default";
            if value.is_null() {
                policies.insert(name.to_owned(), json!({"tenant": name}));
                return;
            }
            let entries = reader.entries(value, "a tenant", KEYS);
            let mut policy = policy(reader, name, &entries, upstreams);
            match entries.get("match") {
                Some(node) if name != "default" => {
                    let alias =
                        reader.within("match", |reader| source(reader, node, name, &mut sources));
                    if let Some(alias) = alias.filter(|alias| alias != name) {
                        policy["aliases"] = json!([alias]);
                    }
                }
                Some(node) => {
                    reader.error(node, "the tenant \"default\" is whoever matches no other");
                }
                None if name != "default" => {
                    reader
                        .error(key, "\"match\" is missing")
                        .hint("e.g. match: { host: \"*.acme.example\" }");
                }
                None => {}
            }
            policies.insert(name.to_owned(), policy);
        });
    }
    if policies.is_empty() {
        return None;
    }
    let mut out = json!({
        "stat_prefix": "tenant",
        "sources": sources,
        "inline_table": {"tenants": policies},
        "propagation": {"request_header": "x-tenant-id", "span_attribute": true},
    });
    if has_default {
        out["default_tenant"] = json!("default");
        out["on_unknown"] = json!("USE_DEFAULT_POLICY");
    }
    Some(out)
}

fn policy(
    reader: &mut Reader,
    name: &str,
    entries: &Entries<'_>,
    upstreams: &mut Upstreams,
) -> Json {
    let mut out = json!({"tenant": name});
    if let Some(at) = entries.key("allow") {
        reader.within("allow", |reader| reader.not_yet(at, "a list of allowed methods"));
    }
    let mut rates = Vec::new();
    for key in ["limit", "quota"] {
        let Some(node) = entries.get(key) else { continue };
        let rate = reader.within(key, |reader| reader.parsed(node, "a rate", units::rate));
        rates.extend(rate.map(|(requests, per)| json!({"requests": requests, "per": per})));
    }
    let mut number = |key: &str| {
        let node = entries.get(key)?;
        reader.within(key, |reader| {
            reader.parsed(node, "a number", |text| {
                units::number(text).ok_or_else(|| format!("{text:?} is not a whole number"))
            })
        })
    };
    let concurrency = number("concurrency");
    let mut quota = json!({});
    if !rates.is_empty() {
        quota["rates"] = Json::Array(rates);
    }
    set(&mut quota, "max_concurrent_requests", concurrency);
    if quota.as_object().is_some_and(|quota| !quota.is_empty()) {
        out["quota"] = quota;
    }
    if let Some(node) = entries.get("breaker") {
        let limits = reader.within("breaker", |reader| {
            let known = ["connections", "pending", "requests", "retries"];
            let mut limits = json!({});
            for (name, _, value) in reader.entries(node, "a breaker", &known).iter() {
                let limit = reader.within(name, |reader| {
                    reader.parsed(value, "a number", |text| {
                        units::number(text).ok_or_else(|| format!("{text:?} is not a whole number"))
                    })
                });
                let name = if name == "pending" { "pending_requests" } else { name };
                set(&mut limits, &format!("max_{name}"), limit);
            }
            limits
        });
        out["breaker"] = limits;
    }
    if let Some(node) = entries.get("to") {
        let cluster = reader.within("to", |reader| upstreams.resolve(reader, node));
        if let Some(cluster) = cluster {
            out["routing"] = json!({"cluster": cluster});
        }
    }
    out
}

/// Reads `match` and adds its source; the result is the identity that the source will give.
fn source(
    reader: &mut Reader,
    node: &Node,
    tenant: &str,
    sources: &mut Vec<Json>,
) -> Option<String> {
    let entries = reader.entries(node, "a match", &["host", "header", "spiffe", "from"]);
    let given: Vec<_> = entries.iter().filter(|(name, ..)| *name != "from").collect();
    let [(kind, _, value)] = given.as_slice() else {
        reader.error(node, "one of host, header, spiffe is needed");
        return None;
    };
    let (mut source, identity) = reader.within(kind, |reader| {
        reader.parsed(value, "a text", |text| match *kind {
            "host" => host(text),
            "header" => header(text),
            _ => spiffe(text, tenant),
        })
    })?;
    if let Some(from) = entries.get("from") {
        let prefixes = reader.within("from", |reader| reader.texts(from, "a SPIFFE id"));
        let prefixes: Vec<_> = prefixes.into_iter().map(|(_, prefix)| prefix).collect();
        source["trusted_peer_spiffe_prefixes"] = json!(prefixes);
    }
    if !sources.contains(&source) {
        sources.push(source);
    }
    Some(identity)
}

/// `*.acme.example` or `acme.example`: the label in front of the common rest is the identity.
fn host(text: &str) -> Result<(Json, String), String> {
    let (index, rest) = match text.strip_prefix("*.") {
        Some(rest) => (1, rest),
        None => (0, text),
    };
    let (label, suffix) = rest
        .split_once('.')
        .ok_or_else(|| format!("{text:?} needs at least two labels, such as acme.example"))?;
    if rest.contains(['*', ':', '/']) || label.is_empty() || suffix.is_empty() {
        return Err(format!("{text:?} is not a host such as acme.example or *.acme.example"));
    }
    let source = json!({"host_label": {"index": index, "suffix": format!(".{suffix}")}});
    Ok((source, label.to_ascii_lowercase()))
}

/// `x-tenant = beta`.
fn header(text: &str) -> Result<(Json, String), String> {
    let (name, value) = text
        .split_once('=')
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| format!("{text:?} is not of the form header = value"))?;
    Ok((json!({"header": name.to_ascii_lowercase()}), value.to_owned()))
}

/// `spiffe://domain/ns/acme/sa/*`: the segment that is the tenant's name is where identities are.
fn spiffe(text: &str, tenant: &str) -> Result<(Json, String), String> {
    let (domain, path) = text
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| format!("{text:?} is not a SPIFFE id such as spiffe://domain/ns/acme"))?;
    let segments: Vec<_> = path.split('/').collect();
    if segments.iter().filter(|segment| **segment == tenant).count() != 1 {
        return Err(format!("one segment of {text:?} must be the tenant's name, {tenant:?}"));
    }
    let template: String = segments
        .iter()
        .map(
            |segment| {
                if *segment == tenant { "/{tenant}".to_owned() } else { format!("/{segment}") }
            },
        )
        .collect();
    let source = json!({"peer_spiffe": {"trust_domain": domain, "path_template": template}});
    Ok((source, tenant.to_owned()))
}
