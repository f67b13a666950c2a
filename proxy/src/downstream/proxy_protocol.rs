//! The PROXY protocol's header, versions 1 and 2 (haproxy.org `proxy-protocol.txt`).

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// The longest header that is read: version 2 with its largest length.
pub(crate) const MAX_HEADER: usize = 16 + u16::MAX as usize;

/// Version 1 is one line of at most this.
const MAX_LINE: usize = 107;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// No PROXY header.
    Absent,
    /// A header.
    Header {
        /// Its length in bytes.
        length: usize,
        /// (source, destination); `None` for `LOCAL`, `UNKNOWN` and families without addresses.
        addresses: Option<(SocketAddr, SocketAddr)>,
    },
    /// It could become one.
    Incomplete,
    /// It claims to be one and is not.
    Invalid,
}

/// Reads the first bytes of a connection.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let prefix = |of: &[u8]| {
        let n = bytes.len().min(of.len());
        bytes[..n] == of[..n]
    };
    if prefix(SIGNATURE) {
        return if bytes.len() < 16 { Parsed::Incomplete } else { version_2(bytes) };
    }
    if prefix(b"PROXY ") {
        return match bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') {
            Some(end) => version_1(&bytes[..end], end + 1),
            None if bytes.len() < MAX_LINE => Parsed::Incomplete,
            None => Parsed::Invalid,
        };
    }
    Parsed::Absent
}

fn version_1(line: &[u8], length: usize) -> Parsed {
    let Some(text) = line.strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok())
    else {
        return Parsed::Invalid;
    };
    let mut words = text.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        return Parsed::Header { length, addresses: None };
    }
    let mut address = || words.next()?.parse::<IpAddr>().ok();
    let (source, destination) = (address(), address());
    let mut port = || words.next()?.parse::<u16>().ok();
    let (source_port, destination_port) = (port(), port());
    let (Some(source), Some(destination), Some(source_port), Some(destination_port), None) =
        (source, destination, source_port, destination_port, words.next())
    else {
        return Parsed::Invalid;
    };
    let fits = match family {
        Some("TCP4") => source.is_ipv4() && destination.is_ipv4(),
        Some("TCP6") => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    if !fits {
        return Parsed::Invalid;
    }
    let source = SocketAddr::new(source, source_port);
    let destination = SocketAddr::new(destination, destination_port);
    Parsed::Header { length, addresses: Some((source, destination)) }
}

fn version_2(bytes: &[u8]) -> Parsed {
    let (version, family) = (bytes[12], bytes[13]);
    let payload = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let length = 16 + payload;
    let (version, command) = (version >> 4, version & 0xf);
    if version != 2 || command > 1 {
        return Parsed::Invalid;
    }
    let Some(body) = bytes.get(16..length) else { return Parsed::Incomplete };
    if command == 0 {
        return Parsed::Header { length, addresses: None };
    }
    let port = |at: usize| Some(u16::from_be_bytes([*body.get(at)?, *body.get(at + 1)?]));
    let addresses = match family {
        0x11 => {
            let address = |at: usize| {
                let bytes: [u8; 4] = body.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(bytes)))
            };
            (|| {
                Some((
                    SocketAddr::new(address(0)?, port(8)?),
                    SocketAddr::new(address(4)?, port(10)?),
                ))
            })()
        }
        0x21 => {
            let address = |at: usize| {
                let bytes: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(bytes)))
            };
            (|| {
                Some((
                    SocketAddr::new(address(0)?, port(32)?),
                    SocketAddr::new(address(16)?, port(34)?),
                ))
            })()
        }
        // Other families: a proxy that does not know them ignores the addresses.
        _ => return Parsed::Header { length, addresses: None },
    };
    match addresses {
        Some(addresses) => Parsed::Header { length, addresses: Some(addresses) },
        None => Parsed::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_version_1_is_read_however_it_is_cut() {
        let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n";
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Parsed::Incomplete, "{cut}");
        }
        let want = ("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
        assert_eq!(parse(header), Parsed::Header { length: 40, addresses: Some(want) });
    }

    #[test]
    fn lines_that_lie_are_invalid() {
        for line in [
            &b"PROXY TCP4 ::1 ::1 1 2\r\n"[..],
            b"PROXY TCP4 192.0.2.1 192.0.2.2 70000 80\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
        ] {
            assert_eq!(parse(line), Parsed::Invalid);
        }
        assert_eq!(parse(b"GET / HTTP/1.1"), Parsed::Absent);
    }

    #[test]
    fn version_2_gives_addresses_and_skips_what_follows_them() {
        let mut header = SIGNATURE.to_vec();
        header.extend([0x21, 0x11, 0, 14, 192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0, 80, 9, 9]);
        assert_eq!(parse(&header[..20]), Parsed::Incomplete);
        let want = ("192.0.2.1:5000".parse().unwrap(), "192.0.2.2:80".parse().unwrap());
        assert_eq!(parse(&header), Parsed::Header { length: 30, addresses: Some(want) });
        header[15] = 3;
        assert_eq!(parse(&header), Parsed::Invalid);
        header[12] = 0x31;
        assert_eq!(parse(&header), Parsed::Invalid);
    }
}
