//! Messages that many others contain: addresses, networks, data sources, metadata, percentages.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use http::HeaderName;
use http::HeaderValue;
use palanquin_filter_api::DynamicMetadata;
use palanquin_filter_api::MetadataMap;
use palanquin_filter_api::MetadataValue;
use palanquin_proto::envoy::config::core::v3 as pb;
use palanquin_proto::envoy::r#type::v3::FractionalPercent;
use palanquin_proto::envoy::r#type::v3::fractional_percent::DenominatorType;
use prost_types::value::Kind;

use super::Lowering;
use crate::ir::endpoint::Address;
use crate::ir::listener::Cidr;

/// An address as configuration writes it: perhaps a name that is still to be resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Resolved(Address),
    Name { host: String, port: u16 },
}

impl Lowering<'_> {
    /// An address that must be an IP address or a path.
    pub(super) fn address(&mut self, address: Option<&pb::Address>) -> Option<Address> {
        match self.target(address)? {
            Target::Resolved(address) => Some(address),
            Target::Name { host, .. } => {
                self.field("socket_address", |cx| {
                    cx.error_in("address", format!("malformed IP address: {host:?}")).hint(
                        "host names are resolved for clusters of type STRICT_DNS or LOGICAL_DNS only",
                    );
                });
                None
            }
        }
    }

    /// An address or a name with a port.
    pub(super) fn target(&mut self, address: Option<&pb::Address>) -> Option<Target> {
        use pb::address::Address as Kind;
        match address.and_then(|address| address.address.as_ref()) {
            None => {
                self.error("an address is necessary")
                    .hint("e.g. socket_address: {address, port_value}");
                None
            }
            Some(Kind::SocketAddress(socket)) => {
                self.field("socket_address", |cx| cx.socket_address(socket))
            }
            Some(Kind::Pipe(pipe)) if pipe.path.is_empty() => {
                self.error_in("pipe", "the path is empty");
                None
            }
            Some(Kind::Pipe(pipe)) => {
                Some(Target::Resolved(Address::Pipe(PathBuf::from(&pipe.path))))
            }
            Some(Kind::EnvoyInternalAddress(_)) => {
                self.error_in("envoy_internal_address", "internal addresses are not supported yet");
                None
            }
        }
    }

    fn socket_address(&mut self, socket: &pb::SocketAddress) -> Option<Target> {
        use pb::socket_address::PortSpecifier;
        use pb::socket_address::Protocol;
        if socket.protocol == Protocol::Udp as i32 {
            self.error_in("protocol", "UDP is not supported yet");
            return None;
        }
        let port = match &socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => {
                let Ok(port) = u16::try_from(*port) else {
                    self.error_in("port_value", format!("{port} is more than 65535"));
                    return None;
                };
                port
            }
            Some(PortSpecifier::NamedPort(_)) => {
                self.error_in("named_port", "named ports are not supported");
                return None;
            }
            None => {
                self.error("a port is necessary").hint("set port_value");
                return None;
            }
        };
        if socket.address.is_empty() {
            self.error_in("address", "the address is empty");
            return None;
        }
        Some(match parse_ip(&socket.address) {
            Some(ip) => Target::Resolved(Address::Socket(SocketAddr::new(ip, port))),
            None => Target::Name { host: socket.address.clone(), port },
        })
    }

    /// A network.
    pub(super) fn cidr(&mut self, range: &pb::CidrRange) -> Option<Cidr> {
        let Some(address) = parse_ip(&range.address_prefix) else {
            let text = format!("malformed IP address: {:?}", range.address_prefix);
            self.error_in("address_prefix", text);
            return None;
        };
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length = range.prefix_len.unwrap_or(0);
        let Some(prefix_len) = u8::try_from(length).ok().filter(|length| *length <= width) else {
            self.error_in("prefix_len", format!("{length} is more than {width}"));
            return None;
        };
        Some(Cidr::new(address, prefix_len))
    }

    /// The bytes of a data source; a file is read now.
    pub(super) fn data_source(&mut self, source: &pb::DataSource) -> Option<Bytes> {
        use pb::data_source::Specifier;
        match &source.specifier {
            None => {
                self.error("one of filename, inline_bytes, inline_string, environment_variable is necessary");
                None
            }
            Some(Specifier::InlineBytes(bytes)) => Some(bytes.clone()),
            Some(Specifier::InlineString(text)) => Some(Bytes::from(text.clone())),
            Some(Specifier::Filename(path)) => match std::fs::read(path) {
                Ok(bytes) => Some(Bytes::from(bytes)),
                Err(error) => {
                    self.error_in("filename", format!("cannot read {path:?}: {error}"));
                    None
                }
            },
            Some(Specifier::EnvironmentVariable(name)) => match std::env::var(name) {
                Ok(value) => Some(Bytes::from(value)),
                Err(error) => {
                    self.error_in("environment_variable", format!("{name:?}: {error}"));
                    None
                }
            },
        }
    }

    /// A header's name.
    pub(crate) fn header_name(&mut self, field: &str, name: &str) -> Option<HeaderName> {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| self.error_in(field, format!("{name:?} is not a header name")))
            .ok()
    }

    /// A header's value.
    pub(crate) fn header_value(&mut self, field: &str, value: &str) -> Option<HeaderValue> {
        HeaderValue::from_str(value)
            .map_err(|_| self.error_in(field, format!("{value:?} is not a header value")))
            .ok()
    }

    /// A share in parts per million. More than the whole is the whole. There is no runtime, so a
    /// `runtime_key` never has a value and the default counts.
    pub(super) fn runtime_fraction(
        &mut self,
        field: &str,
        fraction: Option<&pb::RuntimeFractionalPercent>,
    ) -> Option<u32> {
        let fraction = fraction?;
        let Some(value) = &fraction.default_value else {
            self.error_in(field, "default_value is necessary");
            return None;
        };
        Some(parts_per_million(*value))
    }
}

/// A share in parts per million.
pub(crate) fn parts_per_million(percent: FractionalPercent) -> u32 {
    let scale = match percent.denominator() {
        DenominatorType::Hundred => 10_000,
        DenominatorType::TenThousand => 100,
        DenominatorType::Million => 1,
    };
    percent.numerator.saturating_mul(scale).min(1_000_000)
}

/// `filter_metadata`; typed metadata is for extensions we do not have.
pub(crate) fn metadata(metadata: Option<&pb::Metadata>) -> DynamicMetadata {
    let mut lowered = DynamicMetadata::default();
    for (namespace, fields) in metadata.iter().flat_map(|metadata| &metadata.filter_metadata) {
        lowered.merge(namespace, metadata_map(fields));
    }
    lowered
}

/// The fields of one namespace.
pub(crate) fn metadata_map(fields: &prost_types::Struct) -> MetadataMap {
    fields.fields.iter().map(|(key, value)| (key.as_str().into(), metadata_value(value))).collect()
}

fn metadata_value(value: &prost_types::Value) -> MetadataValue {
    match &value.kind {
        None | Some(Kind::NullValue(_)) => MetadataValue::Null,
        Some(Kind::BoolValue(truth)) => MetadataValue::Bool(*truth),
        Some(Kind::NumberValue(number)) => MetadataValue::Number(*number),
        Some(Kind::StringValue(text)) => MetadataValue::String(text.as_str().into()),
        Some(Kind::StructValue(fields)) => MetadataValue::Struct(metadata_map(fields)),
        Some(Kind::ListValue(list)) => {
            MetadataValue::List(list.values.iter().map(metadata_value).collect())
        }
    }
}

/// An IP address; IPv6 also in brackets, as Envoy takes it.
fn parse_ip(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(text).parse().ok()
}
