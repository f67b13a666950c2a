//! The requests of other parsers' test suites: llhttp's and picohttpparser's (both MIT), and our own
//! valid ones. `expect` says what a proxy should do with them.

use serde_json::Value;

use super::*;

struct Case {
    id: String,
    expect: String,
    valid_before: usize,
    bytes: Vec<u8>,
}

fn cases(lines: &str) -> Vec<Case> {
    let parse = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let valid_before = usize::try_from(value["valid_before"].as_u64().unwrap_or(0)).unwrap();
        Case { id: text("id"), expect: text("expect"), valid_before, bytes: base64(&text("b64")) }
    };
    lines.lines().map(parse).collect()
}

fn base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let bits = text.bytes().filter(|c| *c != b'=').map(value);
    let (mut out, mut pending, mut held) = (Vec::new(), 0u32, 0);
    for six in bits {
        held = (held << 6) | u32::from(six);
        pending += 6;
        if pending >= 8 {
            pending -= 8;
            out.push(((held >> pending) & 0xff).try_into().unwrap());
        }
    }
    out
}

const VALID: &str = include_str!("corpora/valid.jsonl");
const LLHTTP: &str = include_str!("corpora/llhttp.jsonl");
const PICO: &str = include_str!("corpora/picohttpparser.jsonl");

#[tokio::test(start_paused = true)]
async fn valid_requests_are_served() {
    for case in cases(VALID) {
        let talk = talk(lenient(), Script::ok(), [&case.bytes[..]]).await;
        let statuses: Vec<_> = talk.statuses().into_iter().filter(|s| *s != 100).collect();
        let expected = if case.expect == "accept" { 200 } else { 400 };
        assert!(!statuses.is_empty(), "{}", case.id);
        assert!(statuses.iter().all(|s| *s == expected), "{}: {statuses:?}", case.id);
        assert!(case.expect != "accept" || talk.seen.iter().all(|s| s.body.is_ok()), "{}", case.id);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_that_other_parsers_refuse_is_served() {
    for case in cases(LLHTTP).into_iter().chain(cases(PICO)) {
        let talk = talk(lenient(), Script::ok(), [&case.bytes[..]]).await;
        let served = talk.seen.iter().filter(|seen| seen.body.is_ok()).count();
        if case.expect == "reject" {
            // what stands before the fault may be served; the fault itself never is
            let refused = talk.statuses().last().is_some_and(|status| *status >= 400);
            assert!(served <= case.valid_before || refused, "{}: {:?}", case.id, talk.text);
        }
        if case.expect == "accept" {
            assert_eq!(talk.statuses(), [200], "{}", case.id);
        }
    }
}

/// A head that is broken and incomplete is refused at once or when its time is up, depending on what
/// arrived together.
fn outcomes(talk: &Talk) -> Vec<u16> {
    talk.statuses().into_iter().map(|s| if s == 408 { 400 } else { s }).collect()
}

/// The property that makes every other test trustworthy: packets do not matter.
#[tokio::test(start_paused = true)]
async fn every_request_means_the_same_however_it_is_split() {
    for case in cases(VALID).into_iter().chain(cases(LLHTTP)).chain(cases(PICO)) {
        if case.bytes.len() > 4096 {
            continue;
        }
        let whole = talk(lenient(), Script::ok(), [&case.bytes[..]]).await;
        for step in [1, 2, 3, 7, 16] {
            let split = talk(lenient(), Script::ok(), case.bytes.chunks(step)).await;
            assert_eq!(outcomes(&whole), outcomes(&split), "{} by {step}", case.id);
            assert_eq!(whole.seen, split.seen, "{} by {step}", case.id);
        }
    }
}
