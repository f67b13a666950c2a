//! Retry policies.

use std::time::Duration;

use palanquin_proto::envoy::config::route::v3 as pb;
use palanquin_proto::envoy::config::route::v3::retry_policy::ResetHeaderFormat;

use super::Lowering;
use crate::ir::retry::ResetHeader;
use crate::ir::retry::RetryOn;
use crate::ir::retry::RetryPolicy;

/// Envoy's default for the first pause (`upstream.base_retry_backoff_ms`).
const BASE_INTERVAL: Duration = Duration::from_millis(25);
/// A base interval of less counts as this much.
const MIN_INTERVAL: Duration = Duration::from_millis(1);
/// The longest pause that an upstream may ask for.
const RESET_MAX_INTERVAL: Duration = Duration::from_mins(5);

impl Lowering<'_> {
    /// `route.v3.RetryPolicy`.
    pub(super) fn retry_policy(&mut self, policy: &pb::RetryPolicy) -> Option<RetryPolicy> {
        self.check_conditions(&policy.retry_on);
        let (base_interval, max_interval) = match &policy.retry_back_off {
            None => (BASE_INTERVAL, BASE_INTERVAL * 10),
            Some(back_off) => self.field("retry_back_off", |cx| cx.back_off(back_off))?,
        };
        let (reset_headers, reset_max_interval) = match &policy.rate_limited_retry_back_off {
            None => (Vec::new(), RESET_MAX_INTERVAL),
            Some(back_off) => self.field("rate_limited_retry_back_off", |cx| {
                if back_off.reset_headers.is_empty() {
                    cx.error_in("reset_headers", "must not be empty");
                }
                let headers = cx.list("reset_headers", &back_off.reset_headers, |cx, header| {
                    Some(ResetHeader {
                        name: cx.header_name("name", &header.name)?,
                        unix_timestamp: header.format() == ResetHeaderFormat::UnixTimestamp,
                    })
                });
                let max = cx.duration("max_interval", back_off.max_interval.as_ref());
                (headers, max.unwrap_or(RESET_MAX_INTERVAL))
            }),
        };
        let avoid_previous_hosts = self.host_predicates(&policy.retry_host_predicate);
        if policy.retry_priority.is_some() {
            self.warning_in("retry_priority", "retry priorities are not supported yet and ignored");
        }
        let codes =
            self.list("retriable_status_codes", &policy.retriable_status_codes, |cx, code| {
                u16::try_from(*code).map_err(|_| cx.error(format!("{code} is not a status"))).ok()
            });
        Some(RetryPolicy {
            on: RetryOn::parse(&policy.retry_on),
            num_retries: policy.num_retries.unwrap_or(1),
            per_try_timeout: self.timeout("per_try_timeout", policy.per_try_timeout.as_ref(), None),
            retriable_status_codes: codes,
            retriable_headers: self.list(
                "retriable_headers",
                &policy.retriable_headers,
                Self::header_matcher,
            ),
            retriable_request_headers: self.list(
                "retriable_request_headers",
                &policy.retriable_request_headers,
                Self::header_matcher,
            ),
            base_interval,
            max_interval,
            reset_headers,
            reset_max_interval,
            avoid_previous_hosts,
            host_selection_retry_max_attempts: u32::try_from(
                policy.host_selection_retry_max_attempts,
            )
            .map_or(1, |attempts| attempts.max(1)),
        })
    }

    /// Envoy leaves out names it does not know; we say so.
    fn check_conditions(&mut self, list: &str) {
        let unknown = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        for word in unknown {
            let known = RetryOn::NAMES.iter().map(|(name, _)| *name);
            // Istio lists statuses here too; Envoy reads `retriable_status_codes` instead.
            if known.clone().all(|name| name != word) {
                self.warning_in("retry_on", format!("{word:?} is not a condition and ignored"))
                    .did_you_mean(word, known);
            }
        }
    }

    fn back_off(
        &mut self,
        back_off: &pb::retry_policy::RetryBackOff,
    ) -> Option<(Duration, Duration)> {
        let Some(base) = self.duration("base_interval", back_off.base_interval.as_ref()) else {
            if back_off.base_interval.is_none() {
                self.error_in("base_interval", "is necessary");
            }
            return None;
        };
        if base.is_zero() {
            self.error_in("base_interval", "must be greater than 0s");
            return None;
        }
        let max = self.duration("max_interval", back_off.max_interval.as_ref());
        if max.is_some_and(|max| max < base) {
            self.error_in("max_interval", "must be greater than or equal to base_interval");
            return None;
        }
        let base = base.max(MIN_INTERVAL);
        Some((base, max.map_or(base * 10, |max| max.max(MIN_INTERVAL))))
    }

    /// Whether endpoints tried before are avoided.
    fn host_predicates(&mut self, predicates: &[pb::retry_policy::RetryHostPredicate]) -> bool {
        use pb::retry_policy::retry_host_predicate::ConfigType;
        let known = self.list("retry_host_predicate", predicates, |cx, predicate| {
            let type_name = match &predicate.config_type {
                Some(ConfigType::TypedConfig(any)) => {
                    let any = cx.open(any)?;
                    cx.type_name(&any).to_owned()
                }
                // Old configurations name the predicate only.
                None => predicate.name.clone(),
            };
            if type_name.contains("previous_hosts") {
                return Some(());
            }
            if type_name.contains("omit_canary_hosts") || type_name.contains("omit_host_metadata") {
                cx.warning(format!("{type_name} is not supported yet and ignored"));
            } else {
                cx.error(format!("unknown retry host predicate {type_name:?}"));
            }
            None
        });
        !known.is_empty()
    }
}
