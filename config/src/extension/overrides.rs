//! `typed_per_filter_config`: what a scope says about filters.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prost_types::Any;

use super::Erased;
use super::Factory;
use super::known;
use super::known::Verdict;
use crate::diagnostic::closest;
use crate::ir::route::PerFilterConfig;
use crate::lower::Lowering;

/// `envoy.config.route.v3.FilterConfig`, which no message of the API refers to.
#[derive(Clone, PartialEq, prost::Message)]
struct FilterConfig {
    #[prost(message, optional, tag = "1")]
    config: Option<Any>,
    #[prost(bool, tag = "2")]
    is_optional: bool,
    #[prost(bool, tag = "3")]
    disabled: bool,
}

const FILTER_CONFIG: &str = "envoy.config.route.v3.FilterConfig";

/// What one scope says about one filter.
#[derive(Clone)]
pub struct RouteOverride {
    /// The filter does not run.
    pub disabled: bool,
    config: Option<(Arc<dyn Factory>, Erased)>,
}

impl RouteOverride {
    /// The lowered configuration, if it is `factory`'s own.
    pub(super) fn config_of(&self, factory: &dyn Factory) -> Option<Erased> {
        let (owner, config) = self.config.as_ref()?;
        // Factories are registered once, so the same factory is the same allocation; a zero-sized one
        // has a dangling address of its own type's alignment, so the name is compared too.
        (owner.name() == factory.name()).then(|| Arc::clone(config))
    }
}

impl fmt::Debug for RouteOverride {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteOverride")
            .field("disabled", &self.disabled)
            .field("config", &self.config.as_ref().map(|(factory, _)| factory.name()))
            .finish()
    }
}

impl Lowering<'_> {
    /// Lowers `typed_per_filter_config` of one scope; `None` when there is none.
    ///
    /// The type of an entry finds its factory, the name only says which filter of a chain is meant, as
    /// in Envoy (`per_filter_config.cc`). Types without a factory are judged by [`known`].
    pub(crate) fn per_filter_config(
        &mut self,
        entries: &BTreeMap<String, Any>,
    ) -> Option<Arc<PerFilterConfig>> {
        let mut lowered = PerFilterConfig::default();
        for (name, any) in entries {
            let one =
                self.entry("typed_per_filter_config", name, |cx| cx.route_override(name, any));
            lowered.extend(one.map(|one| (Box::from(name.as_str()), one)));
        }
        (!lowered.is_empty()).then(|| Arc::new(lowered))
    }

    fn route_override(&mut self, name: &str, any: &Any) -> Option<RouteOverride> {
        let any = self.open(any)?;
        if self.type_name(&any) != FILTER_CONFIG {
            return self.override_config(&any, Optional::No);
        }
        let wrapper: FilterConfig = self.decode(&any.value)?;
        if wrapper.disabled {
            return Some(RouteOverride { disabled: true, config: None });
        }
        let Some(config) = &wrapper.config else {
            self.error(format!("neither a configuration nor disabled for filter {name:?}"));
            return None;
        };
        self.field("config", |cx| {
            // An empty `Any` switches the filter on with the configuration it has.
            if config.type_url.is_empty() && config.value.is_empty() {
                return Some(RouteOverride { disabled: false, config: None });
            }
            let config = cx.open(config)?;
            let optional = if wrapper.is_optional { Optional::Yes } else { Optional::No };
            cx.override_config(&config, optional)
        })
    }

    fn override_config(&mut self, any: &Any, optional: Optional) -> Option<RouteOverride> {
        let type_name = self.type_name(any).to_owned();
        let registry = self.filters();
        if let Some(factory) = registry.find_route(&type_name) {
            let config = factory.lower_route(any, self)?;
            return Some(RouteOverride {
                disabled: false,
                config: Some((Arc::clone(factory), config)),
            });
        }
        if let Some(factory) = registry.find(&type_name) {
            let name = factory.name();
            self.error(format!(
                "{type_name} cannot be set for a route: filter {name:?} has no such configuration"
            ));
            return None;
        }
        if type_name == "envoy.extensions.filters.http.router.v3.Router" {
            self.error("the router cannot be configured for a route");
            return None;
        }
        match (known::http_filter(&type_name), optional) {
            (Some(Verdict::Ignore(loss)), _) => {
                self.warning(format!("{type_name} is not supported yet and ignored: {loss}"));
            }
            (Some(Verdict::Refuse(_)) | None, Optional::Yes) => {
                self.warning(format!("optional {type_name} is not supported and ignored"));
            }
            (Some(Verdict::Refuse(reason)), Optional::No) => {
                self.error(format!("{type_name} is not supported yet, and {reason}"));
            }
            (None, Optional::No) => {
                let close = closest(&type_name, registry.route_types());
                let problem = self.error(format!("unknown extension type {type_name:?}"));
                if let Some(close) = close {
                    problem.hint(format!("did you mean {close:?}?"));
                }
            }
        }
        None
    }
}

/// `is_optional`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Optional {
    No,
    Yes,
}
