//! `/server_info`.

use axum::body::Body;
use http::Response;
use serde_json::json;

use super::AdminState;
use super::pages::Query;
use super::reply;

pub(super) fn serve(state: &AdminState, _: &Query<'_>) -> Response<Body> {
    let uptime = format!("{}s", state.started.elapsed().as_secs());
    reply::json(&json!({
        "version": state.version,
        "state": state.health.state().name(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": state.options,
        "node": state.node,
    }))
}
