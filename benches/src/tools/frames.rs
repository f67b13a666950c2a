//! Just enough HTTP/2 for tools: frames, and header blocks that need no state on either side.

/// The connection preface a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length of a frame's header in bytes.
pub const HEADER: usize = 9;
/// Flag END_STREAM of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Flag END_HEADERS of HEADERS.
pub const END_HEADERS: u8 = 4;
/// Flag ACK of SETTINGS and PING.
pub const ACK: u8 = 1;

/// Frame types these tools handle.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// RST_STREAM
    pub const RESET: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE
    pub const WINDOW: u8 = 8;
}

/// A frame whose bytes are all there.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: &'a [u8],
}

/// The first frame of `bytes`, if it is complete.
pub fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let head = bytes.first_chunk::<HEADER>()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    let payload = bytes.get(HEADER..HEADER + length)?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Appends a frame. `payload` must be below 2^24 bytes.
pub fn push(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a tool's frame is small").to_be_bytes();
    out.extend_from_slice(&[length[1], length[2], length[3], kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends one setting to a SETTINGS payload.
pub fn setting(out: &mut Vec<u8>, id: u16, value: u32) {
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

/// The number of a WINDOW_UPDATE.
pub fn window(payload: &[u8]) -> i64 {
    payload.first_chunk().map_or(0, |bytes| i64::from(u32::from_be_bytes(*bytes) & 0x7fff_ffff))
}

/// Appends a literal field that neither side indexes. Names and values are below 127 bytes.
pub fn literal(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(0);
    string(out, name);
    string(out, value);
}

/// Appends a literal field whose name is entry `index` (16 to 61) of the static table.
pub fn named(out: &mut Vec<u8>, index: u8, value: &str) {
    // RFC 7541 section 6.2.2: four bits of the index in the first byte.
    if index < 15 {
        out.push(index);
    } else {
        out.extend_from_slice(&[0x0f, index - 15]);
    }
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &str) {
    out.push(
        u8::try_from(text.len()).ok().filter(|&size| size < 127).expect("a tool's header is short"),
    );
    out.extend_from_slice(text.as_bytes());
}

/// Whether a response's header block begins with status 200 from the static table, as all proxies here encode it.
pub fn is_ok(block: &[u8]) -> bool {
    let mut at = 0;
    // RFC 7541 section 6.3: size updates may go before.
    while let Some(&byte) = block.get(at) {
        if byte & 0xe0 != 0x20 {
            break;
        }
        at += 1;
        if byte & 0x1f == 0x1f {
            while block.get(at).is_some_and(|byte| byte & 0x80 != 0) {
                at += 1;
            }
            at += 1;
        }
    }
    block.get(at) == Some(&0x88)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_as_it_was_pushed() {
        let mut bytes = Vec::new();
        push(&mut bytes, kind::DATA, END_STREAM, 5, b"abc");
        let frame = first(&bytes).unwrap();
        assert_eq!((frame.kind, frame.flags, frame.stream, frame.payload), (0, 1, 5, &b"abc"[..]));
        assert!(first(&bytes[..11]).is_none());
    }

    #[test]
    fn status_200_is_recognised_after_size_updates() {
        assert!(is_ok(&[0x88, 0x40]));
        assert!(is_ok(&[0x3f, 0xe1, 0x1f, 0x88]));
        assert!(is_ok(&[0x20, 0x88]));
        assert!(!is_ok(&[0x8d]));
    }
}
