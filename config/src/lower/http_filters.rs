//! The HTTP filters of a connection manager.

use palanquin_proto::envoy::extensions::filters::http::router::v3::Router;
use palanquin_proto::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use prost::Name;
use prost_types::Any;

use std::sync::Arc;

use super::Lowering;
use crate::diagnostic::closest;
use crate::extension::ChainTemplate;
use crate::extension::Position;
use crate::extension::known;
use crate::extension::known::Verdict;

/// A connection manager's filters.
#[derive(Debug)]
pub(super) struct HttpFilters {
    pub(super) template: ChainTemplate,
    /// The last one; it is part of the connection manager here.
    pub(super) router: Router,
}

impl Lowering<'_> {
    /// The filters in order. The router must be the last and only the last, as in Envoy.
    pub(super) fn http_filters(&mut self, filters: &[pb::HttpFilter]) -> Option<HttpFilters> {
        let errors = self.error_count();
        let mut positions = Vec::new();
        let mut router = None;
        for (index, filter) in filters.iter().enumerate() {
            let last = index + 1 == filters.len();
            self.item("http_filters", index, |cx| match cx.http_filter(filter) {
                Found::Router(config) => {
                    if !last {
                        cx.error(format!(
                            "terminal filter named {:?} must be the last filter in a http filter chain",
                            filter.name
                        ));
                    } else if filter.disabled {
                        cx.error(format!(
                            "the last (terminal) filter {:?} in the chain cannot be disabled by default",
                            filter.name
                        ));
                    }
                    router = Some(config);
                }
                Found::Filter(position) => positions.push(position),
                Found::LeftOut => {}
            });
        }
        if router.is_none() && self.error_count() == errors {
            let last = filters.last().map(|filter| filter.name.as_str());
            let text = match last {
                Some(name) => format!(
                    "non-terminal filter named {name:?} is the last filter in a http filter chain"
                ),
                None => "the chain has no router: requests would go nowhere".to_owned(),
            };
            self.error_in("http_filters", text).hint("end the list with envoy.filters.http.router");
        }
        if self.error_count() > errors {
            return None;
        }
        Some(HttpFilters { template: ChainTemplate::new(positions), router: router? })
    }

    fn http_filter(&mut self, filter: &pb::HttpFilter) -> Found {
        use pb::http_filter::ConfigType;
        if filter.name.is_empty() {
            self.error_in("name", "must not be empty");
        }
        let empty = Any::default();
        let any = match &filter.config_type {
            Some(ConfigType::TypedConfig(any)) => any,
            None => &empty,
            Some(ConfigType::ConfigDiscovery(_)) => {
                if filter.is_optional {
                    self.warning_in(
                        "config_discovery",
                        "is not supported yet: the optional filter is left out",
                    );
                } else {
                    self.error_in(
                        "config_discovery",
                        "filter discovery (ECDS) is not supported yet",
                    );
                }
                return Found::LeftOut;
            }
        };
        self.field("typed_config", |cx| {
            let Some(any) = cx.open(any) else { return Found::LeftOut };
            let type_name = cx.type_name(&any).to_owned();
            if type_name == Router::full_name() {
                return cx.unpack(&any).map_or(Found::LeftOut, Found::Router);
            }
            let Some(factory) = cx.filters().find(&type_name) else {
                cx.unknown_http_filter(filter, &type_name);
                return Found::LeftOut;
            };
            match factory.lower(&any, cx) {
                Some(base) => Found::Filter(Position {
                    name: filter.name.as_str().into(),
                    factory: Arc::clone(factory),
                    base,
                    disabled: filter.disabled,
                }),
                None => Found::LeftOut,
            }
        })
    }

    fn unknown_http_filter(&mut self, filter: &pb::HttpFilter, type_name: &str) {
        match known::http_filter(type_name) {
            Some(Verdict::Ignore(loss)) => {
                self.warning(format!("{type_name} is not supported yet and ignored: {loss}"));
            }
            _ if filter.is_optional => {
                self.warning(format!("optional {type_name} is not supported and ignored"));
            }
            Some(Verdict::Refuse(reason)) => {
                self.error(format!("{type_name} is not supported yet, and {reason}"))
                    .hint("is_optional: true leaves the filter out where it is not supported");
            }
            None => {
                let known = self.filters().types();
                let close = closest(type_name, known.into_iter().chain([ROUTER]));
                let problem = self.error(format!(
                    "didn't find a registered implementation for {:?} with type {type_name:?}",
                    filter.name
                ));
                if let Some(close) = close {
                    problem.hint(format!("did you mean {close:?}?"));
                }
            }
        }
    }
}

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";

/// What an entry of `http_filters` is.
enum Found {
    Filter(Position),
    /// Nothing that runs; why is reported.
    LeftOut,
    Router(Router),
}
