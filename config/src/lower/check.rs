//! What static resources owe each other. References from routes are checked where the routes are lowered
//! ([`super::Lowering::check_cluster`]), so that the problem has the route's own path.

use std::collections::HashMap;

use palanquin_proto::envoy::config::bootstrap::v3::bootstrap::StaticResources;
use palanquin_proto::envoy::config::core::v3::Address;
use prost::Message;

use super::Lowering;

impl Lowering<'_> {
    /// Names are unique, and no two listeners bind one address.
    pub(super) fn check_static(&mut self, resources: &StaticResources) {
        let clusters = resources.clusters.iter().map(|cluster| cluster.name.as_str());
        self.check_unique("clusters", "cluster", clusters);
        let listeners = resources.listeners.iter().map(|listener| listener.name.as_str());
        self.check_unique("listeners", "listener", listeners);
        let mut bound: HashMap<Vec<u8>, usize> = HashMap::new();
        for (index, listener) in resources.listeners.iter().enumerate() {
            // Envoy lets several listeners share an address that they do not bind themselves.
            if listener.bind_to_port == Some(false) {
                continue;
            }
            let Some(address) = listener.address.as_ref().filter(|address| is_fixed(address))
            else {
                continue;
            };
            if let Some(first) = bound.insert(address.encode_to_vec(), index) {
                self.item("listeners", index, |cx| {
                    cx.error_in("address", "another listener has this address")
                        .hint(format!("the other one is listeners[{first}]"));
                });
            }
        }
    }

    fn check_unique<'n>(&mut self, field: &str, what: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, name) in names.enumerate() {
            if name.is_empty() {
                continue;
            }
            if let Some(first) = seen.insert(name, index) {
                self.item(field, index, |cx| {
                    cx.error_in("name", format!("duplicate {what} {name:?}"))
                        .hint(format!("the other one is {field}[{first}]"));
                });
            }
        }
    }
}

/// Whether an address can be bound only once: port 0 is another port each time.
fn is_fixed(address: &Address) -> bool {
    use palanquin_proto::envoy::config::core::v3::address::Address as Kind;
    use palanquin_proto::envoy::config::core::v3::socket_address::PortSpecifier;
    match &address.address {
        Some(Kind::SocketAddress(socket)) => {
            !matches!(socket.port_specifier, Some(PortSpecifier::PortValue(0)) | None)
        }
        Some(Kind::Pipe(_)) => true,
        Some(Kind::EnvoyInternalAddress(_)) | None => false,
    }
}
