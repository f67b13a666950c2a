//! `/config_dump`, with `resource` and `mask`. Secrets are not shown.

use axum::body::Body;
use http::Response;
use http::StatusCode;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::AdminState;
use super::pages::Query;
use super::reply;

/// Fields whose texts are secrets, wherever they occur (Envoy marks them in its API, with
/// `udpa.annotations.sensitive`).
const SENSITIVE: &[&str] = &[
    "generic_secret",
    "hmac_secret",
    "password",
    "pkcs12",
    "private_key",
    "private_key_provider",
    "session_ticket_keys",
    "token_secret",
    "users",
];

/// Always empty: scoped routes are refused.
const SCOPED_ROUTES: &str = "type.googleapis.com/envoy.admin.v3.ScopedRoutesConfigDump";

/// What a secret is shown as, as in Envoy.
const REDACTED: &str = "[redacted]";
/// The same as the JSON of bytes.
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";

pub(super) fn serve(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    if let Err(refused) = query.refuse(&["name_regex"]) {
        return *refused;
    }
    let mut sections = state.facts.config_dump();
    sections.push(json!({ "@type": SCOPED_ROUTES }));
    if query.get("include_eds").is_none() {
        sections.retain(|section| !is_type(section, "EndpointsConfigDump"));
    }
    for section in &mut sections {
        redact(section, false);
    }
    if let Some(resource) = query.get("resource") {
        let Some(found) = find(&sections, &resource) else {
            let text = format!("{resource} not found in config dump");
            return reply::text(StatusCode::NOT_FOUND, text);
        };
        sections = found;
    }
    if let Some(mask) = query.get("mask") {
        sections = sections.iter().map(|section| masked(section, &mask)).collect();
    }
    reply::json(&json!({ "configs": sections }))
}

fn is_type(section: &Value, name: &str) -> bool {
    section["@type"].as_str().is_some_and(|found| found.rsplit('.').next() == Some(name))
}

/// The items of the repeated field of that name, each with its type as Envoy gives it.
fn find(sections: &[Value], resource: &str) -> Option<Vec<Value>> {
    let section = sections.iter().find(|section| section.get(resource).is_some())?;
    let items = section[resource].as_array()?;
    let kind = section["@type"].as_str().unwrap_or_default();
    let typed = items.iter().map(|item| {
        let mut all = Map::new();
        all.insert("@type".into(), json!(format!("{kind}.{}", item_type(resource))));
        for (name, value) in item.as_object().into_iter().flatten() {
            all.insert(name.clone(), value.clone());
        }
        Value::Object(all)
    });
    Some(typed.collect())
}

/// `dynamic_route_configs` holds `DynamicRouteConfig`, `dynamic_active_clusters` `DynamicCluster`.
fn item_type(resource: &str) -> String {
    let singular = resource.strip_suffix('s').unwrap_or(resource);
    let words = singular.split('_').filter(|word| !matches!(*word, "active" | "warming"));
    let capitalised = words.map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    });
    capitalised.collect()
}

/// Only the fields that a field mask names: `a.b,c`. The type stays.
fn masked(value: &Value, mask: &str) -> Value {
    let mut kept = Map::new();
    if let Some(kind) = value.get("@type") {
        kept.insert("@type".into(), kind.clone());
    }
    let mut kept = Value::Object(kept);
    for path in mask.split(',').filter(|path| !path.is_empty()) {
        let keys: Vec<&str> = path.split('.').collect();
        copy(value, &keys, &mut kept);
    }
    kept
}

fn copy(from: &Value, path: &[&str], to: &mut Value) {
    let (Some((key, rest)), Some(to)) = (path.split_first(), to.as_object_mut()) else { return };
    let Some(value) = from.get(key) else { return };
    if rest.is_empty() || !value.is_object() {
        to.insert((*key).to_owned(), value.clone());
    } else {
        let inner = to.entry(*key).or_insert_with(|| json!({}));
        copy(value, rest, inner);
    }
}

/// Hides texts under sensitive fields; names of files and of secrets stay, they say where to look.
fn redact(value: &mut Value, inside: bool) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inside = inside || SENSITIVE.contains(&name.as_str());
                match (name.as_str(), value) {
                    ("@type" | "filename" | "environment_variable" | "provider_name", _) => {}
                    ("inline_bytes", Value::String(text)) if inside => {
                        REDACTED_BYTES.clone_into(text);
                    }
                    (_, value) => redact(value, inside),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, inside)),
        Value::String(text) if inside => REDACTED.clone_into(text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_their_files_are_not() {
        let mut dump = json!({ "tls_certificates": [{
            "certificate_chain": { "inline_string": "public" },
            "private_key": { "inline_string": "secret" },
            "password": { "inline_bytes": "c2VjcmV0" }
        }, { "private_key": { "filename": "/key.pem" } }] });
        redact(&mut dump, false);
        assert_eq!(dump["tls_certificates"][0]["certificate_chain"]["inline_string"], "public");
        assert_eq!(dump["tls_certificates"][0]["private_key"]["inline_string"], "[redacted]");
        assert_eq!(dump["tls_certificates"][0]["password"]["inline_bytes"], REDACTED_BYTES);
        assert_eq!(dump["tls_certificates"][1]["private_key"]["filename"], "/key.pem");
    }

    #[test]
    fn a_resource_and_a_mask_select() {
        let sections = [json!({
            "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
            "static_clusters": [{ "cluster": { "name": "a", "type": "EDS" }, "last_updated": "x" }]
        })];
        let found = find(&sections, "static_clusters").unwrap();
        assert_eq!(
            found[0]["@type"],
            "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster"
        );
        assert_eq!(
            masked(&found[0], "cluster.name"),
            json!({ "@type": found[0]["@type"], "cluster": { "name": "a" } })
        );
        assert!(find(&sections, "nothing").is_none());
        assert_eq!(item_type("dynamic_active_clusters"), "DynamicCluster");
        assert_eq!(item_type("dynamic_route_configs"), "DynamicRouteConfig");
    }
}
