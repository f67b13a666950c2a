//! Headers that configuration adds and removes.

use palanquin_proto::envoy::config::core::v3 as pb;
use palanquin_proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;

use super::Lowering;
use crate::ir::format::Format;
use crate::ir::format::Missing;
use crate::ir::header_mutation::AppendAction;
use crate::ir::header_mutation::HeaderAddition;
use crate::ir::header_mutation::HeaderMutations;

/// Which headers a scope changes; the two field names follow from it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Direction {
    Request,
    Response,
}

impl Lowering<'_> {
    /// `request_headers_to_{add,remove}` or `response_headers_to_{add,remove}` of one scope.
    pub(super) fn header_mutations(
        &mut self,
        direction: Direction,
        add: &[pb::HeaderValueOption],
        remove: &[String],
    ) -> HeaderMutations {
        let (add_field, remove_field) = match direction {
            Direction::Request => ("request_headers_to_add", "request_headers_to_remove"),
            Direction::Response => ("response_headers_to_add", "response_headers_to_remove"),
        };
        HeaderMutations {
            remove: self.list(remove_field, remove, |cx, name| {
                if is_untouchable(name) {
                    cx.error(format!("{name:?}: :-prefixed or host headers may not be removed"));
                    return None;
                }
                http::HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| cx.error(format!("{name:?} is not a header name")))
                    .ok()
            }),
            add: self.list(add_field, add, Self::header_addition),
        }
    }

    fn header_addition(&mut self, option: &pb::HeaderValueOption) -> Option<HeaderAddition> {
        let Some(header) = &option.header else {
            self.error_in("header", "is necessary");
            return None;
        };
        let action = self.append_action(option);
        let (name, value) = self.field("header", |cx| {
            if is_untouchable(&header.key) {
                let text =
                    format!("{:?}: :-prefixed or host headers may not be modified", header.key);
                cx.error_in("key", text)
                    .hint("the host is changed by host_rewrite_literal and the like");
                return (None, None);
            }
            (cx.header_name("key", &header.key), cx.header_format(header))
        });
        Some(HeaderAddition {
            name: name?,
            value: value?,
            action: action?,
            keep_empty_value: option.keep_empty_value,
        })
    }

    fn append_action(&mut self, option: &pb::HeaderValueOption) -> Option<AppendAction> {
        #[expect(deprecated, reason = "Envoy still accepts the old form")]
        let append = option.append;
        match append {
            Some(_) if option.append_action != 0 => {
                self.error_in("append", "append and append_action exclude each other");
                None
            }
            Some(true) => Some(AppendAction::AppendIfExistsOrAdd),
            Some(false) => Some(AppendAction::OverwriteIfExistsOrAdd),
            None => Some(match option.append_action() {
                HeaderAppendAction::AppendIfExistsOrAdd => AppendAction::AppendIfExistsOrAdd,
                HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
                HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteIfExistsOrAdd,
                HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
            }),
        }
    }

    fn header_format(&mut self, header: &pb::HeaderValue) -> Option<Format> {
        let raw;
        let (field, text) = if header.value.is_empty() {
            raw = String::from_utf8_lossy(&header.raw_value);
            ("raw_value", raw.as_ref())
        } else {
            ("value", header.value.as_str())
        };
        if text.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
            self.error_in(field, format!("{text:?} is not a header value"));
            return None;
        }
        self.format(field, text, Missing::Empty)
    }

    /// A text with operators.
    pub(super) fn format(&mut self, field: &str, text: &str, missing: Missing) -> Option<Format> {
        match Format::compile(text, missing) {
            Ok(format) => {
                let unmeasured: Vec<_> = format.unmeasured().collect();
                for operator in unmeasured {
                    self.warning_in(
                        field,
                        format!("%{operator}% is not measured yet: it is empty"),
                    );
                }
                Some(format)
            }
            Err(error) => {
                let suggestion = error.kind.suggestion();
                let problem = self.error_in(field, error.to_string());
                if let Some(close) = suggestion {
                    problem.hint(format!("did you mean %{close}%?"));
                }
                None
            }
        }
    }
}

/// Pseudo-headers and `host` are the request line's business (Envoy's `HeaderParser`).
fn is_untouchable(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}
