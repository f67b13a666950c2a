//! Access logs.

use std::sync::Arc;

use palanquin_filter_api::ResponseFlags;
use palanquin_proto::envoy::config::accesslog::v3 as pb;
use palanquin_proto::envoy::config::core::v3::RuntimeUInt32;
use palanquin_proto::envoy::extensions::access_loggers::file::v3 as file;
use palanquin_proto::envoy::extensions::access_loggers::stream::v3 as stream;
use prost_types::Any;

use super::Lowering;
use super::core::parts_per_million;
use crate::ir::access_log::{AccessLog, Comparison, Line, LogFilter, Ordering, Sink};
use crate::ir::format::Capture;
use crate::ir::format::Format;
use crate::ir::format::Missing;
use crate::ir::format::Needs;

/// Envoy's loggers that we do not have: a listener works without them, so they are warnings.
const UNSUPPORTED: &[&str] = &[
    "envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig",
    "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "envoy.extensions.access_loggers.wasm.v3.WasmAccessLog",
];

const FILE: &str = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const STDOUT: &str = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const STDERR: &str = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";

impl Lowering<'_> {
    /// The access logs of one connection manager or listener, under `field`.
    pub fn access_logs(&mut self, field: &str, logs: &[pb::AccessLog]) -> Vec<Arc<AccessLog>> {
        let lowered = self.list(field, logs, Self::access_log);
        let mut needs = Needs::default();
        for (_, line, filter) in &lowered {
            line.needs(&mut needs);
            if let Some(filter) = filter {
                filter.needs(&mut needs);
            }
        }
        let capture = Arc::new(Capture::new(needs));
        lowered
            .into_iter()
            .map(|(sink, line, filter)| {
                Arc::new(AccessLog { sink, line, filter, capture: Arc::clone(&capture) })
            })
            .collect()
    }

    fn access_log(&mut self, log: &pb::AccessLog) -> Option<(Sink, Line, Option<LogFilter>)> {
        let errors = self.error_count();
        let filter = log
            .filter
            .as_ref()
            .and_then(|filter| self.field("filter", |cx| cx.access_log_filter(filter)));
        let (sink, line) = match &log.config_type {
            None => {
                self.error("typed_config is necessary");
                None
            }
            Some(pb::access_log::ConfigType::TypedConfig(any)) => {
                self.field("typed_config", |cx| cx.logger(any))
            }
        }?;
        (self.error_count() == errors).then_some((sink, line, filter))
    }

    /// A logger; `None` without an error when it is one of Envoy's that we do not have.
    fn logger(&mut self, any: &Any) -> Option<(Sink, Line)> {
        let any = self.open(any)?;
        match self.type_name(&any).to_owned().as_str() {
            FILE => {
                let log = self.unpack::<file::FileAccessLog>(&any)?;
                let line = self.file_format(log.access_log_format.as_ref());
                let sink = match log.path.as_str() {
                    "" => {
                        self.error_in("path", "must not be empty");
                        return None;
                    }
                    // Opening these again may be forbidden where writing is not.
                    "/dev/stdout" => Sink::Stdout,
                    "/dev/stderr" => Sink::Stderr,
                    path => Sink::File(path.into()),
                };
                Some((sink, line?))
            }
            STDOUT => {
                use stream::stdout_access_log::AccessLogFormat::LogFormat;
                let log = self.unpack::<stream::StdoutAccessLog>(&any)?;
                let line = match &log.access_log_format {
                    None => default_line(),
                    Some(LogFormat(format)) => {
                        self.field("log_format", |cx| cx.substitution_format(format))
                    }
                };
                Some((Sink::Stdout, line?))
            }
            STDERR => {
                use stream::stderr_access_log::AccessLogFormat::LogFormat;
                let log = self.unpack::<stream::StderrAccessLog>(&any)?;
                let line = match &log.access_log_format {
                    None => default_line(),
                    Some(LogFormat(format)) => {
                        self.field("log_format", |cx| cx.substitution_format(format))
                    }
                };
                Some((Sink::Stderr, line?))
            }
            other if UNSUPPORTED.contains(&other) => {
                self.warning(format!(
                    "access logger {other} is not supported yet; it logs nothing"
                ));
                None
            }
            other => {
                self.error(format!("no access logger is registered for {other:?}"))
                    .did_you_mean(other, [FILE, STDOUT, STDERR]);
                None
            }
        }
    }

    fn file_format(
        &mut self,
        format: Option<&file::file_access_log::AccessLogFormat>,
    ) -> Option<Line> {
        use file::file_access_log::AccessLogFormat as Kind;
        #[expect(deprecated, reason = "Envoy still accepts the old forms")]
        match format {
            None => default_line(),
            Some(Kind::Format(text)) if text.is_empty() => default_line(),
            Some(Kind::Format(text)) => self.format("format", text, Missing::Dash).map(Line::Text),
            Some(Kind::JsonFormat(object)) => self
                .field("json_format", |cx| {
                    cx.warning("numbers are written as numbers; use log_format.json_format");
                    cx.json_format(object, Missing::Dash)
                })
                .map(Line::Json),
            Some(Kind::TypedJsonFormat(object)) => self
                .field("typed_json_format", |cx| cx.json_format(object, Missing::Dash))
                .map(Line::Json),
            Some(Kind::LogFormat(format)) => {
                self.field("log_format", |cx| cx.substitution_format(format))
            }
        }
    }

    fn access_log_filter(&mut self, filter: &pb::AccessLogFilter) -> Option<LogFilter> {
        use pb::access_log_filter::FilterSpecifier as Kind;
        self.nested(|cx| match &filter.filter_specifier {
            None => {
                cx.error("a filter is necessary");
                None
            }
            Some(Kind::StatusCodeFilter(filter)) => cx
                .field("status_code_filter", |cx| cx.comparison(filter.comparison.as_ref()))
                .map(LogFilter::StatusCode),
            Some(Kind::DurationFilter(filter)) => cx
                .field("duration_filter", |cx| cx.comparison(filter.comparison.as_ref()))
                .map(LogFilter::Duration),
            Some(Kind::NotHealthCheckFilter(_)) => Some(LogFilter::NotHealthCheck),
            Some(Kind::TraceableFilter(_)) => Some(LogFilter::Traceable),
            Some(Kind::RuntimeFilter(filter)) => cx.field("runtime_filter", |cx| {
                if filter.runtime_key.is_empty() {
                    cx.error_in("runtime_key", "must not be empty");
                }
                // Without a default, Envoy asks the runtime, which has no such key here: 0 %.
                let share = filter
                    .percent_sampled
                    .as_ref()
                    .map_or(0, |percent| parts_per_million(*percent));
                Some(LogFilter::Share(share))
            }),
            Some(Kind::AndFilter(filter)) => {
                cx.field("and_filter", |cx| cx.at_least_two(&filter.filters)).map(LogFilter::And)
            }
            Some(Kind::OrFilter(filter)) => {
                cx.field("or_filter", |cx| cx.at_least_two(&filter.filters)).map(LogFilter::Or)
            }
            Some(Kind::HeaderFilter(filter)) => cx.field("header_filter", |cx| {
                let Some(header) = &filter.header else {
                    cx.error_in("header", "is necessary");
                    return None;
                };
                cx.field("header", |cx| cx.header_matcher(header)).map(LogFilter::Header)
            }),
            Some(Kind::ResponseFlagFilter(filter)) => {
                cx.field("response_flag_filter", |cx| cx.response_flags(&filter.flags))
            }
            Some(Kind::GrpcStatusFilter(filter)) => {
                let statuses = filter.statuses.iter().fold(0_u32, |bits, status| {
                    let status = u32::try_from(*status).unwrap_or(u32::MAX);
                    bits | 1_u32.checked_shl(status).unwrap_or(0)
                });
                Some(LogFilter::GrpcStatus { statuses, exclude: filter.exclude })
            }
            Some(Kind::MetadataFilter(filter)) => cx.field("metadata_filter", |cx| {
                let matcher = match &filter.matcher {
                    None => None,
                    Some(matcher) => Some(cx.field("matcher", |cx| cx.metadata_matcher(matcher))?),
                };
                let when_missing = filter.match_if_key_not_found.unwrap_or(true);
                Some(LogFilter::Metadata { matcher, when_missing })
            }),
            Some(Kind::LogTypeFilter(filter)) => {
                use palanquin_proto::envoy::data::accesslog::v3::AccessLogType;
                let end = AccessLogType::DownstreamEnd as i32;
                Some(LogFilter::LogType(filter.types.contains(&end) != filter.exclude))
            }
            Some(Kind::ExtensionFilter(filter)) => {
                let text = format!("access log filter {:?} is not supported", filter.name);
                cx.error_in("extension_filter", text);
                None
            }
        })
    }

    fn at_least_two(&mut self, filters: &[pb::AccessLogFilter]) -> Option<Vec<LogFilter>> {
        if filters.len() < 2 {
            self.error_in("filters", "at least two are necessary");
        }
        let lowered = self.list("filters", filters, Self::access_log_filter);
        (lowered.len() == filters.len()).then_some(lowered)
    }

    fn comparison(&mut self, comparison: Option<&pb::ComparisonFilter>) -> Option<Comparison> {
        use pb::comparison_filter::Op;
        let Some(comparison) = comparison else {
            self.error_in("comparison", "is necessary");
            return None;
        };
        let operator = match Op::try_from(comparison.op) {
            Ok(Op::Eq) => Ordering::Equal,
            Ok(Op::Ge) => Ordering::AtLeast,
            Ok(Op::Le) => Ordering::AtMost,
            Ok(Op::Ne) => Ordering::NotEqual,
            Err(_) => {
                self.error_in("comparison", format!("op {} does not exist", comparison.op));
                return None;
            }
        };
        let Some(RuntimeUInt32 { default_value, .. }) = &comparison.value else {
            self.field("comparison", |cx| {
                cx.error_in("value", "is necessary");
            });
            return None;
        };
        Some(Comparison { operator, value: (*default_value).into() })
    }

    fn response_flags(&mut self, names: &[String]) -> Option<LogFilter> {
        let mut flags = ResponseFlags::default();
        let mut failed = false;
        for (index, name) in names.iter().enumerate() {
            match ResponseFlags::ALL.iter().find(|(_, short, _)| short == name) {
                Some((flag, ..)) => flags |= *flag,
                // Envoy's only flag that we never set: no request has it.
                None if name == "UDO" => {}
                None => {
                    failed = true;
                    self.item("flags", index, |cx| {
                        cx.error(format!("{name:?} is not a response flag")).did_you_mean(
                            name,
                            ResponseFlags::ALL.iter().map(|(_, short, _)| *short),
                        );
                    });
                }
            }
        }
        // Named flags of which none is ever set: nothing passes. No names at all: any flag passes.
        let never = !names.is_empty() && flags.is_empty();
        let filter = if never { LogFilter::Or(Vec::new()) } else { LogFilter::ResponseFlag(flags) };
        (!failed).then_some(filter)
    }
}

fn default_line() -> Option<Line> {
    Format::compile(AccessLog::DEFAULT_FORMAT, Missing::Dash).ok().map(Line::Text)
}
