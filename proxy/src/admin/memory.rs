//! `/memory`: what the kernel knows of our memory, in bytes.

use axum::body::Body;
use http::Response;
use serde_json::json;

use super::AdminState;
use super::pages::Query;
use super::reply;

/// Envoy's names, with the kernel's figures: `heap_size` is the private writable memory,
/// `total_physical_bytes` the resident set. Those of Envoy's allocator have no meaning here and are absent.
pub(super) fn serve(_: &AdminState, _: &Query<'_>) -> Response<Body> {
    let Memory { allocated, heap_size, physical_size } = read();
    let text = |bytes: Option<u64>| bytes.map_or_else(String::new, |bytes| bytes.to_string());
    reply::json(&json!({
        "allocated": text(allocated),
        "heap_size": text(heap_size),
        "total_physical_bytes": text(physical_size),
    }))
}

/// Sizes in bytes; `None` where the kernel does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) allocated: Option<u64>,
    pub(super) heap_size: Option<u64>,
    pub(super) physical_size: Option<u64>,
}

/// Asks the kernel.
pub(super) fn read() -> Memory {
    parse(&std::fs::read_to_string("/proc/self/status").unwrap_or_default())
}

fn parse(status: &str) -> Memory {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim_start_matches(':').trim().split(' ').next()?.parse().ok()?;
        Some(kilobytes * 1024)
    };
    Memory {
        allocated: bytes("RssAnon"),
        heap_size: bytes("VmData"),
        physical_size: bytes("VmRSS"),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn kilobytes_become_bytes() {
        let found = parse("Name:\tx\nVmRSS:\t   12 kB\nRssAnon:\t 7 kB\nVmData:\t 100 kB\n");
        assert_eq!(found.physical_size, Some(12288));
        assert_eq!(found.heap_size, Some(102_400));
        assert_eq!(parse("").allocated, None);
    }
}
