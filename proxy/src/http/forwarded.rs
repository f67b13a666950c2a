//! Who the client is, and what of that the next hop is told: `x-forwarded-*`, `x-envoy-*`, XFCC.
//!
//! What an untrusted peer says in these headers is overwritten or removed here, before anything reads it.
//! Follows Envoy's `ConnectionManagerUtility::mutateRequestHeaders`.

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderValue;
use palanquin_config::ir::http::ConnectionManager;
use palanquin_config::ir::http::ForwardClientCertMode;
use palanquin_filter_api::ConnectionInfo;

use super::names;
use super::xfcc;

/// What was found out about the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// The client's address as far as it can be trusted.
    pub(crate) remote: SocketAddr,
    /// The request comes from inside the mesh: its `x-envoy-*` headers count.
    pub(crate) internal: bool,
    /// The request enters the mesh here.
    pub(crate) edge: bool,
}

/// Finds the client's address and rewrites the forwarding headers.
pub(crate) fn request(
    headers: &mut HeaderMap,
    connection: &ConnectionInfo,
    manager: &ConnectionManager,
    internal_only: &[http::HeaderName],
) -> Origin {
    let present = Present::among(headers);
    let origin = client_address(headers, connection, manager, present);
    forwarded_proto(headers, connection, manager, present);
    if present.envoy {
        headers.remove(names::X_ENVOY_INTERNAL);
    }
    if origin.internal {
        headers.insert(names::X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
    } else {
        remove_internal(headers, origin.edge, internal_only, present);
    }
    if origin.edge
        && let Ok(address) = HeaderValue::from_str(&origin.remote.ip().to_string())
    {
        headers.insert(names::X_ENVOY_EXTERNAL_ADDRESS, address);
    }
    client_certificate(headers, connection, manager, present);
    origin
}

/// Which of the fields in question a request came with. Nearly all have none of them: one look at the names is
/// cheaper than twenty look-ups.
#[derive(Debug, Clone, Copy, Default)]
struct Present {
    /// One that begins with `x-envoy-`.
    envoy: bool,
    forwarded_client_cert: bool,
    forwarded_for: bool,
    forwarded_proto: bool,
}

impl Present {
    fn among(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for name in headers.keys() {
            match name.as_str().strip_prefix("x-") {
                None => {}
                Some("forwarded-client-cert") => present.forwarded_client_cert = true,
                Some("forwarded-for") => present.forwarded_for = true,
                Some("forwarded-proto") => present.forwarded_proto = true,
                Some(rest) => present.envoy |= rest.starts_with("envoy-"),
            }
        }
        present
    }
}

fn client_address(
    headers: &mut HeaderMap,
    connection: &ConnectionInfo,
    manager: &ConnectionManager,
    present: Present,
) -> Origin {
    let hops = manager.xff_num_trusted_hops as usize;
    let (remote, single) = if manager.use_remote_address {
        let single = !present.forwarded_for;
        let remote = match hops.checked_sub(1) {
            Some(skip) => last_forwarded(headers, skip).map_or(connection.remote, with_port_zero),
            None => connection.remote,
        };
        if !manager.skip_xff_append {
            append_forwarded_for(headers, connection.remote.ip());
        }
        (remote, single)
    } else if !present.forwarded_for {
        (connection.remote, true)
    } else {
        match last_forwarded(headers, hops) {
            Some(address) => (with_port_zero(address), forwarded_count(headers) == 1),
            None => (connection.remote, false),
        }
    };
    let internal = single && is_internal(manager, remote.ip());
    Origin { remote, internal, edge: manager.use_remote_address && !internal }
}

fn is_internal(manager: &ConnectionManager, address: IpAddr) -> bool {
    manager.internal_addresses.ranges.iter().any(|range| range.contains(address))
}

fn with_port_zero(address: IpAddr) -> SocketAddr {
    SocketAddr::new(address, 0)
}

/// The address `skip` places from the end of `x-forwarded-for`; `None` when the list is too short or
/// what stands there is no address.
fn last_forwarded(headers: &HeaderMap, skip: usize) -> Option<IpAddr> {
    let lines: Vec<_> = headers.get_all(names::X_FORWARDED_FOR).iter().collect();
    let text = lines
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
        .nth(skip)?;
    let text = std::str::from_utf8(text).ok()?.trim();
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn forwarded_count(headers: &HeaderMap) -> usize {
    let lines = headers.get_all(names::X_FORWARDED_FOR).iter();
    lines.map(|line| line.as_bytes().split(|byte| *byte == b',').count()).sum()
}

fn append_forwarded_for(headers: &mut HeaderMap, address: IpAddr) {
    let mut list = Vec::new();
    for line in headers.get_all(names::X_FORWARDED_FOR) {
        list.extend_from_slice(line.as_bytes());
        list.push(b',');
    }
    list.extend_from_slice(address.to_canonical().to_string().as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(names::X_FORWARDED_FOR, value);
    }
}

/// An edge overwrites the protocol unless a trusted proxy in front said it; others fill it in.
fn forwarded_proto(
    headers: &mut HeaderMap,
    connection: &ConnectionInfo,
    manager: &ConnectionManager,
    present: Present,
) {
    let trusted = !manager.use_remote_address || manager.xff_num_trusted_hops > 0;
    if !trusted || !present.forwarded_proto {
        let scheme = if connection.tls.is_some() { "https" } else { "http" };
        headers.insert(names::X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    }
}

/// Removes what only the mesh may say.
fn remove_internal(
    headers: &mut HeaderMap,
    edge: bool,
    internal_only: &[http::HeaderName],
    present: Present,
) {
    const INTERNAL: [http::HeaderName; 14] = [
        names::X_ENVOY_RETRIABLE_STATUS_CODES,
        names::X_ENVOY_RETRIABLE_HEADER_NAMES,
        names::X_ENVOY_RETRY_ON,
        names::X_ENVOY_RETRY_GRPC_ON,
        names::X_ENVOY_MAX_RETRIES,
        names::X_ENVOY_UPSTREAM_ALT_STAT_NAME,
        names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
        names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
        names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
        names::X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
        names::X_ENVOY_FORCE_TRACE,
        names::X_ENVOY_IP_TAGS,
        names::X_ENVOY_ORIGINAL_URL,
        names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
    ];
    // The last four Envoy lets pass: they tell the mesh where a request goes and who sent it.
    const EDGE: [http::HeaderName; 7] = [
        names::X_ENVOY_DECORATOR_OPERATION,
        names::X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER,
        names::X_ENVOY_DOWNSTREAM_SERVICE_NODE,
        names::X_ENVOY_ATTEMPT_COUNT,
        names::X_ENVOY_ORIGINAL_DST_HOST,
        names::X_ENVOY_PEER_METADATA,
        names::X_ENVOY_PEER_METADATA_ID,
    ];
    if present.envoy {
        for name in &INTERNAL {
            headers.remove(name);
        }
        if edge {
            for name in &EDGE {
                headers.remove(name);
            }
        }
    }
    for name in internal_only {
        headers.remove(name);
    }
}

/// `x-forwarded-client-cert`, by `forward_client_cert_details`.
fn client_certificate(
    headers: &mut HeaderMap,
    connection: &ConnectionInfo,
    manager: &ConnectionManager,
    present: Present,
) {
    let rules = &manager.forward_client_cert;
    let tls = connection.tls.as_deref();
    let peer = tls.and_then(|tls| tls.peer.as_deref());
    match (rules.mode, peer) {
        (ForwardClientCertMode::AlwaysForwardOnly, _)
        | (ForwardClientCertMode::ForwardOnly, Some(_)) => {
            // It goes on as one line, as all lists of one element per hop.
            if headers.get_all(names::X_FORWARDED_CLIENT_CERT).iter().nth(1).is_some()
                && let Ok(value) = HeaderValue::from_bytes(&client_certificates(headers))
            {
                headers.insert(names::X_FORWARDED_CLIENT_CERT, value);
            }
        }
        (ForwardClientCertMode::AppendForward, Some(peer)) => {
            let element = xfcc::element(peer, tls.and_then(|tls| tls.local.as_deref()), rules);
            let mut value = client_certificates(headers);
            if !value.is_empty() {
                value.push(b',');
            }
            value.extend_from_slice(element.as_bytes());
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.insert(names::X_FORWARDED_CLIENT_CERT, value);
            }
        }
        (ForwardClientCertMode::SanitizeSet, Some(peer)) => {
            let element = xfcc::element(peer, tls.and_then(|tls| tls.local.as_deref()), rules);
            if let Ok(value) = HeaderValue::from_str(&element) {
                headers.insert(names::X_FORWARDED_CLIENT_CERT, value);
            }
        }
        (ForwardClientCertMode::Sanitize, _) | (_, None) if present.forwarded_client_cert => {
            headers.remove(names::X_FORWARDED_CLIENT_CERT);
        }
        (ForwardClientCertMode::Sanitize, _) | (_, None) => {}
    }
}

/// What was said of client certificates before, joined by commas.
fn client_certificates(headers: &HeaderMap) -> Vec<u8> {
    let lines = headers.get_all(names::X_FORWARDED_CLIENT_CERT).iter().map(HeaderValue::as_bytes);
    lines.collect::<Vec<_>>().join(&b',')
}
