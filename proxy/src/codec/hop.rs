//! Fields that belong to one connection and must not pass a proxy (RFC 9110 §7.6.1).
//!
//! The one place that knows them, for requests and responses of every protocol version.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

/// Most fields a `Connection` header may nominate: Envoy's limit.
const MAX_NOMINATED: usize = 10;

/// Fields a request's `Connection` may not have removed: Envoy refuses such a request, because what
/// they say about the client would be lost to the next hop.
const PROTECTED: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// True for a field that describes the connection, whatever `Connection` says.
/// `te`, `upgrade` and what `Connection` nominates need more than the name.
pub fn is_hop_by_hop(name: &HeaderName) -> bool {
    name == header::CONNECTION
        || name == header::TRANSFER_ENCODING
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// What `te` may say to the next hop: only that trailers are welcome.
pub fn forwarded_te(value: &[u8]) -> Option<HeaderValue> {
    value
        .split(|b| *b == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(b"trailers"))
        .then(|| HeaderValue::from_static("trailers"))
}

/// The options of all `Connection` (and `Proxy-Connection`) fields of a message.
#[derive(Debug, Default)]
pub struct ConnectionOptions {
    /// The sender closes the connection after this message.
    pub close: bool,
    /// The sender of an HTTP/1.0 message keeps the connection open.
    pub keep_alive: bool,
    /// The `upgrade` option, which makes an `Upgrade` field count.
    pub upgrade: bool,
    nominated: Vec<HeaderName>,
}

/// A `Connection` field asks for what must not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl ConnectionOptions {
    /// Reads one field value.
    pub fn add(&mut self, value: &[u8]) -> Result<(), Refused> {
        for option in value.split(|b| *b == b',') {
            let option = option.trim_ascii();
            match option.len() {
                0 => {}
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                // `te` is sent on in its reduced form whether nominated or not
                2 if option.eq_ignore_ascii_case(b"te") => {}
                _ => self.nominate(option)?,
            }
        }
        Ok(())
    }

    /// Removes the nominated fields. The others keep their order, which `HeaderMap::remove` would not.
    pub fn remove_nominated(&self, headers: &mut HeaderMap) {
        if !self.nominated.iter().any(|name| headers.contains_key(name)) {
            return;
        }
        let mut current = None;
        for (name, value) in std::mem::take(headers) {
            // a name comes with the first of its values only
            current = name.or(current);
            if let Some(name) = current.as_ref().filter(|name| !self.nominated.contains(name)) {
                headers.append(name.clone(), value);
            }
        }
    }

    fn nominate(&mut self, option: &[u8]) -> Result<(), Refused> {
        // a pseudo field (":path") and anything else that is not a token names no field at all
        let name = HeaderName::from_bytes(option).map_err(|_| Refused)?;
        if self.nominated.len() == MAX_NOMINATED || PROTECTED.contains(&name.as_str()) {
            return Err(Refused);
        }
        self.nominated.push(name);
        Ok(())
    }
}

/// Removes every hop-by-hop field of a message that came as a header map (HTTP/2, or made by a
/// filter); `upgrade` goes too. Returns what `Connection` said.
pub fn strip(headers: &mut HeaderMap) -> Result<ConnectionOptions, Refused> {
    let mut options = ConnectionOptions::default();
    // Most messages have none: one look at the names is cheaper than a look-up for each.
    let is_concerned =
        |name: &HeaderName| is_hop_by_hop(name) || name == header::UPGRADE || name == header::TE;
    if !headers.keys().any(is_concerned) {
        return Ok(options);
    }
    for value in headers.get_all(header::CONNECTION) {
        options.add(value.as_bytes())?;
    }
    for name in [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
    if let Some(te) = headers.get(header::TE) {
        match forwarded_te(te.as_bytes()) {
            Some(value) => {
                headers.insert(header::TE, value);
            }
            None => {
                headers.remove(header::TE);
            }
        }
    }
    options.remove_nominated(headers);
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_connection_fields_and_what_they_nominate() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", HeaderValue::from_static("close, X-Secret ,te"));
        headers.insert("x-secret", HeaderValue::from_static("1"));
        headers.insert("keep-alive", HeaderValue::from_static("timeout=1"));
        headers.insert("te", HeaderValue::from_static("gzip, trailers"));
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let options = strip(&mut headers).unwrap();
        assert!(options.close);
        let mut left: Vec<_> =
            headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, [("accept", "*/*"), ("te", "trailers")]);
    }

    #[test]
    fn refuses_to_remove_forwarding_fields_pseudo_fields_and_long_lists() {
        for value in ["x-forwarded-for", ":path", "a,b,c,d,e,f,g,h,i,j,k"] {
            assert!(ConnectionOptions::default().add(value.as_bytes()).is_err(), "{value}");
        }
    }
}
