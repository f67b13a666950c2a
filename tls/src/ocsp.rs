//! OCSP responses for our own certificates, as far as a server that staples them has to understand them
//! (RFC 6960 §4.2.1): whose they are, and until when they hold. Their signature is the client's concern.

/// A response to staple.
#[derive(Debug)]
pub(crate) struct Staple {
    /// Seconds since the Unix epoch; `None`: it does not say.
    next_update: Option<u64>,
}

impl Staple {
    /// Reads a response for the certificate with this serial number.
    ///
    /// # Errors
    /// In Envoy's words, where it has some.
    pub(crate) fn read(response: &[u8], serial: &[u8]) -> Result<Self, &'static str> {
        let (status, basic) = outer(response).ok_or("the OCSP response cannot be read")?;
        if status != SUCCESSFUL {
            return Err("OCSP response was unsuccessful");
        }
        let answers =
            basic.and_then(single_responses).ok_or("OCSP response has no body that can be read")?;
        let (answer, others) = answers.take(SEQUENCE).ok_or("OCSP response has no answer")?;
        if !others.0.is_empty() {
            return Err("OCSP Response must be for one certificate only");
        }
        let (known, next_update) = single(answer).ok_or("the OCSP response cannot be read")?;
        let significant = |number: &'_ [u8]| {
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            number.get(zeros..).unwrap_or_default().to_vec()
        };
        if significant(known) != significant(serial) {
            return Err("OCSP response does not match its TLS certificate");
        }
        Ok(Self { next_update })
    }

    /// Until when the response holds, in seconds since the Unix epoch, if it says so.
    pub(crate) fn next_update(&self) -> Option<u64> {
        self.next_update
    }

    /// Whether the response still holds. One that does not say until when holds no longer, as in Envoy.
    pub(crate) fn is_valid(&self, now: u64) -> bool {
        self.next_update.is_some_and(|until| now <= until)
    }
}

/// `OCSPResponse`: its status and the `BasicOCSPResponse` in it.
fn outer(response: &[u8]) -> Option<(u8, Option<Reader<'_>>)> {
    let (mut fields, rest) = Reader(response).take(SEQUENCE)?;
    if !rest.0.is_empty() {
        return None;
    }
    let status = *fields.next(ENUMERATED)?.0.first()?;
    if fields.0.is_empty() {
        return Some((status, None));
    }
    let mut explicit = fields.next(CONTEXT_0)?;
    let mut bytes = explicit.next(SEQUENCE)?;
    bytes.next(OBJECT_IDENTIFIER)?;
    let (basic, _) = bytes.next(OCTET_STRING)?.take(SEQUENCE)?;
    Some((status, Some(basic)))
}

fn single_responses(mut basic: Reader<'_>) -> Option<Reader<'_>> {
    let mut data = basic.next(SEQUENCE)?;
    if data.0.first() == Some(&CONTEXT_0) {
        data.next(CONTEXT_0)?; // version
    }
    data.any()?; // responderID
    data.next(GENERALIZED_TIME)?; // producedAt
    data.next(SEQUENCE)
}

/// Serial number and `nextUpdate` of a `SingleResponse`.
fn single(mut answer: Reader<'_>) -> Option<(&[u8], Option<u64>)> {
    let mut id = answer.next(SEQUENCE)?;
    id.next(SEQUENCE)?;
    id.next(OCTET_STRING)?;
    id.next(OCTET_STRING)?;
    let serial = id.next(INTEGER)?.0;
    answer.any()?; // certStatus
    answer.next(GENERALIZED_TIME)?; // thisUpdate
    let next_update = match answer.0.first() {
        Some(&CONTEXT_0) => {
            let mut explicit = answer.next(CONTEXT_0)?;
            Some(seconds(explicit.next(GENERALIZED_TIME)?.0)?)
        }
        _ => None,
    };
    Some((serial, next_update))
}

/// `YYYYMMDDHHMMSSZ` in seconds since the Unix epoch; times before it count as 0.
fn seconds(time: &[u8]) -> Option<u64> {
    let digits = time.strip_suffix(b"Z").filter(|digits| digits.len() == 14)?;
    let number = |from: usize, to: usize| {
        std::str::from_utf8(digits.get(from..to)?).ok()?.parse::<u64>().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 0000-03-01, with the year beginning in March so that leap days come last.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let Some(days) = days.checked_sub(719_468) else { return Some(0) };
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// What is left of a DER value.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// The contents of the next value, which must have this tag, and what follows.
    fn take(self, tag: u8) -> Option<(Self, Self)> {
        let (first, rest) = self.0.split_first()?;
        if *first != tag {
            return None;
        }
        let (length, rest) = rest.split_first()?;
        let (length, rest) = match *length {
            short @ 0..=0x7f => (usize::from(short), rest),
            long @ 0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        Some((Self(contents), Self(rest)))
    }

    fn next(&mut self, tag: u8) -> Option<Self> {
        let (contents, rest) = self.take(tag)?;
        *self = rest;
        Some(contents)
    }

    fn any(&mut self) -> Option<Self> {
        self.next(*self.0.first()?)
    }
}

const SUCCESSFUL: u8 = 0;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const ENUMERATED: u8 = 0x0a;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const CONTEXT_0: u8 = 0xa0;

#[cfg(test)]
mod tests {
    use super::Staple;
    use super::seconds;

    /// A value with its tag and length.
    fn der(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
        let contents = contents.concat();
        let mut out = vec![tag, 0x82];
        out.extend(u16::try_from(contents.len()).unwrap().to_be_bytes());
        out.extend(contents);
        out
    }

    fn response(status: u8, serial: &[u8], next: Option<&[u8]>) -> Vec<u8> {
        let id = der(0x30, &[&der(0x30, &[]), &der(4, &[]), &der(4, &[]), &der(2, &[serial])]);
        let next = next.map_or_else(Vec::new, |time| der(0xa0, &[&der(0x18, &[time])]));
        let single = der(0x30, &[&id, &[0x80, 0], &der(0x18, &[b"20260101000000Z"]), &next]);
        let answers = der(0x30, &[&single]);
        let data = der(0x30, &[&der(0xa2, &[]), &der(0x18, &[b"20260101000000Z"]), &answers]);
        let basic = der(4, &[&der(0x30, &[&data])]);
        let bytes = der(0xa0, &[&der(0x30, &[&der(6, &[]), &basic])]);
        der(0x30, &[&[0x0a, 1, status], &bytes])
    }

    #[test]
    fn a_response_holds_until_its_next_update() {
        let staple = Staple::read(&response(0, &[0, 9], Some(b"20260102000000Z")), &[9]).unwrap();
        let until = seconds(b"20260102000000Z").unwrap();
        assert!(staple.is_valid(until) && !staple.is_valid(until + 1));
        assert!(!Staple::read(&response(0, &[9], None), &[9]).unwrap().is_valid(until));
    }

    #[test]
    fn a_response_for_another_certificate_a_failed_one_and_a_cut_one_are_refused() {
        let good = response(0, &[9], None);
        assert!(Staple::read(&good, &[8]).unwrap_err().contains("does not match"));
        assert!(Staple::read(&response(6, &[9], None), &[9]).unwrap_err().contains("unsuccessful"));
        for cut in 0..good.len() {
            assert!(Staple::read(&good[..cut], &[9]).is_err());
        }
    }

    #[test]
    fn times_are_seconds_since_the_epoch() {
        assert_eq!(seconds(b"19700101000000Z"), Some(0));
        assert_eq!(seconds(b"20000229235959Z"), Some(951_868_799));
        assert_eq!(seconds(b"20261121184423Z"), Some(1_795_286_663));
        assert_eq!(seconds(b"20261321184423Z"), None);
        assert_eq!(seconds(b"2026112118442Z"), None);
    }
}
