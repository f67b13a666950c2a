//! `routes`: what a request matches and what happens then.

use serde_json::{Value as Json, json};

use super::reader::{Entries, Reader};
use super::route_key::RouteKey;
use super::upstream::{self, Upstreams};
use super::{Build, set, units};
use crate::diagnostic::Position;
use crate::file::Node;

/// One route.
#[derive(Debug)]
pub(super) struct Route {
    key: RouteKey,
    /// Everything of the route but its match.
    body: Json,
    position: Position,
    path: String,
}

const KEYS: &[&str] = &[
    "to",
    "redirect",
    "respond",
    "strip-prefix",
    "rewrite",
    "host",
    "headers",
    "response-headers",
    "timeout",
    "retry",
    "auth",
    "limit",
    "body-limit",
    "allow",
];

/// Reads the mapping `routes`.
pub(super) fn read(reader: &mut Reader, node: &Node, upstreams: &mut Upstreams) -> Vec<Route> {
    let entries = reader.any_entries(node, "a mapping of paths to upstreams");
    let mut routes = Vec::new();
    for (text, key, value) in entries.iter() {
        reader.path.push_key(text);
        let parsed = RouteKey::parse(text);
        if let Err(message) = &parsed {
            reader.error(key, message.clone());
        }
        let is_prefix = parsed.as_ref().is_ok_and(RouteKey::is_prefix);
        let body = body(reader, key, value, is_prefix, upstreams);
        if let (Ok(key_read), Some(body)) = (parsed, body) {
            let path = reader.path.to_string();
            routes.push(Route { key: key_read, body, position: key.position, path });
        }
        reader.path.pop();
    }
    if routes.is_empty() && !reader.problems.has_errors() {
        reader.error(node, "there is no route").hint("e.g. /: localhost:3000");
    }
    routes
}

fn body(
    reader: &mut Reader,
    key: &Node,
    node: &Node,
    is_prefix: bool,
    upstreams: &mut Upstreams,
) -> Option<Json> {
    if node.entries().is_none() {
        let cluster = upstreams.resolve(reader, node)?;
        let mut action = json!({"cluster": cluster});
        inherit(&mut action, &[cluster], upstreams);
        return Some(json!({"route": action}));
    }
    let entries = reader.entries(node, "a route", KEYS);
    for (name, what) in [
        ("auth", "authentication"),
        ("limit", "a limit per client"),
        ("body-limit", "a limit of the body"),
        ("allow", "a list of allowed peers"),
    ] {
        if let Some(at) = entries.key(name) {
            reader.within(name, |reader| reader.not_yet(at, what));
        }
    }
    let actions = ["to", "redirect", "respond"];
    let given: Vec<_> = actions.into_iter().filter(|name| entries.get(name).is_some()).collect();
    if given.len() != 1 {
        let found = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
        reader.error(key, format!("one of to, redirect, respond is needed, found {found}"));
        return None;
    }
    let mut out = match given[0] {
        "to" => forward(reader, &entries, is_prefix, upstreams)?,
        name => {
            for only in ["strip-prefix", "rewrite", "host", "timeout", "retry"] {
                if let Some(at) = entries.key(only) {
                    let text = format!("{only:?} only makes sense with \"to\"");
                    reader.within(only, |reader| {
                        reader.error(at, text);
                    });
                }
            }
            let node = entries.get(name)?;
            reader.within(name, |reader| match name {
                "redirect" => redirect(reader, node),
                _ => respond(reader, node),
            })?
        }
    };
    headers(reader, &entries, &mut out);
    Some(out)
}

fn forward(
    reader: &mut Reader,
    entries: &Entries<'_>,
    is_prefix: bool,
    upstreams: &mut Upstreams,
) -> Option<Json> {
    let to = entries.get("to")?;
    let (mut action, clusters) = reader.within("to", |reader| target(reader, to, upstreams))?;
    inherit(&mut action, &clusters, upstreams);
    if let Some(node) = entries.get("strip-prefix") {
        reader.within("strip-prefix", |reader| {
            if reader.boolean(node) == Some(true) {
                if !is_prefix {
                    reader
                        .error(node, "the path of this route is no prefix")
                        .hint("a prefix ends in /, such as /api/");
                }
                action["prefix_rewrite"] = json!("/");
            }
        });
    }
    if let Some(node) = entries.get("rewrite") {
        let path = reader.within("rewrite", |reader| {
            reader.parsed(node, "a path", |text| {
                let path = text.starts_with('/').then(|| text.to_owned());
                path.ok_or_else(|| format!("{text:?} is not a path: it begins with /"))
            })
        });
        if let (Some(at), true) = (entries.key("rewrite"), entries.get("strip-prefix").is_some()) {
            reader.error(at, "rewrite and strip-prefix exclude each other");
        }
        set(&mut action, "prefix_rewrite", path);
    }
    if let Some(node) = entries.get("host") {
        let host = reader.within("host", |reader| reader.text(node, "a host name, or auto"));
        match host {
            Some("auto") => action["auto_host_rewrite"] = json!(true),
            Some(host) => action["host_rewrite_literal"] = json!(host),
            None => {}
        }
    }
    if let Some(node) = entries.get("timeout") {
        let timeout =
            reader.within("timeout", |reader| reader.parsed(node, "a duration", units::duration));
        set(&mut action, "timeout", timeout);
    }
    if let Some(node) = entries.get("retry") {
        let retry = reader.within("retry", |reader| upstream::retry(reader, node));
        set(&mut action, "retry_policy", retry);
    }
    Some(json!({"route": action}))
}

/// Reads a name, or a mapping of names to weights.
fn target(
    reader: &mut Reader,
    node: &Node,
    upstreams: &mut Upstreams,
) -> Option<(Json, Vec<String>)> {
    if !upstream::is_weighted(node) {
        let cluster = upstreams.resolve(reader, node)?;
        return Some((json!({"cluster": cluster}), vec![cluster]));
    }
    let (mut weighted, mut names, mut total) = (Vec::new(), Vec::new(), 0u64);
    for (name, key, value) in reader.any_entries(node, "a mapping of upstreams to weights").iter() {
        reader.within(name, |reader| {
            let weight = reader.parsed(value, "a weight", |text| {
                text.trim_end_matches('%')
                    .parse::<u32>()
                    .map_err(|_| format!("{text:?} is not a weight: write a whole number"))
            });
            let cluster = upstreams.resolve(reader, key);
            if let (Some(weight), Some(cluster)) = (weight, cluster) {
                total += u64::from(weight);
                weighted.push(json!({"name": cluster, "weight": weight}));
                names.push(cluster);
            }
        });
    }
    if !weighted.is_empty() && !(1..=u64::from(u32::MAX)).contains(&total) {
        reader.error(node, format!("the weights sum up to {total}"));
        return None;
    }
    let action = json!({"weighted_clusters": {"clusters": weighted}});
    (!names.is_empty()).then_some((action, names))
}

/// Takes timeout and retries from the first upstream that has them.
fn inherit(action: &mut Json, clusters: &[String], upstreams: &Upstreams) {
    let of = || clusters.iter().filter_map(|name| upstreams.get(name));
    set(action, "timeout", of().find_map(|upstream| upstream.timeout.clone()));
    set(action, "retry_policy", of().find_map(|upstream| upstream.retry.clone()));
}

/// Reads `[STATUS] https`, `[STATUS] https://host:port/path` or `[STATUS] /path`.
fn redirect(reader: &mut Reader, node: &Node) -> Option<Json> {
    reader.parsed(node, "a URL or path", |text| {
        let (status, target) = text.split_once(' ').unwrap_or(("301", text));
        let code = match status {
            "301" => "MOVED_PERMANENTLY",
            "302" => "FOUND",
            "303" => "SEE_OTHER",
            "307" => "TEMPORARY_REDIRECT",
            "308" => "PERMANENT_REDIRECT",
            _ => return Err(format!("{status:?} is not 301, 302, 303, 307 or 308")),
        };
        let mut out = json!({"response_code": code});
        if target == "https" {
            out["https_redirect"] = json!(true);
        } else if target.starts_with('/') {
            out["path_redirect"] = json!(target);
        } else {
            let (scheme, rest) = target
                .split_once("://")
                .ok_or_else(|| format!("{target:?} is neither https, nor a path, nor a URL"))?;
            let (host, path) = match rest.find('/') {
                Some(slash) => rest.split_at(slash),
                None => (rest, ""),
            };
            out["scheme_redirect"] = json!(scheme);
            match host.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                    let port: u16 = port.parse().map_err(|_| format!("{port:?} is not a port"))?;
                    out["host_redirect"] = json!(host);
                    out["port_redirect"] = json!(port);
                }
                _ => out["host_redirect"] = json!(host),
            }
            if path.len() > 1 {
                out["path_redirect"] = json!(path);
            }
        }
        Ok(json!({"redirect": out}))
    })
}

/// Reads `STATUS [TEXT]`.
fn respond(reader: &mut Reader, node: &Node) -> Option<Json> {
    reader.parsed(node, "a status, perhaps with a text", |text| {
        let (status, body) = text.split_once(' ').unwrap_or((text, ""));
        let status = status
            .parse::<u16>()
            .ok()
            .filter(|status| (200..600).contains(status))
            .ok_or_else(|| format!("{status:?} is not a status (200 to 599)"))?;
        let mut out = json!({"status": status});
        if !body.is_empty() {
            out["body"] = json!({"inline_string": body});
        }
        Ok(json!({"direct_response": out}))
    })
}

/// Reads `headers` and `response-headers`: `{ set: {}, add: {}, remove: [] }`.
fn headers(reader: &mut Reader, entries: &Entries<'_>, out: &mut Json) {
    for (name, side) in [("headers", "request"), ("response-headers", "response")] {
        let Some(node) = entries.get(name) else { continue };
        reader.within(name, |reader| {
            let changes = reader.entries(node, "headers", &["set", "add", "remove"]);
            let mut options = Vec::new();
            for (verb, action) in
                [("set", "OVERWRITE_IF_EXISTS_OR_ADD"), ("add", "APPEND_IF_EXISTS_OR_ADD")]
            {
                let Some(node) = changes.get(verb) else { continue };
                reader.within(verb, |reader| {
                    for (header, _, value) in reader.any_entries(node, "headers").iter() {
                        let text = reader.within(header, |reader| reader.text(value, "a text"));
                        options.extend(text.map(|text| {
                            json!({
                                "header": {"key": header, "value": text},
                                "append_action": action,
                            })
                        }));
                    }
                });
            }
            if !options.is_empty() {
                out[format!("{side}_headers_to_add")] = Json::Array(options);
            }
            if let Some(node) = changes.get("remove") {
                let names = reader.within("remove", |reader| reader.texts(node, "a header"));
                let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
                out[format!("{side}_headers_to_remove")] = json!(names);
            }
        });
    }
}

/// Builds a route configuration; `path` is where it will be.
pub(super) fn build(routes: &[Route], path: &str, build: &mut Build) -> Json {
    let mut hosts: Vec<Option<&str>> = Vec::new();
    for route in routes {
        let host = route.key.host.as_deref();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    let mut virtual_hosts = Vec::new();
    for (index, host) in hosts.into_iter().enumerate() {
        // A request of this host may also match the routes of wider hosts, which come after.
        let mut of_host: Vec<_> = routes
            .iter()
            .filter_map(|route| Some(((route.key.covers(host)?, route.key.order()), route)))
            .collect();
        of_host.sort_by(|a, b| a.0.cmp(&b.0));
        for (position, (_, route)) in of_host.iter().enumerate() {
            let path = format!("{path}.virtual_hosts[{index}].routes[{position}]");
            build.origin(path, route.position, route.path.as_str());
        }
        virtual_hosts.push(json!({
            "name": host.unwrap_or("any"),
            "domains": [host.unwrap_or("*")],
            "routes": of_host.into_iter().map(|(_, route)| one(route)).collect::<Vec<_>>(),
        }));
    }
    json!({
        "name": "routes",
        // Hosts are written without a port.
        "ignore_port_in_host_matching": true,
        "virtual_hosts": virtual_hosts,
    })
}

fn one(route: &Route) -> Json {
    let kind = if route.key.is_prefix() { "prefix" } else { "path" };
    let mut matcher = json!({kind: route.key.path});
    let string_match = match route.key.methods.as_slice() {
        [] => None,
        [only] => Some(json!({"exact": only})),
        several => Some(json!({"safe_regex": {"regex": several.join("|")}})),
    };
    if let Some(string_match) = string_match {
        matcher["headers"] = json!([{"name": ":method", "string_match": string_match}]);
    }
    let mut out = json!({"match": matcher});
    if let (Json::Object(out), Json::Object(body)) = (&mut out, &route.body) {
        out.extend(body.clone());
    }
    out
}
