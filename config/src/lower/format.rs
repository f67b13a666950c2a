//! Formats of log lines: text or JSON with command operators.

use palanquin_proto::envoy::config::core::v3 as pb;

use super::Lowering;
use super::core::metadata_map;
use crate::ir::access_log::Line;
use crate::ir::format::FormatError;
use crate::ir::format::JsonFormat;
use crate::ir::format::Missing;

impl Lowering<'_> {
    /// `core.v3.SubstitutionFormatString`, for a log.
    pub(super) fn substitution_format(
        &mut self,
        format: &pb::SubstitutionFormatString,
    ) -> Option<Line> {
        use pb::substitution_format_string::Format as Kind;
        let missing = if format.omit_empty_values { Missing::Empty } else { Missing::Dash };
        for (index, formatter) in format.formatters.iter().enumerate() {
            let known = formatter.typed_config.as_ref().map(|any| self.type_name(any).to_owned());
            // These operators are always there.
            let built_in = matches!(
                known.as_deref(),
                Some(
                    "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"
                        | "envoy.extensions.formatter.metadata.v3.Metadata"
                )
            );
            if !built_in {
                self.item("formatters", index, |cx| {
                    let name = &formatter.name;
                    cx.warning(format!(
                        "formatter {name:?} is not supported; its operators stay empty"
                    ));
                });
            }
        }
        #[expect(deprecated, reason = "Envoy still accepts the old form")]
        match &format.format {
            None => {
                self.error("one of text_format_source, json_format is necessary");
                None
            }
            Some(Kind::TextFormat(text)) => {
                self.format("text_format", text, missing).map(Line::Text)
            }
            Some(Kind::TextFormatSource(source)) => {
                let text = self.field("text_format_source", |cx| cx.data_source(source))?;
                let Ok(text) = std::str::from_utf8(&text) else {
                    self.error_in("text_format_source", "the text is not UTF-8");
                    return None;
                };
                self.format("text_format_source", text, missing).map(Line::Text)
            }
            Some(Kind::JsonFormat(object)) => {
                self.field("json_format", |cx| cx.json_format(object, missing)).map(Line::Json)
            }
        }
    }

    /// A JSON object of formats, at the current field.
    pub(super) fn json_format(
        &mut self,
        object: &prost_types::Struct,
        missing: Missing,
    ) -> Option<JsonFormat> {
        let errors = self.error_count();
        let format = JsonFormat::compile(&metadata_map(object), missing, &mut |keys, error| {
            let (path, _) = self.parts();
            for key in keys {
                path.push_key(key);
            }
            self.format_error(&error);
            let (path, _) = self.parts();
            for _ in keys {
                path.pop();
            }
        });
        let unmeasured = format.unmeasured();
        self.warn_unmeasured(&unmeasured);
        (self.error_count() == errors).then_some(format)
    }

    fn format_error(&mut self, error: &FormatError) {
        let suggestion = error.kind.suggestion();
        let problem = self.error(error.to_string());
        if let Some(name) = suggestion {
            problem.hint(format!("did you mean \"%{name}%\"?"));
        }
    }

    fn warn_unmeasured(&mut self, operators: &[&'static str]) {
        for operator in operators {
            self.warning(format!("%{operator}% is not measured and stays empty"));
        }
    }
}
