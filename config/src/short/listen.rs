//! `listen` and `tls`: listeners and the connection manager on them.

use serde_json::{Value as Json, json};

use super::observe::Observe;
use super::reader::Reader;
use super::route::Route;
use super::units::Address;
use super::{Build, route};
use crate::diagnostic::Position;
use crate::file::{Node, Value};

const MANAGER: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
const DOWNSTREAM_TLS: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

/// One item of `listen`.
#[derive(Debug)]
pub(super) struct Listen {
    address: Address,
    /// As it was written, for names.
    text: String,
    tls: Option<Tls>,
    redirect: bool,
    position: Position,
    path: String,
}

/// The certificates of a listener.
#[derive(Debug, Clone)]
pub(super) struct Tls {
    cert: String,
    key: String,
    client_ca: Option<String>,
    require_client: bool,
}

/// What all listeners serve.
#[derive(Debug)]
pub(super) struct Manager<'a> {
    pub(super) routes: &'a [Route],
    pub(super) tenants: Option<&'a Json>,
    pub(super) observe: &'a Observe,
}

/// Reads `listen`: an address, a mapping, or a list of these.
pub(super) fn read(reader: &mut Reader, node: &Node) -> Vec<Listen> {
    let Value::List(items) = &node.value else {
        return one(reader, node).into_iter().collect();
    };
    let mut listeners = Vec::new();
    for (index, item) in items.iter().enumerate() {
        reader.path.push_index(index);
        listeners.extend(one(reader, item));
        reader.path.pop();
    }
    if items.is_empty() {
        reader.error(node, "there is no listener").hint("e.g. listen: :8080");
    }
    listeners
}

fn one(reader: &mut Reader, node: &Node) -> Option<Listen> {
    if node.entries().is_none() {
        return address(reader, node, node, None);
    }
    let entries = reader.entries(node, "a listener", &["addr", "tls", "redirect", "http3"]);
    if let Some(http3) = entries.get("http3") {
        reader.within("http3", |reader| {
            if reader.boolean(http3) == Some(true) {
                reader.not_yet(http3, "HTTP/3");
            }
        });
    }
    let tls = entries.get("tls").map(|node| reader.within("tls", |reader| tls(reader, node)));
    let redirect = entries.get("redirect").is_some_and(|node| {
        reader.within("redirect", |reader| {
            let https = reader.text(node, "https") == Some("https");
            if !https {
                reader.error(node, "a listener can only redirect to https");
            }
            https
        })
    });
    let Some(addr) = entries.get("addr") else {
        reader.error(node, "\"addr\" is missing").hint("e.g. addr: :8080");
        return None;
    };
    let tls = match tls {
        Some(None) => return None,
        Some(tls) => tls,
        None => None,
    };
    let mut listen = reader.within("addr", |reader| address(reader, addr, node, tls))?;
    listen.redirect |= redirect;
    Some(listen)
}

/// Reads `ADDRESS` or `ADDRESS -> https`.
fn address(reader: &mut Reader, node: &Node, whole: &Node, tls: Option<Tls>) -> Option<Listen> {
    let text = reader.text(node, "an address such as :8080")?;
    let (text, redirect) = match text.split_once("->") {
        None => (text, false),
        Some((address, "https" | " https")) => (address.trim_end(), true),
        Some((_, target)) => {
            let text = format!("a listener redirects to https, not to {:?}", target.trim());
            reader.error(node, text).hint("other redirects are routes: { redirect: URL }");
            return None;
        }
    };
    match Address::parse(text, "0.0.0.0") {
        Ok(Address::Name(name, _)) => {
            let text = format!("{name:?} is a name: a listener needs an IP address");
            reader.error(node, text).hint("127.0.0.1 for this machine only, none for all");
            None
        }
        Ok(address) => Some(Listen {
            address,
            text: text.to_owned(),
            tls,
            redirect,
            position: whole.position,
            path: reader.path.to_string(),
        }),
        Err(message) => {
            reader.error(node, message);
            None
        }
    }
}

/// Reads a mapping of certificate files.
pub(super) fn tls(reader: &mut Reader, node: &Node) -> Option<Tls> {
    if node.text() == Some("auto") {
        reader.error(node, "tls: auto (a local CA made once) is not supported yet").hint(
            "give files: tls: { cert: cert.pem, key: key.pem }; mkcert or openssl makes them",
        );
        return None;
    }
    let entries = reader.entries(node, "tls", &["cert", "key", "client-ca", "require-client"]);
    let mut file = |name: &str| {
        let node = entries.get(name)?;
        reader.within(name, |reader| reader.text(node, "a file name").map(str::to_owned))
    };
    let (cert, key, client_ca) = (file("cert"), file("key"), file("client-ca"));
    let require = entries
        .get("require-client")
        .and_then(|node| reader.within("require-client", |reader| reader.boolean(node)));
    if let (Some(true), None, Some(at)) = (require, &client_ca, entries.key("require-client")) {
        reader.error(at, "require-client needs client-ca, or every certificate would do");
    }
    for (name, value) in [("cert", &cert), ("key", &key)] {
        if value.is_none() && node.entries().is_some() && entries.get(name).is_none() {
            reader.error(node, format!("{name:?} is missing")).hint("a PEM file");
        }
    }
    // Who names a CA for clients wants them checked.
    let require_client = require.unwrap_or_else(|| client_ca.is_some());
    Some(Tls { cert: cert?, key: key?, client_ca, require_client })
}

/// Builds all listeners.
pub(super) fn build(
    listeners: &[Listen],
    default_tls: Option<&Tls>,
    manager: &Manager<'_>,
    build: &mut Build,
) -> Json {
    let secure =
        |listen: &Listen| !listen.redirect && listen.tls.as_ref().or(default_tls).is_some();
    let https_port = listeners.iter().find(|listen| secure(listen)).map(|listen| &listen.address);
    let https_port = match https_port {
        Some(Address::Ip(_, port)) => *port,
        _ => 443,
    };
    let mut out = Vec::new();
    for (index, listen) in listeners.iter().enumerate() {
        let path = format!("static_resources.listeners[{index}]");
        build.origin(path.clone(), listen.position, listen.path.as_str());
        let tls = listen.tls.as_ref().or(default_tls).filter(|_| !listen.redirect);
        let config = if listen.redirect {
            redirect_to_https(https_port)
        } else {
            let config = format!("{path}.filter_chains[0].filters[0].typed_config.route_config");
            route::build(manager.routes, &config, build)
        };
        let filters = json!([{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(config, tls, manager),
        }]);
        let mut chain = json!({"filters": filters});
        if let Some(tls) = tls {
            chain["transport_socket"] = transport_socket(tls);
        }
        out.push(json!({
            "name": listen.text,
            "address": listen.address.to_json(),
            "filter_chains": [chain],
        }));
    }
    Json::Array(out)
}

fn redirect_to_https(port: u16) -> Json {
    let mut redirect = json!({"https_redirect": true});
    if port != 443 {
        redirect["port_redirect"] = json!(port);
    }
    json!({
        "name": "redirect",
        "virtual_hosts": [{
            "name": "redirect",
            "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "redirect": redirect}],
        }],
    })
}

fn connection_manager(route_config: Json, tls: Option<&Tls>, manager: &Manager<'_>) -> Json {
    let mut filters = Vec::new();
    if let Some(tenants) = manager.tenants {
        // TypedStruct and optional, so that Envoy loads the same file without tenants.
        filters.push(json!({
            "name": "palanquin.filters.http.tenant",
            "is_optional": true,
            "typed_config": {
                "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
                "type_url": "type.googleapis.com/palanquin.tenant.v1.TenantFilter",
                "value": tenants,
            },
        }));
    }
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": ROUTER},
    }));
    let mut out = json!({
        "@type": MANAGER,
        "stat_prefix": "ingress",
        // We are the edge: the peer's address counts, not what it says of itself.
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": route_config,
        "http_filters": filters,
    });
    if tls.is_some_and(|tls| tls.client_ca.is_some()) {
        out["forward_client_cert_details"] = json!("SANITIZE_SET");
        out["set_current_client_cert_details"] = json!({"uri": true});
    }
    super::set(&mut out, "tracing", manager.observe.tracing.clone());
    super::set(&mut out, "access_log", manager.observe.access_log.clone());
    out
}

fn transport_socket(tls: &Tls) -> Json {
    let mut common = json!({
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [{
            "certificate_chain": {"filename": tls.cert},
            "private_key": {"filename": tls.key},
        }],
    });
    if let Some(ca) = &tls.client_ca {
        common["validation_context"] = json!({"trusted_ca": {"filename": ca}});
    }
    let mut context = json!({"@type": DOWNSTREAM_TLS, "common_tls_context": common});
    if tls.require_client {
        context["require_client_certificate"] = json!(true);
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}
