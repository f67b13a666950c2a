//! A resource from a control plane: any bytes, as each of the types (chosen by the first byte).

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use palanquin::server::Extensions;
use palanquin_config::lower::Environment;
use palanquin_config::lower::lower_cluster;
use palanquin_config::lower::lower_cluster_load_assignment;
use palanquin_config::lower::lower_listener;
use palanquin_config::lower::lower_route_configuration;
use palanquin_filter_api::stats;

static EXTENSIONS: LazyLock<Extensions> = LazyLock::new(Extensions::built_in);

fuzz_target!(|data: &[u8]| {
    let Some((kind, body)) = data.split_first() else { return };
    let stats = stats::Registry::new(1);
    let environment = Environment { filters: &EXTENSIONS.filters, stats: &stats };
    // The text of a NACK is a part of what must not fail.
    let refused = match kind % 4 {
        0 => lower_cluster(environment, body).err(),
        1 => lower_cluster_load_assignment(environment, body).err(),
        2 => lower_listener(environment, body).err(),
        _ => lower_route_configuration(environment, body).err(),
    };
    drop(refused.map(|refused| refused.to_string()));
});
