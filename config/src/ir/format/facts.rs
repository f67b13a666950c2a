//! Facts of connections: addresses, protocols, TLS.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use http::Version;
use palanquin_filter_api::PeerIdentity;
use palanquin_filter_api::StreamInfo;
use palanquin_filter_api::TlsInfo;

use super::operator::{Address, AddressPart, GrpcStatusStyle, TlsFact};
use super::time::TimeFormat;
use super::value::{Found, non_empty, text};

pub(super) fn read_address(address: Address, part: AddressPart, info: &StreamInfo) -> Found<'_> {
    let upstream = &info.upstream;
    let socket = match address {
        Address::DownstreamDirectRemote => Some(info.connection.direct_remote),
        Address::DownstreamLocal => Some(info.connection.local),
        Address::DownstreamRemote => Some(info.remote),
        Address::UpstreamLocal => upstream.local,
        // These are kept as text: an endpoint may be a path or a name.
        Address::UpstreamHost => return address_text(upstream.host.as_deref(), part),
        Address::UpstreamHostName => {
            let name = upstream.hostname.as_deref().filter(|name| !name.is_empty());
            return address_text(name.or(upstream.host.as_deref()), part);
        }
        // Envoy knows a remote address only when a connection came about.
        Address::UpstreamRemote => {
            return match upstream.local {
                Some(_) => address_text(upstream.host.as_deref(), part),
                None => Found::Missing,
            };
        }
    };
    match (socket, part) {
        (None, _) => Found::Missing,
        (Some(socket), AddressPart::Port) => Found::Number(socket.port().into()),
        (Some(socket), AddressPart::Whole) => Found::Socket(socket),
        (Some(socket), AddressPart::WithoutPort) => Found::Ip(socket.ip()),
    }
}

fn address_text(address: Option<&str>, part: AddressPart) -> Found<'_> {
    let Some(address) = address else { return Found::Missing };
    if part == AddressPart::Whole {
        return text(Some(address));
    }
    if let Ok(socket) = address.parse::<SocketAddr>() {
        return match part {
            AddressPart::Port => Found::Number(socket.port().into()),
            _ => Found::Ip(socket.ip()),
        };
    }
    match (address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()), part) {
        (Some((_, port)), AddressPart::Port) => port.parse().map_or(Found::Missing, Found::Number),
        (None, AddressPart::Port) => Found::Missing,
        (Some((name, _)), _) => text(Some(name)),
        (None, _) => text(Some(address)),
    }
}

pub(super) fn protocol(version: Option<Version>) -> Found<'static> {
    let Some(version) = version else { return Found::Missing };
    text(Some(match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }))
}

pub(super) fn grpc_status(status: u8, style: GrpcStatusStyle) -> Found<'static> {
    const NAMES: [(&str, &str); 17] = [
        ("OK", "OK"),
        ("Canceled", "CANCELLED"),
        ("Unknown", "UNKNOWN"),
        ("InvalidArgument", "INVALID_ARGUMENT"),
        ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
        ("NotFound", "NOT_FOUND"),
        ("AlreadyExists", "ALREADY_EXISTS"),
        ("PermissionDenied", "PERMISSION_DENIED"),
        ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
        ("FailedPrecondition", "FAILED_PRECONDITION"),
        ("Aborted", "ABORTED"),
        ("OutOfRange", "OUT_OF_RANGE"),
        ("Unimplemented", "UNIMPLEMENTED"),
        ("Internal", "INTERNAL"),
        ("Unavailable", "UNAVAILABLE"),
        ("DataLoss", "DATA_LOSS"),
        ("Unauthenticated", "UNAUTHENTICATED"),
    ];
    match (NAMES.get(usize::from(status)), style) {
        (Some((camel, _)), GrpcStatusStyle::Camel) => text(Some(camel)),
        (Some((_, snake)), GrpcStatusStyle::Snake) => text(Some(snake)),
        _ => Found::Number(status.into()),
    }
}

pub(super) fn tls_fact<'a>(tls: &'a TlsInfo, fact: &'a TlsFact) -> Found<'a> {
    let peer =
        |read: fn(&'a PeerIdentity) -> Found<'a>| tls.peer.as_deref().map_or(Found::Missing, read);
    let local =
        |read: fn(&'a PeerIdentity) -> Found<'a>| tls.local.as_deref().map_or(Found::Missing, read);
    let day = |seconds: i64, format: &'a TimeFormat| {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        Found::Time(UNIX_EPOCH + Duration::from_secs(seconds), format)
    };
    match fact {
        TlsFact::ChainFingerprints1 => peer(|identity| Found::Texts(&identity.chain_facts().sha1)),
        TlsFact::ChainFingerprints256 => {
            peer(|identity| Found::Texts(&identity.chain_facts().sha256))
        }
        TlsFact::ChainSerials => peer(|identity| Found::Texts(&identity.chain_facts().serials)),
        TlsFact::Cipher => text(non_empty(tls.cipher)),
        TlsFact::Group => text(non_empty(tls.group)),
        TlsFact::IssuerFingerprint256 => text(tls.issuer().map(|issuer| &*issuer.sha256)),
        TlsFact::IssuerSerial => text(tls.issuer().map(|issuer| &*issuer.serial)),
        TlsFact::LocalDnsSan => local(|identity| Found::List(&identity.dns_sans)),
        TlsFact::LocalEmailSan => local(|identity| Found::List(&identity.email_sans)),
        TlsFact::LocalIpSan => local(|identity| Found::List(&identity.ip_sans)),
        TlsFact::LocalOtherSan => local(|identity| Found::List(&identity.other_sans)),
        TlsFact::LocalSubject => local(|identity| text(non_empty(&identity.subject))),
        TlsFact::LocalUriSan => local(|identity| Found::List(&identity.uri_sans)),
        TlsFact::PeerCertificate => peer(|identity| match identity.der.as_slice() {
            [] => Found::Missing,
            der => Found::Certificate(der),
        }),
        TlsFact::PeerDnsSan => peer(|identity| Found::List(&identity.dns_sans)),
        TlsFact::PeerEmailSan => peer(|identity| Found::List(&identity.email_sans)),
        TlsFact::PeerFingerprint1 => {
            peer(|identity| text(identity.chain_facts().sha1.first().map(String::as_str)))
        }
        TlsFact::PeerFingerprint256 => peer(|identity| text(non_empty(&identity.sha256))),
        TlsFact::PeerIpSan => peer(|identity| Found::List(&identity.ip_sans)),
        TlsFact::PeerIssuer => peer(|identity| text(non_empty(&identity.issuer))),
        TlsFact::PeerNotAfter(format) => match tls.peer.as_deref() {
            Some(identity) => day(identity.not_after, format),
            None => Found::Missing,
        },
        TlsFact::PeerNotBefore(format) => match tls.peer.as_deref() {
            Some(identity) => day(identity.not_before, format),
            None => Found::Missing,
        },
        TlsFact::PeerOtherSan => peer(|identity| Found::List(&identity.other_sans)),
        TlsFact::PeerSerial => peer(|identity| text(non_empty(&identity.serial))),
        TlsFact::PeerSubject => peer(|identity| text(non_empty(&identity.subject))),
        TlsFact::PeerUriSan => peer(|identity| Found::List(&identity.uri_sans)),
        TlsFact::Version => text(non_empty(tls.version)),
    }
}
