//! Which filter chain takes a connection.
//!
//! Envoy's order: destination port, destination network, server name, transport protocol, application
//! protocol, direct source network, source type, source network, source port. At each step only the chains
//! that match most specifically go on; there is no way back.

use std::net::SocketAddr;
use std::sync::Arc;

use palanquin_config::ir::listener::Cidr;
use palanquin_config::ir::listener::FilterChainMatch;
use palanquin_config::ir::listener::SourceType;

use crate::listener::ActiveChain;
use crate::listener::ActiveListener;

/// What is known of a connection before its chain is chosen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) direct_remote: SocketAddr,
    /// In lower case.
    pub(crate) server_name: Option<&'a str>,
    /// `tls`, `tlcp` or `raw_buffer`.
    pub(crate) transport: &'a str,
    pub(crate) protocols: &'a [Box<str>],
}

/// The position of the chain that takes the connection.
pub(crate) fn choose(listener: &ActiveListener, facts: &Facts<'_>) -> Option<usize> {
    let matching = listener.chains.len() - usize::from(listener.has_default);
    let default = listener.has_default.then_some(matching);
    let chains = &listener.chains[..matching];
    // The usual listener has one chain that takes everything.
    if let [only] = chains
        && only.config.matches == FilterChainMatch::default()
    {
        return Some(0);
    }
    let mut left: Vec<usize> = (0..matching).collect();
    for step in STEPS {
        narrow(chains, &mut left, |rule| step(rule, facts));
        if left.is_empty() {
            return default;
        }
    }
    left.first().copied().or(default)
}

/// How specifically a rule matches at one step: `None`, not at all; 0, because it says nothing.
type Step = fn(&FilterChainMatch, &Facts<'_>) -> Option<u32>;

const STEPS: [Step; 9] = [
    |rule, facts| match rule.destination_port {
        None => Some(0),
        Some(port) => (port == facts.local.port()).then_some(1),
    },
    |rule, facts| network(&rule.destination_ranges, facts.local),
    |rule, facts| server_name(&rule.server_names, facts.server_name),
    |rule, facts| match &*rule.transport_protocol {
        "" => Some(0),
        protocol => (protocol == facts.transport).then_some(1),
    },
    |rule, facts| {
        if rule.application_protocols.is_empty() {
            return Some(0);
        }
        let wanted = |protocol| rule.application_protocols.contains(protocol);
        facts.protocols.iter().any(wanted).then_some(1)
    },
    |rule, facts| network(&rule.direct_source_ranges, facts.direct_remote),
    |rule, facts| {
        let local = facts.remote.ip().is_loopback() || facts.remote.ip() == facts.local.ip();
        match rule.source_type {
            SourceType::Any => Some(0),
            SourceType::SameIpOrLoopback => local.then_some(1),
            SourceType::External => (!local).then_some(1),
        }
    },
    |rule, facts| network(&rule.source_ranges, facts.remote),
    |rule, facts| {
        if rule.source_ports.is_empty() {
            return Some(0);
        }
        rule.source_ports.contains(&facts.remote.port()).then_some(1)
    },
];

fn narrow(
    chains: &[Arc<ActiveChain>],
    left: &mut Vec<usize>,
    specificity: impl Fn(&FilterChainMatch) -> Option<u32>,
) {
    let scored: Vec<_> = left
        .iter()
        .filter_map(|position| Some((*position, specificity(&chains[*position].config.matches)?)))
        .collect();
    let best = scored.iter().map(|(_, score)| *score).max();
    *left = scored
        .into_iter()
        .filter(|(_, score)| Some(*score) == best)
        .map(|(position, _)| position)
        .collect();
}

/// The longest network that holds the address.
fn network(ranges: &[Cidr], address: SocketAddr) -> Option<u32> {
    if ranges.is_empty() {
        return Some(0);
    }
    ranges
        .iter()
        .filter(|range| range.contains(address.ip()))
        .map(|range| u32::from(range.prefix_len) + 1)
        .max()
}

/// An exact name above any wildcard, a longer wildcard above a shorter one.
fn server_name(names: &[Box<str>], name: Option<&str>) -> Option<u32> {
    if names.is_empty() {
        return Some(0);
    }
    let name = name?;
    names
        .iter()
        .filter_map(|rule| {
            if **rule == *name {
                Some(u32::MAX)
            } else if rule.starts_with('.') && name.len() > rule.len() && name.ends_with(&**rule) {
                u32::try_from(rule.len()).ok()
            } else {
                None
            }
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| Box::from(*name)).collect()
    }

    #[test]
    fn an_exact_server_name_beats_wildcards_and_longer_wildcards_shorter_ones() {
        let exact = server_name(&names(&["a.b.test"]), Some("a.b.test"));
        let long = server_name(&names(&[".b.test"]), Some("a.b.test"));
        let short = server_name(&names(&[".test"]), Some("a.b.test"));
        assert!(exact > long && long > short && short > Some(0));
        assert_eq!(server_name(&names(&[".b.test"]), Some("b.test")), None);
        assert_eq!(server_name(&names(&["a.test"]), None), None);
        assert_eq!(server_name(&[], None), Some(0));
    }

    #[test]
    fn the_longest_network_wins() {
        let range = |text: &str, prefix_len| Cidr { network: text.parse().unwrap(), prefix_len };
        let address = "10.1.2.3:1".parse().unwrap();
        assert!(
            network(&[range("10.1.0.0", 16)], address) > network(&[range("10.0.0.0", 8)], address)
        );
        assert_eq!(network(&[range("192.168.0.0", 16)], address), None);
    }
}
