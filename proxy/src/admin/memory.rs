//! `/memory`: what the kernel knows of our memory, in bytes.

use axum::body::Body;
use http::Response;
use serde_json::Value;
use serde_json::json;

use super::AdminState;
use super::pages::Query;
use super::reply;

/// Envoy's names, with the kernel's figures: `heap_size` is the private writable memory,
/// `total_physical_bytes` the resident set. Those of Envoy's allocator have no meaning here and are absent.
pub(super) fn serve(_: &AdminState, _: &Query<'_>) -> Response<Body> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    reply::json(&memory(&status))
}

fn memory(status: &str) -> Value {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim_start_matches(':').trim().split(' ').next()?.parse().ok()?;
        Some((kilobytes * 1024).to_string())
    };
    json!({
        "allocated": bytes("RssAnon").unwrap_or_default(),
        "heap_size": bytes("VmData").unwrap_or_default(),
        "total_physical_bytes": bytes("VmRSS").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn kilobytes_become_bytes() {
        let found = memory("Name:\tx\nVmRSS:\t   12 kB\nRssAnon:\t 7 kB\nVmData:\t 100 kB\n");
        assert_eq!(found["total_physical_bytes"], "12288");
        assert_eq!(found["heap_size"], "102400");
    }
}
