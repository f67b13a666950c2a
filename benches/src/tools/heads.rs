//! Just enough HTTP/1 for tools that talk to proxies they trust.

/// Where the head ends (after its empty line), if it is complete.
pub fn end(bytes: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == b'\n') {
        let next = from + at + 1;
        if bytes[next..].starts_with(b"\r\n") {
            return Some(next + 2);
        }
        from = next;
    }
    None
}

/// The value of the first field `name` (lower case) of a head.
pub fn field<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').skip(1).find_map(|line| {
        let colon = line.iter().position(|&byte| byte == b':')?;
        line[..colon].eq_ignore_ascii_case(name.as_bytes()).then(|| line[colon + 1..].trim_ascii())
    })
}

/// A decimal number; `None` when it is none.
pub fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How the body of a response is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunks.
    Chunked,
}

/// The framing that a head announces; neither field means an empty body here.
pub fn framing(head: &[u8]) -> Framing {
    if let Some(length) = field(head, "content-length").and_then(number) {
        return Framing::Length(length);
    }
    match field(head, "transfer-encoding") {
        Some(_) => Framing::Chunked,
        None => Framing::Length(0),
    }
}

/// The size of a complete chunked body at the start of `bytes`, with its framing.
pub fn chunked_size(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(digits.split(';').next()?.trim(), 16).ok()?;
        at += line + 2 + size + 2;
        if size == 0 {
            return Some(at);
        }
        if at > bytes.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_after_its_empty_line() {
        assert_eq!(end(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody"), Some(27));
        assert_eq!(end(b"GET / HTTP/1.1\r\nhost: a\r\n\r"), None);
    }

    #[test]
    fn a_field_is_found_whatever_its_letter_case() {
        let head = b"HTTP/1.1 200 OK\r\nContent-LENGTH:  12 \r\n\r\n";
        assert_eq!(framing(head), Framing::Length(12));
    }

    #[test]
    fn a_chunked_body_is_complete_with_its_last_chunk() {
        assert_eq!(chunked_size(b"3\r\nabc\r\n0\r\n\r\nX"), Some(13));
        assert_eq!(chunked_size(b"3\r\nabc\r\n"), None);
    }
}
