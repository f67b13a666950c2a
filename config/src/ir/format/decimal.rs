//! Numbers as decimal digits, without the machinery of `std::fmt`: a log line has a dozen of them.

use std::net::IpAddr;
use std::net::SocketAddr;

use super::put;

/// Digits of the largest `u64`.
const MOST_DIGITS: usize = 20;

/// Appends `number`.
pub(super) fn write(number: u64, out: &mut Vec<u8>) {
    write_padded(number, 1, b'0', out);
}

/// Appends `number`, filled up in front to `width` digits (at most 20).
pub(super) fn write_padded(mut number: u64, width: usize, filler: u8, out: &mut Vec<u8>) {
    let mut digits = [filler; MOST_DIGITS];
    let mut at = MOST_DIGITS;
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at.min(MOST_DIGITS - width)..]);
}

/// Appends an address.
pub(super) fn write_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let [first, rest @ ..] = address.octets();
            write(first.into(), out);
            for octet in rest {
                out.push(b'.');
                write(octet.into(), out);
            }
        }
        IpAddr::V6(address) => put(out, format_args!("{address}")),
    }
}

/// Appends an address with its port.
pub(super) fn write_socket(address: SocketAddr, out: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(address) => {
            write_ip((*address.ip()).into(), out);
            out.push(b':');
            write(address.port().into(), out);
        }
        SocketAddr::V6(address) => put(out, format_args!("{address}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(append: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_written_as_std_writes_them() {
        for number in [0, 9, 10, 99, 100, 12_345, u64::MAX] {
            assert_eq!(written(|out| write(number, out)), number.to_string());
        }
        assert_eq!(written(|out| write_padded(7, 3, b'0', out)), "007");
        assert_eq!(written(|out| write_padded(7, 2, b' ', out)), " 7");
        assert_eq!(written(|out| write_padded(1_234, 2, b'0', out)), "1234");
        assert_eq!(written(|out| write_padded(u64::MAX, 20, b'0', out)), u64::MAX.to_string());
    }

    #[test]
    fn addresses_are_written_as_std_writes_them() {
        for address in ["10.0.0.255:8080", "0.0.0.0:0", "[::1]:443", "[2001:db8::7]:65535"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(written(|out| write_socket(address, out)), address.to_string());
            assert_eq!(written(|out| write_ip(address.ip(), out)), address.ip().to_string());
        }
    }
}
