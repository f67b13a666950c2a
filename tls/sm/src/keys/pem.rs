//! PEM (RFC 7468), as tolerant of white space and line lengths as operators' files need.

use base64ct::Base64;
use base64ct::Encoding as _;
use zeroize::Zeroize as _;
use zeroize::Zeroizing;

use super::KeyFileError;

/// The blocks that hold private keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    Encrypted,
    Enveloped,
    Other,
    Pkcs8,
    Sec1,
}

const LABELS: [(&str, Label); 7] = [
    ("EC PRIVATE KEY", Label::Sec1),
    ("ENCRYPTED PRIVATE KEY", Label::Encrypted),
    ("PRIVATE KEY", Label::Pkcs8),
    ("RSA PRIVATE KEY", Label::Other),
    ("SM2 ENCRYPTED KEY", Label::Enveloped),
    ("SM2 ENVELOPED KEY", Label::Enveloped),
    // What OpenSSL calls SEC1 of this curve.
    ("SM2 PRIVATE KEY", Label::Sec1),
];

/// The first block with a private key and its contents.
pub(super) fn first_key(text: &[u8]) -> Result<(Label, Zeroizing<Vec<u8>>), KeyFileError> {
    let mut lines = text.split(|&byte| byte == b'\n' || byte == b'\r').map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(&(name, label)) =
            LABELS.iter().find(|(name, _)| is_boundary(line, b"-----BEGIN ", name))
        else {
            continue;
        };
        // Base64 is shorter than the text, so the buffer never grows and no copy stays behind.
        let mut base64 = Zeroizing::new(Vec::with_capacity(text.len()));
        for line in lines.by_ref() {
            if is_boundary(line, b"-----END ", name) {
                return Ok((label, decode(&base64).ok_or(KeyFileError::Pem { label: name })?));
            }
            if line.starts_with(b"Proc-Type:") {
                return Err(KeyFileError::LegacyEncryption);
            }
            base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
        return Err(KeyFileError::Pem { label: name });
    }
    Err(KeyFileError::NoKey)
}

/// A block with lines of 64 characters.
pub(super) fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut base64 = Zeroizing::new(vec![0; Base64::encoded_len(der)]);
    let text =
        Base64::encode(der, &mut base64).expect("the buffer has the length that was asked for");
    let mut out =
        Zeroizing::new(String::with_capacity(text.len() + text.len() / 64 + 2 * label.len() + 40));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// Decodes in constant time, as the text is the key.
fn decode(base64: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(vec![0; base64.len() / 4 * 3 + 3]);
    let length = Base64::decode(base64, &mut out).ok()?.len();
    out[length..].zeroize();
    out.truncate(length);
    Some(out)
}

fn is_boundary(line: &[u8], start: &[u8], label: &str) -> bool {
    line.strip_prefix(start)
        .and_then(|rest| rest.strip_prefix(label.as_bytes()))
        .is_some_and(|rest| rest == b"-----")
}
