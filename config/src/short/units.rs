//! The little notations of the short form: addresses, durations, rates, shares.

use serde_json::{Value, json};

/// Reads `250ms`, `15s`, `5m`, `1h` into protobuf's JSON form. `0` and `off` are zero.
pub(super) fn duration(text: &str) -> Result<String, String> {
    if matches!(text, "0" | "off") {
        return Ok("0s".to_owned());
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "" => return Err(format!("{text:?} has no unit: write ms, s, m or h (such as {text}s)")),
        _ => return Err(format!("unknown unit {unit:?} in {text:?}: write ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text:?} is not a duration"))?;
    let seconds = number * scale;
    if !(0.0..=315_576_000.0).contains(&seconds) {
        return Err(format!("{text:?} is longer than ten years"));
    }
    let rounded = format!("{seconds:.9}");
    Ok(format!("{}s", rounded.trim_end_matches('0').trim_end_matches('.')))
}

/// Reads `500/s`, `10k/m`, `1M/day` into a number and the time it is for.
pub(super) fn rate(text: &str) -> Result<(u32, &'static str), String> {
    let wrong = || format!("{text:?} is not a rate: write a number and a time, such as 500/s");
    let (count, per) = text.split_once('/').ok_or_else(wrong)?;
    let per = match per.trim() {
        "s" | "sec" | "second" => "1s",
        "m" | "min" | "minute" => "60s",
        "h" | "hour" => "3600s",
        "d" | "day" => "86400s",
        _ => return Err(wrong()),
    };
    let count = number(count.trim()).ok_or_else(wrong)?;
    Ok((count, per))
}

/// Reads `250`, `10k`, `2M`.
pub(super) fn number(text: &str) -> Option<u32> {
    let (digits, scale) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1_000_000),
            None => (text, 1),
        },
    };
    digits.parse::<u32>().ok()?.checked_mul(scale)
}

/// Reads `5%` or `0.5%`.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let value = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    value
        .filter(|value| (0.0..=100.0).contains(value))
        .ok_or_else(|| format!("{text:?} is not a share: write 0% to 100%"))
}

/// Where something listens or is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Ip(String, u16),
    Name(String, u16),
    Unix(String),
}

impl Address {
    /// Reads `10.0.0.1:80`, `[::1]:80`, `example.com:80`, `unix:/run/a.sock`; `:80` has the host
    /// `default_host`.
    pub(super) fn parse(text: &str, default_host: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(format!("{text:?} needs an absolute path, such as unix:/run/a.sock"));
            }
            return Ok(Self::Unix(path.to_owned()));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!("{text:?} is a URL: leave out {scheme:?} and any path"));
        }
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| format!("{text:?} has no port: write host:port"))?;
        let port: u16 =
            port.parse().map_err(|_| format!("{port:?} in {text:?} is not a port (0 to 65535)"))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bare.unwrap_or(host) {
            "" => default_host,
            host => host,
        };
        if host.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self::Ip(host.to_owned(), port));
        }
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.bytes().all(name) {
            return Ok(Self::Name(host.to_owned(), port));
        }
        Err(format!("{host:?} in {text:?} is neither an IP address nor a host name"))
    }

    /// `envoy.config.core.v3.Address`.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Ip(host, port) | Self::Name(host, port) => {
                json!({"socket_address": {"address": host, "port_value": port}})
            }
            Self::Unix(path) => json!({"pipe": {"path": path}}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, duration, percent, rate};

    #[test]
    fn durations_are_written_with_their_unit() {
        assert_eq!(duration("250ms").as_deref(), Ok("0.25s"));
        assert_eq!(duration("5m").as_deref(), Ok("300s"));
        assert_eq!(duration("off").as_deref(), Ok("0s"));
        assert!(duration("15").unwrap_err().contains("15s"));
        assert!(duration("15 sec").unwrap_err().contains("unknown unit"));
    }

    #[test]
    fn rates_take_thousands_and_days() {
        assert_eq!(rate("500/s"), Ok((500, "1s")));
        assert_eq!(rate("1M/day"), Ok((1_000_000, "86400s")));
        assert!(rate("5000M/s").is_err());
        assert!(rate("5").is_err());
    }

    #[test]
    fn shares_stay_between_nothing_and_all() {
        assert_eq!(percent("0.5%"), Ok(0.5));
        assert!(percent("101%").is_err());
        assert!(percent("5").is_err());
    }

    #[test]
    fn addresses_are_told_apart() {
        let parse = |text| Address::parse(text, "127.0.0.1");
        assert_eq!(parse(":80"), Ok(Address::Ip("127.0.0.1".into(), 80)));
        assert_eq!(parse("[::1]:80"), Ok(Address::Ip("::1".into(), 80)));
        assert_eq!(parse("a.b:80"), Ok(Address::Name("a.b".into(), 80)));
        assert_eq!(parse("unix:/a"), Ok(Address::Unix("/a".into())));
        assert!(parse("http://a:80").unwrap_err().contains("URL"));
        assert!(parse("a").unwrap_err().contains("no port"));
        assert!(parse("a:99999").unwrap_err().contains("not a port"));
    }
}
