//! The headers that the proxy itself gives every response. Follows Envoy's `mutateResponseHeaders`.

use std::cell::RefCell;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderValue;
use http::Response;
use http::header;
use palanquin_config::ir::http::ServerHeader;
use palanquin_filter_api::Body;
use palanquin_filter_api::stats::http as stat;

use super::request_id::X_REQUEST_ID;
use super::stream::Stream;

/// `date`, `server`, `via`, `x-request-id`, and `connection: close` when the connection is to end.
pub(crate) fn finish(response: &mut Response<Body>, stream: &mut Stream) {
    let manager = &stream.connection.manager;
    let upstream = stream.cx.info.timing.upstream_response.is_some();
    let headers = response.headers_mut();
    if !headers.contains_key(header::DATE) {
        headers.insert(header::DATE, date());
    }
    match manager.server_header {
        ServerHeader::Overwrite => {
            headers.insert(header::SERVER, manager.server_name.clone());
        }
        ServerHeader::AppendIfAbsent => {
            headers.entry(header::SERVER).or_insert_with(|| manager.server_name.clone());
        }
        ServerHeader::PassThrough if !upstream => {}
        ServerHeader::PassThrough => {}
    }
    if let Some(via) = &manager.via {
        headers.append(header::VIA, via.clone());
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

/// The date in HTTP's form, made once a second and worker.
fn date() -> HeaderValue {
    thread_local! {
        static DATE: RefCell<(u64, HeaderValue)> =
            const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    DATE.with_borrow_mut(|(made, value)| {
        if *made != now {
            *made = now;
            *value = HeaderValue::from_str(&imf_fixdate(now))
                .expect("an IMF-fixdate has no control characters");
        }
        value.clone()
    })
}

/// RFC 9110 §5.6.7.
fn imf_fixdate(seconds: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil-from-days, for days since 0000-03-01.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        WEEKDAYS[(days % 7) as usize],
        MONTHS[month as usize],
        time / 3600,
        time / 60 % 60,
        time % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        assert_eq!(imf_fixdate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(imf_fixdate(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(imf_fixdate(1_709_164_800), "Thu, 29 Feb 2024 00:00:00 GMT");
        assert_eq!(imf_fixdate(1_735_689_599), "Tue, 31 Dec 2024 23:59:59 GMT");
    }
}
