//! `/stats?format=json`.

use serde_json::Value;
use serde_json::json;

use super::text::percent;
use super::{QUANTILES, Selection, Source, full_name, numbers};

/// Statistics as Envoy's JSON: numbers first, then one object of histograms.
pub fn json(source: Source<'_>, selection: &Selection) -> Value {
    let mut stats: Vec<Value> = numbers(source, selection)
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut computed = Vec::new();
    for scope in source.registry.scopes() {
        for (name, values) in scope.histograms() {
            let name = full_name(scope.prefix(), name);
            if !selection.number(&name, values.count()) {
                continue;
            }
            let quantiles: Vec<Value> = QUANTILES
                .iter()
                .map(|quantile| json!({ "interval": null, "cumulative": values.quantile_ms(*quantile) }))
                .collect();
            computed.push(json!({ "name": name, "values": quantiles }));
        }
    }
    if !computed.is_empty() {
        let supported: Vec<f64> = QUANTILES.into_iter().map(percent).collect();
        stats.push(json!({
            "histograms": { "supported_quantiles": supported, "computed_quantiles": computed }
        }));
    }
    json!({ "stats": stats })
}
