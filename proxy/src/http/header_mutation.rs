//! Applies the header changes of a route.

use http::HeaderMap;
use http::HeaderValue;
use http::Request;
use http::Response;
use palanquin_config::ir::format::FormatCx;
use palanquin_config::ir::format::Headers;
use palanquin_config::ir::header_mutation::AppendAction;
use palanquin_config::ir::header_mutation::HeaderMutations;
use palanquin_filter_api::Body;

use super::stream::Stream;

/// Changes the headers of a request.
pub(crate) fn request<'a>(
    request: &mut Request<Body>,
    levels: impl Iterator<Item = &'a HeaderMutations>,
    stream: &Stream,
) {
    for level in levels.filter(|level| !level.is_empty()) {
        let values = evaluate(level, &stream.format_cx(FormatCx::request(request, &stream.cx)));
        apply(request.headers_mut(), level, values);
    }
}

/// Changes the headers of a response. What its formats read of the request was kept when it left.
pub(crate) fn response<'a>(
    response: &mut Response<Body>,
    levels: impl Iterator<Item = &'a HeaderMutations>,
    stream: &Stream,
) {
    for level in levels.filter(|level| !level.is_empty()) {
        let cx = FormatCx {
            request: stream.request_for_response.as_ref().map(|kept| kept.head()),
            response: Headers::Map(response.headers()),
            ..FormatCx::new(&stream.cx)
        };
        let values = evaluate(level, &stream.format_cx(cx));
        apply(response.headers_mut(), level, values);
    }
}

/// The values of a level, before its first header changes.
fn evaluate(level: &HeaderMutations, cx: &FormatCx<'_>) -> Vec<Option<HeaderValue>> {
    let mut text = Vec::new();
    level
        .add
        .iter()
        .map(|addition| {
            if let Some(fixed) = addition.value.as_header_value() {
                return Some(fixed.clone());
            }
            text.clear();
            addition.value.write_header(cx, &mut text);
            HeaderValue::from_bytes(&text).ok()
        })
        .collect()
}

fn apply(headers: &mut HeaderMap, level: &HeaderMutations, values: Vec<Option<HeaderValue>>) {
    for name in &level.remove {
        headers.remove(name);
    }
    for (addition, value) in level.add.iter().zip(values) {
        let Some(value) = value.filter(|value| !value.is_empty() || addition.keep_empty_value)
        else {
            continue;
        };
        let present = headers.contains_key(&addition.name);
        match addition.action {
            AppendAction::AppendIfExistsOrAdd => {
                headers.append(&addition.name, value);
            }
            AppendAction::AddIfAbsent if present => {}
            AppendAction::OverwriteIfExists if !present => {}
            AppendAction::AddIfAbsent
            | AppendAction::OverwriteIfExists
            | AppendAction::OverwriteIfExistsOrAdd => {
                headers.insert(&addition.name, value);
            }
        }
    }
}
