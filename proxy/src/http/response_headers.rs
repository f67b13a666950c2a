//! The headers that the proxy itself gives every response. Follows Envoy's `mutateResponseHeaders`.

use std::cell::RefCell;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderValue;
use http::Response;
use http::header;
use palanquin_config::ir::format::TimeFormat;
use palanquin_config::ir::http::ServerHeader;
use palanquin_filter_api::Body;
use palanquin_filter_api::stats::http as stat;

use super::names;
use super::request_id::X_REQUEST_ID;
use super::stream::Stream;

/// `date`, `server`, `via`, `x-request-id`, and `connection: close` when the connection is to end.
pub(crate) fn finish(response: &mut Response<Body>, stream: &mut Stream) {
    let manager = &stream.connection.manager;
    let headers = response.headers_mut();
    if !headers.contains_key(header::DATE) {
        headers.insert(header::DATE, date(stream.time_of_response()));
    }
    match manager.server_header {
        ServerHeader::Overwrite => {
            headers.insert(header::SERVER, manager.server_name.clone());
        }
        ServerHeader::AppendIfAbsent => {
            headers.entry(header::SERVER).or_insert_with(|| manager.server_name.clone());
        }
        ServerHeader::PassThrough => {}
    }
    if let Some(via) = &manager.via {
        names::append(headers, header::VIA, via, b", ");
    }
    if manager.always_set_request_id_in_response
        && let Some(id) = &stream.cx.info.request_id
    {
        headers.insert(X_REQUEST_ID, id.clone());
    }
    if stream.connection.drain.is_announced() {
        manager.stats.inc(stat::DOWNSTREAM_CX_DRAIN_CLOSE);
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// The date in HTTP's form (RFC 9110 §5.6.7), made once a second and worker.
fn date(now: SystemTime) -> HeaderValue {
    struct Made {
        second: u64,
        value: HeaderValue,
        format: TimeFormat,
    }
    thread_local! {
        static DATE: RefCell<Made> = RefCell::new(Made {
            second: 0,
            value: HeaderValue::from_static(""),
            format: TimeFormat::compile("%a, %d %b %Y %H:%M:%S GMT"),
        });
    }
    let second = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    DATE.with_borrow_mut(|made| {
        if made.second != second {
            made.second = second;
            let mut text = Vec::new();
            made.format.write(now, &mut text);
            made.value = HeaderValue::from_bytes(&text).expect("a date has no control characters");
        }
        made.value.clone()
    })
}
