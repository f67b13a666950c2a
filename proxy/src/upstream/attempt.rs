//! The attempts of one request: limits, conditions and pauses. No I/O but the timer of one attempt.
//!
//! Follows Envoy's `RetryStateImpl` and `FilterUtility::finalTimeout`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Request;
use http::StatusCode;
use palanquin_config::ir::matcher::RequestView;
use palanquin_config::ir::retry::RetryOn;
use palanquin_config::ir::retry::RetryPolicy;
use palanquin_config::ir::route::ForwardAction;
use palanquin_filter_api::Body;
use tokio::time::Sleep;

use super::SendFailure;
use super::breaker::Permit;
use crate::http::names;
use crate::http::stream::grpc_status;
use crate::worker::Rng;

/// Envoy's first pause, when a request asks for retries and the route has no policy.
const DEFAULT_BASE: Duration = Duration::from_millis(25);

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stands.
    Done,
    /// It would be tried again, but no attempt is left.
    Exhausted,
    /// Try again after a pause.
    RetryAfter(Duration),
}

/// The state of a request's attempts.
#[derive(Debug)]
pub(crate) struct Attempts {
    on: RetryOn,
    remaining: u32,
    policy: Option<Arc<RetryPolicy>>,
    status_codes: Vec<u16>,
    header_names: Vec<HeaderName>,
    interval: Duration,
    max_interval: Duration,
    timeout: Option<Duration>,
    alt_response: bool,
    deadline: Option<Instant>,
    per_try: Option<Duration>,
    per_try_sleep: Option<Pin<Box<Sleep>>>,
    count: u32,
    permit: Option<Permit>,
}

impl Attempts {
    /// Reads the route's policy and what the request's own `x-envoy-*` headers change of it; these headers
    /// are removed. (They were removed before if the peer is not trusted with them.)
    pub(crate) fn new(action: &ForwardAction, request: &mut Request<Body>, grpc: bool) -> Self {
        let policy = action.retry.clone();
        let mut attempts = Self {
            on: policy.as_ref().map_or_else(RetryOn::default, |policy| policy.on),
            remaining: policy.as_ref().map_or(1, |policy| policy.num_retries),
            status_codes: policy
                .as_ref()
                .map_or(Vec::new(), |policy| policy.retriable_status_codes.clone()),
            header_names: Vec::new(),
            interval: policy.as_ref().map_or(DEFAULT_BASE, |policy| policy.base_interval),
            max_interval: policy.as_ref().map_or(DEFAULT_BASE * 10, |policy| policy.max_interval),
            timeout: action.timeout,
            alt_response: false,
            deadline: None,
            per_try: policy.as_ref().and_then(|policy| policy.per_try_timeout),
            per_try_sleep: None,
            count: 0,
            permit: None,
            policy,
        };
        if grpc && let Some(max) = action.max_grpc_timeout {
            attempts.limit_by_grpc_timeout(request.headers(), max, action.grpc_timeout_offset);
        }
        if request.headers().keys().any(|name| name.as_str().starts_with("x-envoy-")) {
            attempts.read_headers(request.headers_mut());
        }
        // A limit per try that is not below the whole limit says nothing.
        if let (Some(per_try), Some(timeout)) = (attempts.per_try, attempts.timeout)
            && per_try >= timeout
        {
            attempts.per_try = None;
        }
        if let Some(policy) = &attempts.policy
            && !policy.retriable_request_headers.is_empty()
        {
            let view = view(request);
            if !policy.retriable_request_headers.iter().any(|matcher| matcher.matches(&view)) {
                attempts.on = RetryOn::default();
            }
        }
        attempts
    }

    fn read_headers(&mut self, headers: &mut HeaderMap) {
        if let Some(ms) = take_number(headers, &names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS) {
            self.timeout = (ms > 0).then(|| Duration::from_millis(ms));
        }
        if let Some(ms) = take_number(headers, &names::X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS) {
            self.per_try = (ms > 0).then(|| Duration::from_millis(ms));
        }
        for name in [names::X_ENVOY_RETRY_ON, names::X_ENVOY_RETRY_GRPC_ON] {
            if let Some(value) = headers.remove(name)
                && let Ok(list) = value.to_str()
            {
                self.on = self.on.with(RetryOn::parse(list));
            }
        }
        if let Some(retries) = take_number(headers, &names::X_ENVOY_MAX_RETRIES) {
            self.remaining = u32::try_from(retries).unwrap_or(u32::MAX);
        }
        if let Some(value) = headers.remove(names::X_ENVOY_RETRIABLE_STATUS_CODES)
            && let Ok(list) = value.to_str()
        {
            self.status_codes
                .extend(list.split(',').filter_map(|code| code.trim().parse::<u16>().ok()));
        }
        if let Some(value) = headers.remove(names::X_ENVOY_RETRIABLE_HEADER_NAMES)
            && let Ok(list) = value.to_str()
        {
            self.header_names.extend(list.split(',').filter_map(|name| name.trim().parse().ok()));
        }
        headers.remove(names::X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT);
        let alt = headers.remove(names::X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE);
        self.alt_response = alt.is_some();
    }

    /// `grpc-timeout` is the limit, at most `max` (zero: any) and less `offset`.
    fn limit_by_grpc_timeout(
        &mut self,
        headers: &HeaderMap,
        max: Duration,
        offset: Option<Duration>,
    ) {
        let mut limit = grpc_timeout(headers).unwrap_or(Duration::ZERO);
        if let Some(offset) = offset
            && limit > offset
        {
            limit -= offset;
        }
        if !max.is_zero() && (limit > max || limit.is_zero()) {
            limit = max;
        }
        self.timeout = (!limit.is_zero()).then_some(limit);
    }

    /// Whether a timeout is answered with 204 rather than 504.
    pub(crate) fn wants_alt_response(&self) -> bool {
        self.alt_response
    }

    /// How many attempts were begun.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Whether more than one attempt may be made, so that the request must be kept.
    pub(crate) fn may_retry(&self) -> bool {
        !self.on.is_empty() && (self.remaining > 0 || self.count > 0)
    }

    /// What `x-envoy-expected-rq-timeout-ms` tells the upstream.
    pub(crate) fn expected_timeout(&self) -> Option<Duration> {
        self.per_try.or(self.timeout)
    }

    /// Whether an endpoint that failed is avoided.
    pub(crate) fn avoids_previous_hosts(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.avoid_previous_hosts)
    }

    /// How often a pick is repeated to do so.
    pub(crate) fn re_picks(&self) -> u32 {
        self.policy.as_ref().map_or(1, |policy| policy.host_selection_retry_max_attempts)
    }

    /// When the response must be complete; set by the first call, which says when the request was.
    pub(crate) fn deadline(&mut self, request_complete: Instant) -> Option<Instant> {
        if self.deadline.is_none() {
            self.deadline = self.timeout.map(|timeout| request_complete + timeout);
        }
        self.deadline
    }

    /// A new attempt begins. The permit of the previous retry is given back.
    pub(crate) fn begin(&mut self) {
        self.count += 1;
        self.per_try_sleep = None;
    }

    /// Keeps the permit of a retry until the request is over.
    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Ready when this attempt has taken too long.
    pub(crate) fn poll_per_try(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.per_try else { return Poll::Pending };
        self.per_try_sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)))
            .as_mut()
            .poll(cx)
    }

    /// What follows a response.
    pub(crate) fn judge_response(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        rng: &Rng,
    ) -> Verdict {
        if self.on.is_empty() || !self.retries_response(status, headers) {
            return Verdict::Done;
        }
        match (self.next(rng), self.asked_pause(headers, SystemTime::now())) {
            (Verdict::RetryAfter(_), Some(pause)) => Verdict::RetryAfter(pause),
            (verdict, _) => verdict,
        }
    }

    /// What follows an attempt without a response.
    pub(crate) fn judge_failure(&mut self, failure: &SendFailure, rng: &Rng) -> Verdict {
        if failure.is_retried_on(self.on) { self.next(rng) } else { Verdict::Done }
    }

    /// What follows an attempt that took too long: to Envoy a reset of our own.
    pub(crate) fn judge_timeout(&mut self, rng: &Rng) -> Verdict {
        let retried = [RetryOn::FIVE_XX, RetryOn::GATEWAY_ERROR, RetryOn::RESET];
        if retried.iter().any(|on| self.on.contains(*on)) { self.next(rng) } else { Verdict::Done }
    }

    fn retries_response(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let on = |condition| self.on.contains(condition);
        if headers.contains_key(names::X_ENVOY_RATELIMITED) {
            return on(RetryOn::ENVOY_RATELIMITED);
        }
        let code = status.as_u16();
        on(RetryOn::FIVE_XX) && code >= 500
            || on(RetryOn::GATEWAY_ERROR) && (502..=504).contains(&code)
            || on(RetryOn::RETRIABLE_4XX) && code == 409
            || on(RetryOn::RETRIABLE_STATUS_CODES) && self.status_codes.contains(&code)
            || on(RetryOn::RETRIABLE_HEADERS) && self.has_retriable_header(headers)
            || grpc_status(headers).is_some_and(|status| {
                let condition = match status {
                    1 => RetryOn::GRPC_CANCELLED,
                    4 => RetryOn::GRPC_DEADLINE_EXCEEDED,
                    8 => RetryOn::GRPC_RESOURCE_EXHAUSTED,
                    13 => RetryOn::GRPC_INTERNAL,
                    14 => RetryOn::GRPC_UNAVAILABLE,
                    _ => return false,
                };
                on(condition)
            })
    }

    /// When the upstream said to come back (`rate_limited_retry_back_off`): the first header that tells a
    /// time no further away than `max_interval`.
    fn asked_pause(&self, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
        let policy = self.policy.as_ref()?;
        policy.reset_headers.iter().find_map(|header| {
            let number: u64 = headers.get(&header.name)?.to_str().ok()?.trim().parse().ok()?;
            let pause = if header.unix_timestamp {
                let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
                Duration::from_secs(number).checked_sub(now)?
            } else {
                Duration::from_secs(number)
            };
            (!pause.is_zero() && pause <= policy.reset_max_interval).then_some(pause)
        })
    }

    fn has_retriable_header(&self, headers: &HeaderMap) -> bool {
        let view =
            RequestView { method: "", scheme: "", authority: "", path_and_query: "", headers };
        self.header_names.iter().any(|name| headers.contains_key(name))
            || self.policy.as_ref().is_some_and(|policy| {
                policy.retriable_headers.iter().any(|matcher| matcher.matches(&view))
            })
    }

    /// Takes one of the attempts left: a random pause below an interval that doubles.
    fn next(&mut self, rng: &Rng) -> Verdict {
        if self.remaining == 0 {
            return Verdict::Exhausted;
        }
        self.remaining -= 1;
        let micros = u64::try_from(self.interval.as_micros()).unwrap_or(u64::MAX);
        self.interval = (self.interval * 2).min(self.max_interval);
        Verdict::RetryAfter(Duration::from_micros(rng.below(micros)))
    }
}

/// The parts of a request that retry conditions look at.
fn view(request: &Request<Body>) -> RequestView<'_> {
    crate::http::route::view(request, "")
}

fn take_number(headers: &mut HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.remove(name).as_ref().map(HeaderValue::to_str)?.ok()?.parse().ok()
}

/// `grpc-timeout`: at most 8 digits and a unit (gRPC over HTTP/2).
pub(crate) fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    parse_grpc_timeout(headers.get(names::GRPC_TIMEOUT)?.as_bytes())
}

/// Writes `limit` as `grpc-timeout`, as exactly as eight digits allow.
pub(crate) fn set_grpc_timeout(headers: &mut HeaderMap, limit: Duration) {
    const MOST: u128 = 99_999_999;
    let ms = limit.as_millis();
    let text = match ms {
        0..=MOST => format!("{ms}m"),
        _ if ms / 1000 <= MOST => format!("{}S", ms / 1000),
        _ if ms / 60_000 <= MOST => format!("{}M", ms / 60_000),
        _ => format!("{}H", (ms / 3_600_000).min(MOST)),
    };
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert(names::GRPC_TIMEOUT, value);
    }
}

fn parse_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use palanquin_config::ir::retry::ResetHeader;

    use super::*;

    fn attempts(on: &str, retries: u32) -> Attempts {
        Attempts {
            on: RetryOn::parse(on),
            remaining: retries,
            policy: None,
            status_codes: vec![418],
            header_names: Vec::new(),
            interval: DEFAULT_BASE,
            max_interval: DEFAULT_BASE * 10,
            timeout: None,
            alt_response: false,
            deadline: None,
            per_try: None,
            per_try_sleep: None,
            count: 0,
            permit: None,
        }
    }

    fn judge(on: &str, status: u16) -> bool {
        let verdict = attempts(on, 1).judge_response(
            StatusCode::from_u16(status).unwrap(),
            &HeaderMap::new(),
            &Rng::seeded(1),
        );
        matches!(verdict, Verdict::RetryAfter(_))
    }

    #[test]
    fn responses_are_retried_by_condition() {
        assert!(judge("5xx", 500));
        assert!(!judge("5xx", 409));
        assert!(judge("gateway-error", 503));
        assert!(!judge("gateway-error", 500));
        assert!(judge("retriable-4xx", 409));
        assert!(judge("retriable-status-codes", 418));
        assert!(!judge("connect-failure", 503));
    }

    #[test]
    fn a_rate_limited_response_is_retried_only_when_asked_for() {
        let mut headers = HeaderMap::new();
        headers.insert("x-envoy-ratelimited", HeaderValue::from_static("true"));
        let judge = |on| {
            attempts(on, 1).judge_response(
                StatusCode::SERVICE_UNAVAILABLE,
                &headers,
                &Rng::seeded(1),
            )
        };
        assert_eq!(judge("5xx"), Verdict::Done);
        assert!(matches!(judge("5xx,envoy-ratelimited"), Verdict::RetryAfter(_)));
    }

    #[test]
    fn an_upstream_may_say_when_to_come_back() {
        let named = |name, unix_timestamp| ResetHeader { name, unix_timestamp };
        let mut attempts = attempts("5xx", 1);
        attempts.policy = Some(Arc::new(RetryPolicy {
            on: attempts.on,
            num_retries: 1,
            per_try_timeout: None,
            retriable_status_codes: Vec::new(),
            retriable_headers: Vec::new(),
            retriable_request_headers: Vec::new(),
            base_interval: DEFAULT_BASE,
            max_interval: DEFAULT_BASE,
            reset_headers: vec![
                named(http::header::RETRY_AFTER, false),
                named(HeaderName::from_static("x-ratelimit-reset"), true),
            ],
            reset_max_interval: Duration::from_mins(1),
            avoid_previous_hosts: false,
            host_selection_retry_max_attempts: 1,
        }));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let pause = |name: &'static str, value: &'static str| {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
            attempts.asked_pause(&headers, now)
        };
        assert_eq!(pause("retry-after", "5"), Some(Duration::from_secs(5)));
        assert_eq!(pause("retry-after", "61"), None);
        assert_eq!(pause("retry-after", "soon"), None);
        assert_eq!(pause("x-ratelimit-reset", "1007"), Some(Duration::from_secs(7)));
        assert_eq!(pause("x-ratelimit-reset", "999"), None);
    }

    #[test]
    fn attempts_run_out_and_pauses_stay_below_a_doubling_bound() {
        let mut attempts = attempts("5xx", 6);
        let rng = Rng::seeded(3);
        let mut bound = DEFAULT_BASE;
        for _ in 0..6 {
            let verdict = attempts.next(&rng);
            assert!(matches!(verdict, Verdict::RetryAfter(pause) if pause < bound), "{verdict:?}");
            bound = (bound * 2).min(DEFAULT_BASE * 10);
        }
        assert_eq!(attempts.next(&rng), Verdict::Exhausted);
    }

    #[test]
    fn grpc_timeouts_are_read_with_their_unit() {
        assert_eq!(parse_grpc_timeout(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse_grpc_timeout(b"2H"), Some(Duration::from_hours(2)));
        assert_eq!(parse_grpc_timeout(b"123456789S"), None);
        assert_eq!(parse_grpc_timeout(b"5"), None);
        assert_eq!(parse_grpc_timeout(b""), None);
    }

    #[test]
    fn grpc_timeouts_are_written_in_the_finest_unit_that_fits() {
        for (seconds, want) in [(0, "0m"), (99_999, "99999000m"), (100_000, "100000S")] {
            let mut headers = HeaderMap::new();
            set_grpc_timeout(&mut headers, Duration::from_secs(seconds));
            assert_eq!(headers["grpc-timeout"], want);
        }
    }
}
