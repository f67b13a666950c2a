//! Filter chains that compete for the same connections.

use std::collections::HashMap;

use palanquin_proto::envoy::config::core::v3::CidrRange;
use palanquin_proto::envoy::config::listener::v3 as pb;

use super::Lowering;

/// The most combinations of conditions that one chain is checked for.
const MAX_COMBINATIONS: usize = 100_000;

impl Lowering<'_> {
    /// Refuses chains of which both match one connection equally well, as Envoy does: each chain stands
    /// for every combination of its conditions, and no combination may belong to two.
    pub(super) fn check_distinct(&mut self, chains: &[pb::FilterChain]) {
        let mut owners: HashMap<Combination, usize> = HashMap::new();
        for (index, chain) in chains.iter().enumerate() {
            let empty = pb::FilterChainMatch::default();
            let conditions = chain.filter_chain_match.as_ref().unwrap_or(&empty);
            let mut rival = None;
            for combination in combinations(conditions) {
                match owners.get(&combination) {
                    Some(owner) if *owner != index => rival = Some(*owner),
                    Some(_) => {}
                    None => {
                        owners.insert(combination, index);
                    }
                }
            }
            let Some(rival) = rival else { continue };
            let first = chains.get(rival);
            let same =
                first.is_some_and(|first| first.filter_chain_match == chain.filter_chain_match);
            let text = if same {
                format!(
                    "filter chain {:?} has the same matching rules defined as {:?}",
                    chain.name,
                    first.map(|first| first.name.as_str()).unwrap_or_default()
                )
            } else {
                "multiple filter chains with overlapping matching rules are defined".to_owned()
            };
            self.item("filter_chains", index, |cx| {
                cx.error(text).hint(format!("the other one is filter_chains[{rival}]"));
            });
        }
    }
}

/// One value, or none, for each condition.
type Combination = [String; 9];

fn combinations(conditions: &pb::FilterChainMatch) -> Vec<Combination> {
    let ranges = |ranges: &[CidrRange]| -> Vec<String> {
        let text = |range: &CidrRange| {
            format!("{}/{}", range.address_prefix, range.prefix_len.unwrap_or(0))
        };
        ranges.iter().map(text).collect()
    };
    let dimensions: [Vec<String>; 9] = [
        conditions.destination_port.map(|port| port.to_string()).into_iter().collect(),
        ranges(&conditions.prefix_ranges),
        conditions.server_names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        vec![conditions.transport_protocol.clone()],
        conditions.application_protocols.clone(),
        ranges(&conditions.direct_source_prefix_ranges),
        vec![conditions.source_type.to_string()],
        ranges(&conditions.source_prefix_ranges),
        conditions.source_ports.iter().map(ToString::to_string).collect(),
    ];
    let count =
        dimensions.iter().fold(1_usize, |count, values| count.saturating_mul(values.len().max(1)));
    if count > MAX_COMBINATIONS {
        return Vec::new();
    }
    let mut all = vec![Combination::default()];
    for (place, values) in dimensions.iter().enumerate() {
        if values.is_empty() {
            continue;
        }
        all = all
            .iter()
            .flat_map(|base| {
                values.iter().map(move |value| {
                    let mut next = base.clone();
                    next[place].clone_from(value);
                    next
                })
            })
            .collect();
    }
    all
}
