//! `/listeners`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use http::Response;
use http::StatusCode;
use palanquin_config::ir::endpoint::Address;
use serde_json::Value;
use serde_json::json;

use super::pages::Query;
use super::{AdminState, clusters, reply};

/// An active listener.
#[derive(Debug, Clone)]
pub struct ListenerStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The address it really listens on: a port of 0 is resolved.
    pub address: Address,
}

pub(super) fn serve(state: &AdminState, query: &Query<'_>) -> Response<Body> {
    let listeners = state.facts.listeners();
    match query.get("format").as_deref() {
        None | Some("text") => {
            let mut out = String::new();
            for ListenerStatus { name, address } in listeners {
                let _ = writeln!(out, "{name}::{address}");
            }
            reply::text(StatusCode::OK, out)
        }
        Some("json") => {
            let all: Vec<Value> = listeners
                .iter()
                .map(|status| {
                    let address = clusters::address(&status.address);
                    json!({ "name": &*status.name, "local_address": address })
                })
                .collect();
            reply::json(&json!({ "listener_statuses": all }))
        }
        Some(_) => reply::text(StatusCode::BAD_REQUEST, "usage: /listeners?format=(text|json)\n"),
    }
}
