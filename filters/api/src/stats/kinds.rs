//! The names of every statistic, by kind of thing. Envoy's names, in one file.

/// A counter's place in its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter(pub(super) u16);

/// A gauge's place in its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge(pub(super) u16);

/// A histogram's place in its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistogramId(pub(super) u16);

/// What one kind of thing counts.
#[derive(Debug)]
pub struct Kind {
    /// The word before the metric name in Prometheus: `envoy_<family>_<name>`.
    pub family: &'static str,
    /// Names of counters, by [`Counter`].
    pub counters: &'static [&'static str],
    /// Names of gauges, by [`Gauge`].
    pub gauges: &'static [&'static str],
    /// Names of histograms, by [`HistogramId`].
    pub histograms: &'static [&'static str],
    /// The prefix of per-status counters, `<prefix>_200` and `<prefix>_2xx`, if the kind has them.
    pub codes: &'static [&'static str],
}

macro_rules! kind {
    (
        $(#[$doc:meta])* $module:ident = $family:literal;
        counters { $($counter:ident = $counter_name:literal,)* }
        gauges { $($gauge:ident = $gauge_name:literal,)* }
        histograms { $($histogram:ident = $histogram_name:literal,)* }
        codes { $($code:literal),* }
    ) => {
        $(#[$doc])*
        pub mod $module {
            #[allow(
                dead_code,
                non_camel_case_types,
                clippy::upper_case_acronyms,
                reason = "only counts positions; some kinds have none of one sort"
            )]
            mod position {
                pub(super) enum Counters { $($counter,)* }
                pub(super) enum Gauges { $($gauge,)* }
                pub(super) enum Histograms { $($histogram,)* }
            }

            $(#[doc = concat!("`", $counter_name, "`")]
            pub const $counter: super::Counter = super::Counter(position::Counters::$counter as u16);)*
            $(#[doc = concat!("`", $gauge_name, "`")]
            pub const $gauge: super::Gauge = super::Gauge(position::Gauges::$gauge as u16);)*
            $(#[doc = concat!("`", $histogram_name, "`")]
            pub const $histogram: super::HistogramId = super::HistogramId(position::Histograms::$histogram as u16);)*

            /// The names of this kind.
            pub static KIND: super::Kind = super::Kind {
                family: $family,
                counters: &[$($counter_name,)*],
                gauges: &[$($gauge_name,)*],
                histograms: &[$($histogram_name,)*],
                codes: &[$($code),*],
            };
        }
    };
}

kind! {
    /// `cluster.<name>.*`
    cluster = "cluster";
    counters {
        ASSIGNMENT_STALE = "assignment_stale",
        ASSIGNMENT_TIMEOUT_RECEIVED = "assignment_timeout_received",
        BIND_ERRORS = "bind_errors",
        CLIENT_SSL_DOWNSTREAM_CONTEXT_SECRETS_NOT_READY = "client_ssl_socket_factory.downstream_context_secrets_not_ready",
        CLIENT_SSL_CONTEXT_UPDATE_BY_SDS = "client_ssl_socket_factory.ssl_context_update_by_sds",
        CLIENT_SSL_UPSTREAM_CONTEXT_SECRETS_NOT_READY = "client_ssl_socket_factory.upstream_context_secrets_not_ready",
        LB_HEALTHY_PANIC = "lb_healthy_panic",
        LB_SUBSETS_FALLBACK = "lb_subsets_fallback",
        LB_SUBSETS_SELECTED = "lb_subsets_selected",
        MEMBERSHIP_CHANGE = "membership_change",
        ORIGINAL_DST_HOST_INVALID = "original_dst_host_invalid",
        RETRY_OR_SHADOW_ABANDONED = "retry_or_shadow_abandoned",
        SSL_CONNECTION_ERROR = "ssl.connection_error",
        SSL_FAIL_VERIFY_CERT_HASH = "ssl.fail_verify_cert_hash",
        SSL_FAIL_VERIFY_ERROR = "ssl.fail_verify_error",
        SSL_FAIL_VERIFY_NO_CERT = "ssl.fail_verify_no_cert",
        SSL_FAIL_VERIFY_SAN = "ssl.fail_verify_san",
        SSL_HANDSHAKE = "ssl.handshake",
        SSL_NO_CERTIFICATE = "ssl.no_certificate",
        SSL_OCSP_STAPLE_FAILED = "ssl.ocsp_staple_failed",
        SSL_OCSP_STAPLE_OMITTED = "ssl.ocsp_staple_omitted",
        SSL_OCSP_STAPLE_REQUESTS = "ssl.ocsp_staple_requests",
        SSL_OCSP_STAPLE_RESPONSES = "ssl.ocsp_staple_responses",
        SSL_SESSION_REUSED = "ssl.session_reused",
        SSL_WAS_KEY_USAGE_INVALID = "ssl.was_key_usage_invalid",
        UPDATE_ATTEMPT = "update_attempt",
        UPDATE_EMPTY = "update_empty",
        UPDATE_FAILURE = "update_failure",
        UPDATE_NO_REBUILD = "update_no_rebuild",
        UPDATE_REJECTED = "update_rejected",
        UPDATE_SUCCESS = "update_success",
        UPSTREAM_CX_CLOSE_NOTIFY = "upstream_cx_close_notify",
        UPSTREAM_CX_CONNECT_FAIL = "upstream_cx_connect_fail",
        UPSTREAM_CX_CONNECT_TIMEOUT = "upstream_cx_connect_timeout",
        UPSTREAM_CX_DESTROY = "upstream_cx_destroy",
        UPSTREAM_CX_DESTROY_LOCAL = "upstream_cx_destroy_local",
        UPSTREAM_CX_DESTROY_LOCAL_WITH_ACTIVE_RQ = "upstream_cx_destroy_local_with_active_rq",
        UPSTREAM_CX_DESTROY_REMOTE = "upstream_cx_destroy_remote",
        UPSTREAM_CX_DESTROY_REMOTE_WITH_ACTIVE_RQ = "upstream_cx_destroy_remote_with_active_rq",
        UPSTREAM_CX_DESTROY_WITH_ACTIVE_RQ = "upstream_cx_destroy_with_active_rq",
        UPSTREAM_CX_HTTP1_TOTAL = "upstream_cx_http1_total",
        UPSTREAM_CX_HTTP2_TOTAL = "upstream_cx_http2_total",
        UPSTREAM_CX_HTTP3_TOTAL = "upstream_cx_http3_total",
        UPSTREAM_CX_IDLE_TIMEOUT = "upstream_cx_idle_timeout",
        UPSTREAM_CX_MAX_REQUESTS = "upstream_cx_max_requests",
        UPSTREAM_CX_NONE_HEALTHY = "upstream_cx_none_healthy",
        UPSTREAM_CX_OVERFLOW = "upstream_cx_overflow",
        UPSTREAM_CX_PROTOCOL_ERROR = "upstream_cx_protocol_error",
        UPSTREAM_CX_RX_BYTES_TOTAL = "upstream_cx_rx_bytes_total",
        UPSTREAM_CX_TOTAL = "upstream_cx_total",
        UPSTREAM_CX_TX_BYTES_TOTAL = "upstream_cx_tx_bytes_total",
        UPSTREAM_RQ_ACTIVE_OVERFLOW = "upstream_rq_active_overflow",
        UPSTREAM_RQ_CANCELLED = "upstream_rq_cancelled",
        UPSTREAM_RQ_COMPLETED = "upstream_rq_completed",
        UPSTREAM_RQ_MAINTENANCE_MODE = "upstream_rq_maintenance_mode",
        UPSTREAM_RQ_MAX_DURATION_REACHED = "upstream_rq_max_duration_reached",
        UPSTREAM_RQ_PENDING_FAILURE_EJECT = "upstream_rq_pending_failure_eject",
        UPSTREAM_RQ_PENDING_OVERFLOW = "upstream_rq_pending_overflow",
        UPSTREAM_RQ_PENDING_TOTAL = "upstream_rq_pending_total",
        UPSTREAM_RQ_PER_TRY_TIMEOUT = "upstream_rq_per_try_timeout",
        UPSTREAM_RQ_RETRY = "upstream_rq_retry",
        UPSTREAM_RQ_RETRY_BACKOFF_EXPONENTIAL = "upstream_rq_retry_backoff_exponential",
        UPSTREAM_RQ_RETRY_BACKOFF_RATELIMITED = "upstream_rq_retry_backoff_ratelimited",
        UPSTREAM_RQ_RETRY_LIMIT_EXCEEDED = "upstream_rq_retry_limit_exceeded",
        UPSTREAM_RQ_RETRY_OVERFLOW = "upstream_rq_retry_overflow",
        UPSTREAM_RQ_RETRY_SUCCESS = "upstream_rq_retry_success",
        UPSTREAM_RQ_RX_RESET = "upstream_rq_rx_reset",
        UPSTREAM_RQ_TIMEOUT = "upstream_rq_timeout",
        UPSTREAM_RQ_TOTAL = "upstream_rq_total",
        UPSTREAM_RQ_TX_RESET = "upstream_rq_tx_reset",
    }
    gauges {
        CIRCUIT_BREAKERS_DEFAULT_CX_OPEN = "circuit_breakers.default.cx_open",
        CIRCUIT_BREAKERS_DEFAULT_RQ_OPEN = "circuit_breakers.default.rq_open",
        CIRCUIT_BREAKERS_DEFAULT_RQ_PENDING_OPEN = "circuit_breakers.default.rq_pending_open",
        CIRCUIT_BREAKERS_DEFAULT_RQ_RETRY_OPEN = "circuit_breakers.default.rq_retry_open",
        CIRCUIT_BREAKERS_HIGH_CX_OPEN = "circuit_breakers.high.cx_open",
        CIRCUIT_BREAKERS_HIGH_RQ_OPEN = "circuit_breakers.high.rq_open",
        CIRCUIT_BREAKERS_HIGH_RQ_PENDING_OPEN = "circuit_breakers.high.rq_pending_open",
        CIRCUIT_BREAKERS_HIGH_RQ_RETRY_OPEN = "circuit_breakers.high.rq_retry_open",
        MAX_HOST_WEIGHT = "max_host_weight",
        MEMBERSHIP_DEGRADED = "membership_degraded",
        MEMBERSHIP_EXCLUDED = "membership_excluded",
        MEMBERSHIP_HEALTHY = "membership_healthy",
        MEMBERSHIP_TOTAL = "membership_total",
        UPSTREAM_CX_ACTIVE = "upstream_cx_active",
        UPSTREAM_RQ_ACTIVE = "upstream_rq_active",
        UPSTREAM_RQ_PENDING_ACTIVE = "upstream_rq_pending_active",
        VERSION = "version",
        WARMING_STATE = "warming_state",
    }
    histograms {
        UPSTREAM_CX_CONNECT_MS = "upstream_cx_connect_ms",
        UPSTREAM_CX_LENGTH_MS = "upstream_cx_length_ms",
        UPSTREAM_RQ_PER_CX = "upstream_rq_per_cx",
        UPSTREAM_RQ_TIME = "upstream_rq_time",
    }
    codes { "upstream_rq", "external.upstream_rq", "internal.upstream_rq" }
}

kind! {
    /// `http.<stat_prefix>.*`, an HTTP connection manager.
    http = "http";
    counters {
        DOWNSTREAM_CX_DELAYED_CLOSE_TIMEOUT = "downstream_cx_delayed_close_timeout",
        DOWNSTREAM_CX_DESTROY = "downstream_cx_destroy",
        DOWNSTREAM_CX_DESTROY_ACTIVE_RQ = "downstream_cx_destroy_active_rq",
        DOWNSTREAM_CX_DESTROY_LOCAL = "downstream_cx_destroy_local",
        DOWNSTREAM_CX_DESTROY_LOCAL_ACTIVE_RQ = "downstream_cx_destroy_local_active_rq",
        DOWNSTREAM_CX_DESTROY_REMOTE = "downstream_cx_destroy_remote",
        DOWNSTREAM_CX_DESTROY_REMOTE_ACTIVE_RQ = "downstream_cx_destroy_remote_active_rq",
        DOWNSTREAM_CX_DRAIN_CLOSE = "downstream_cx_drain_close",
        DOWNSTREAM_CX_HTTP1_TOTAL = "downstream_cx_http1_total",
        DOWNSTREAM_CX_HTTP2_TOTAL = "downstream_cx_http2_total",
        DOWNSTREAM_CX_HTTP3_TOTAL = "downstream_cx_http3_total",
        DOWNSTREAM_CX_IDLE_TIMEOUT = "downstream_cx_idle_timeout",
        DOWNSTREAM_CX_MAX_DURATION_REACHED = "downstream_cx_max_duration_reached",
        DOWNSTREAM_CX_MAX_REQUESTS_REACHED = "downstream_cx_max_requests_reached",
        DOWNSTREAM_CX_OVERLOAD_DISABLE_KEEPALIVE = "downstream_cx_overload_disable_keepalive",
        DOWNSTREAM_CX_PROTOCOL_ERROR = "downstream_cx_protocol_error",
        DOWNSTREAM_CX_RX_BYTES_TOTAL = "downstream_cx_rx_bytes_total",
        DOWNSTREAM_CX_SSL_TOTAL = "downstream_cx_ssl_total",
        DOWNSTREAM_CX_TOTAL = "downstream_cx_total",
        DOWNSTREAM_CX_TX_BYTES_TOTAL = "downstream_cx_tx_bytes_total",
        DOWNSTREAM_CX_UPGRADES_TOTAL = "downstream_cx_upgrades_total",
        DOWNSTREAM_RQ_1XX = "downstream_rq_1xx",
        DOWNSTREAM_RQ_2XX = "downstream_rq_2xx",
        DOWNSTREAM_RQ_3XX = "downstream_rq_3xx",
        DOWNSTREAM_RQ_4XX = "downstream_rq_4xx",
        DOWNSTREAM_RQ_5XX = "downstream_rq_5xx",
        DOWNSTREAM_RQ_COMPLETED = "downstream_rq_completed",
        DOWNSTREAM_RQ_HEADER_TIMEOUT = "downstream_rq_header_timeout",
        DOWNSTREAM_RQ_HTTP1_TOTAL = "downstream_rq_http1_total",
        DOWNSTREAM_RQ_HTTP2_TOTAL = "downstream_rq_http2_total",
        DOWNSTREAM_RQ_HTTP3_TOTAL = "downstream_rq_http3_total",
        DOWNSTREAM_RQ_IDLE_TIMEOUT = "downstream_rq_idle_timeout",
        DOWNSTREAM_RQ_MAX_DURATION_REACHED = "downstream_rq_max_duration_reached",
        DOWNSTREAM_RQ_NON_RELATIVE_PATH = "downstream_rq_non_relative_path",
        DOWNSTREAM_RQ_OVERLOAD_CLOSE = "downstream_rq_overload_close",
        DOWNSTREAM_RQ_REDIRECTED_WITH_NORMALIZED_PATH = "downstream_rq_redirected_with_normalized_path",
        DOWNSTREAM_RQ_REJECTED_VIA_IP_DETECTION = "downstream_rq_rejected_via_ip_detection",
        DOWNSTREAM_RQ_RESPONSE_BEFORE_RQ_COMPLETE = "downstream_rq_response_before_rq_complete",
        DOWNSTREAM_RQ_RX_RESET = "downstream_rq_rx_reset",
        DOWNSTREAM_RQ_TIMEOUT = "downstream_rq_timeout",
        DOWNSTREAM_RQ_TOO_LARGE = "downstream_rq_too_large",
        DOWNSTREAM_RQ_TOTAL = "downstream_rq_total",
        DOWNSTREAM_RQ_TX_RESET = "downstream_rq_tx_reset",
        DOWNSTREAM_RQ_WS_ON_NON_WS_ROUTE = "downstream_rq_ws_on_non_ws_route",
        NO_CLUSTER = "no_cluster",
        NO_ROUTE = "no_route",
        RQ_DIRECT_RESPONSE = "rq_direct_response",
        RQ_REDIRECT = "rq_redirect",
        RQ_RESET_AFTER_DOWNSTREAM_RESPONSE_STARTED = "rq_reset_after_downstream_response_started",
        RQ_RETRY_SKIPPED_REQUEST_NOT_COMPLETE = "rq_retry_skipped_request_not_complete",
        RQ_TOTAL = "rq_total",
        TRACING_CLIENT_ENABLED = "tracing.client_enabled",
        TRACING_HEALTH_CHECK = "tracing.health_check",
        TRACING_NOT_TRACEABLE = "tracing.not_traceable",
        TRACING_RANDOM_SAMPLING = "tracing.random_sampling",
        TRACING_SERVICE_FORCED = "tracing.service_forced",
    }
    gauges {
        DOWNSTREAM_CX_ACTIVE = "downstream_cx_active",
        DOWNSTREAM_CX_HTTP1_ACTIVE = "downstream_cx_http1_active",
        DOWNSTREAM_CX_HTTP2_ACTIVE = "downstream_cx_http2_active",
        DOWNSTREAM_CX_HTTP3_ACTIVE = "downstream_cx_http3_active",
        DOWNSTREAM_CX_SSL_ACTIVE = "downstream_cx_ssl_active",
        DOWNSTREAM_CX_UPGRADES_ACTIVE = "downstream_cx_upgrades_active",
        DOWNSTREAM_RQ_ACTIVE = "downstream_rq_active",
    }
    histograms {
        DOWNSTREAM_CX_LENGTH_MS = "downstream_cx_length_ms",
        DOWNSTREAM_RQ_TIME = "downstream_rq_time",
    }
    codes {}
}

kind! {
    /// `listener.<address>.*`
    listener = "listener";
    counters {
        CONNECTIONS_ACCEPTED_PER_SOCKET_EVENT = "connections_accepted_per_socket_event",
        DOWNSTREAM_CX_DESTROY = "downstream_cx_destroy",
        DOWNSTREAM_CX_OVERFLOW = "downstream_cx_overflow",
        DOWNSTREAM_CX_OVERLOAD_REJECT = "downstream_cx_overload_reject",
        DOWNSTREAM_CX_TOTAL = "downstream_cx_total",
        DOWNSTREAM_CX_TRANSPORT_SOCKET_CONNECT_TIMEOUT = "downstream_cx_transport_socket_connect_timeout",
        DOWNSTREAM_GLOBAL_CX_OVERFLOW = "downstream_global_cx_overflow",
        DOWNSTREAM_LISTENER_FILTER_ERROR = "downstream_listener_filter_error",
        DOWNSTREAM_PRE_CX_TIMEOUT = "downstream_pre_cx_timeout",
        NO_FILTER_CHAIN_MATCH = "no_filter_chain_match",
        SERVER_SSL_DOWNSTREAM_CONTEXT_SECRETS_NOT_READY = "server_ssl_socket_factory.downstream_context_secrets_not_ready",
        SERVER_SSL_CONTEXT_UPDATE_BY_SDS = "server_ssl_socket_factory.ssl_context_update_by_sds",
        SERVER_SSL_UPSTREAM_CONTEXT_SECRETS_NOT_READY = "server_ssl_socket_factory.upstream_context_secrets_not_ready",
        SSL_CONNECTION_ERROR = "ssl.connection_error",
        SSL_FAIL_VERIFY_CERT_HASH = "ssl.fail_verify_cert_hash",
        SSL_FAIL_VERIFY_ERROR = "ssl.fail_verify_error",
        SSL_FAIL_VERIFY_NO_CERT = "ssl.fail_verify_no_cert",
        SSL_FAIL_VERIFY_SAN = "ssl.fail_verify_san",
        SSL_HANDSHAKE = "ssl.handshake",
        SSL_NO_CERTIFICATE = "ssl.no_certificate",
        SSL_OCSP_STAPLE_FAILED = "ssl.ocsp_staple_failed",
        SSL_OCSP_STAPLE_OMITTED = "ssl.ocsp_staple_omitted",
        SSL_OCSP_STAPLE_REQUESTS = "ssl.ocsp_staple_requests",
        SSL_OCSP_STAPLE_RESPONSES = "ssl.ocsp_staple_responses",
        SSL_SESSION_REUSED = "ssl.session_reused",
        SSL_WAS_KEY_USAGE_INVALID = "ssl.was_key_usage_invalid",
    }
    gauges {
        DOWNSTREAM_CX_ACTIVE = "downstream_cx_active",
        DOWNSTREAM_PRE_CX_ACTIVE = "downstream_pre_cx_active",
    }
    histograms {
        DOWNSTREAM_CX_LENGTH_MS = "downstream_cx_length_ms",
    }
    codes {}
}

kind! {
    /// `listener_manager.*`
    listener_manager = "listener_manager";
    counters {
        LISTENER_ADDED = "listener_added",
        LISTENER_CREATE_FAILURE = "listener_create_failure",
        LISTENER_CREATE_SUCCESS = "listener_create_success",
        LISTENER_IN_PLACE_UPDATED = "listener_in_place_updated",
        LISTENER_MODIFIED = "listener_modified",
        LISTENER_REMOVED = "listener_removed",
        LISTENER_STOPPED = "listener_stopped",
        LDS_UPDATE_ATTEMPT = "lds.update_attempt",
        LDS_UPDATE_FAILURE = "lds.update_failure",
        LDS_UPDATE_REJECTED = "lds.update_rejected",
        LDS_UPDATE_SUCCESS = "lds.update_success",
    }
    gauges {
        LDS_VERSION = "lds.version",
        TOTAL_FILTER_CHAINS_DRAINING = "total_filter_chains_draining",
        TOTAL_LISTENERS_ACTIVE = "total_listeners_active",
        TOTAL_LISTENERS_DRAINING = "total_listeners_draining",
        TOTAL_LISTENERS_WARMING = "total_listeners_warming",
        WORKERS_STARTED = "workers_started",
    }
    histograms {}
    codes {}
}

kind! {
    /// `cluster_manager.*`
    cluster_manager = "cluster_manager";
    counters {
        CDS_UPDATE_ATTEMPT = "cds.update_attempt",
        CDS_UPDATE_FAILURE = "cds.update_failure",
        CDS_UPDATE_REJECTED = "cds.update_rejected",
        CDS_UPDATE_SUCCESS = "cds.update_success",
        CLUSTER_ADDED = "cluster_added",
        CLUSTER_MODIFIED = "cluster_modified",
        CLUSTER_REMOVED = "cluster_removed",
        CLUSTER_UPDATED = "cluster_updated",
        CLUSTER_UPDATED_VIA_MERGE = "cluster_updated_via_merge",
        UPDATE_MERGE_CANCELLED = "update_merge_cancelled",
        UPDATE_OUT_OF_MERGE_WINDOW = "update_out_of_merge_window",
    }
    gauges {
        ACTIVE_CLUSTERS = "active_clusters",
        CDS_VERSION = "cds.version",
        WARMING_CLUSTERS = "warming_clusters",
    }
    histograms {}
    codes {}
}

kind! {
    /// `server.*`
    server = "server";
    counters {
        DYNAMIC_UNKNOWN_FIELDS = "dynamic_unknown_fields",
        STATIC_UNKNOWN_FIELDS = "static_unknown_fields",
    }
    gauges {
        CONCURRENCY = "concurrency",
        DAYS_UNTIL_FIRST_CERT_EXPIRING = "days_until_first_cert_expiring",
        HOT_RESTART_EPOCH = "hot_restart_epoch",
        LIVE = "live",
        MEMORY_ALLOCATED = "memory_allocated",
        MEMORY_HEAP_SIZE = "memory_heap_size",
        MEMORY_PHYSICAL_SIZE = "memory_physical_size",
        PARENT_CONNECTIONS = "parent_connections",
        SECONDS_UNTIL_FIRST_OCSP_RESPONSE_EXPIRING = "seconds_until_first_ocsp_response_expiring",
        STATE = "state",
        TOTAL_CONNECTIONS = "total_connections",
        UPTIME = "uptime",
        VERSION = "version",
    }
    histograms {
        INITIALIZATION_TIME_MS = "initialization_time_ms",
    }
    codes {}
}

kind! {
    /// `listener.<address>.ssl.certificate.<name>.*`
    listener_certificate = "listener_ssl_certificate";
    counters {}
    gauges {
        EXPIRATION_UNIX_TIME_SECONDS = "expiration_unix_time_seconds",
    }
    histograms {}
    codes {}
}

kind! {
    /// `cluster.<name>.ssl.certificate.<name>.*`: the same gauge as [`listener_certificate`].
    cluster_certificate = "cluster_ssl_certificate";
    counters {}
    gauges {
        EXPIRATION_UNIX_TIME_SECONDS = "expiration_unix_time_seconds",
    }
    histograms {}
    codes {}
}

kind! {
    /// `sds.<secret>.*`
    sds = "sds";
    counters {
        INIT_FETCH_TIMEOUT = "init_fetch_timeout",
        KEY_ROTATION_FAILED = "key_rotation_failed",
        UPDATE_ATTEMPT = "update_attempt",
        UPDATE_FAILURE = "update_failure",
        UPDATE_REJECTED = "update_rejected",
        UPDATE_SUCCESS = "update_success",
    }
    gauges {
        UPDATE_TIME = "update_time",
        VERSION = "version",
    }
    histograms {}
    codes {}
}

kind! {
    /// `tracing.opentelemetry.*`: spans handed to the exporter and lost.
    tracing = "tracing";
    counters {
        BATCHES_SENT = "batches_sent",
        EXPORT_FAILED = "export_failed",
        SPANS_DROPPED = "spans_dropped",
        SPANS_SENT = "spans_sent",
        TIMER_FLUSHED = "timer_flushed",
    }
    gauges {}
    histograms {}
    codes {}
}

kind! {
    /// `tenant.<id>.*`, Palanquin's own.
    tenant = "tenant";
    counters {
        BREAKER_OVERFLOW = "breaker_overflow",
        CONCURRENCY_LIMITED = "concurrency_limited",
        DENIED = "denied",
        RATE_LIMITED = "rate_limited",
        RQ_TOTAL = "rq_total",
        SHADOW_REFUSED = "shadow_refused",
    }
    gauges {
        RQ_ACTIVE = "rq_active",
    }
    histograms {}
    codes {}
}
