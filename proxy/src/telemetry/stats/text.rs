//! `/stats`: one `name: value` a line, histograms last.

use std::fmt::Write as _;

use super::{QUANTILES, Selection, Source, full_name, numbers};

/// Writes statistics as Envoy's `/stats` does. Of a histogram there is no value per flush interval, so
/// that one is `nan`, which is what Envoy writes for an interval in which nothing happened.
pub fn text(source: Source<'_>, selection: &Selection) -> String {
    let mut out = String::new();
    for (name, value) in numbers(source, selection) {
        let _ = writeln!(out, "{name}: {value}");
    }
    let mut histograms = Vec::new();
    for scope in source.registry.scopes() {
        for (name, values) in scope.histograms() {
            let name = full_name(scope.prefix(), name);
            if selection.number(&name, values.count()) {
                histograms.push((name, values));
            }
        }
    }
    histograms.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (name, values) in histograms {
        let _ = write!(out, "{name}:");
        if values.count() == 0 {
            out.push_str(" No recorded values");
        }
        for quantile in QUANTILES {
            if let Some(value) = values.quantile_ms(quantile) {
                let _ = write!(out, " P{}(nan,{value})", percent(quantile));
            }
        }
        out.push('\n');
    }
    out
}

/// 0.999 as `99.9`; the product is not exact.
pub(super) fn percent(quantile: f64) -> f64 {
    (quantile * 1000.0).round() / 10.0
}
