//! Matchers of strings, headers, query parameters and metadata.

use palanquin_proto::envoy::config::route::v3 as route_pb;
use palanquin_proto::envoy::r#type::matcher::v3 as pb;

use super::Lowering;
use crate::ir::matcher::HeaderField;
use crate::ir::matcher::HeaderMatcher;
use crate::ir::matcher::HeaderTest;
use crate::ir::matcher::MetadataMatcher;
use crate::ir::matcher::QueryMatcher;
use crate::ir::matcher::StringMatcher;
use crate::ir::matcher::StringPattern;
use crate::ir::matcher::ValueMatcher;

impl Lowering<'_> {
    /// `type.matcher.v3.StringMatcher`.
    pub fn string_matcher(&mut self, matcher: &pb::StringMatcher) -> Option<StringMatcher> {
        use pb::string_matcher::MatchPattern;
        let pattern = match &matcher.match_pattern {
            None => {
                self.error("one of exact, prefix, suffix, safe_regex, contains is necessary");
                return None;
            }
            Some(MatchPattern::Exact(text)) => StringPattern::Exact(text.as_str().into()),
            Some(MatchPattern::Prefix(text)) => {
                self.non_empty("prefix", text).map(StringPattern::Prefix)?
            }
            Some(MatchPattern::Suffix(text)) => {
                self.non_empty("suffix", text).map(StringPattern::Suffix)?
            }
            Some(MatchPattern::Contains(text)) => {
                self.non_empty("contains", text).map(StringPattern::Contains)?
            }
            Some(MatchPattern::SafeRegex(regex)) => {
                let regex = self.field("safe_regex", |cx| cx.full_match_bytes(&regex.regex))?;
                StringPattern::Regex(regex)
            }
            Some(MatchPattern::Custom(_)) => {
                self.error_in("custom", "custom string matchers are not supported yet");
                return None;
            }
        };
        Some(StringMatcher { pattern, ignore_case: matcher.ignore_case })
    }

    fn non_empty(&mut self, field: &str, text: &str) -> Option<Box<str>> {
        if text.is_empty() {
            self.error_in(field, "must not be empty");
            return None;
        }
        Some(text.into())
    }

    /// `route.v3.HeaderMatcher`.
    pub fn header_matcher(&mut self, matcher: &route_pb::HeaderMatcher) -> Option<HeaderMatcher> {
        use route_pb::header_matcher::HeaderMatchSpecifier as Specifier;
        let name = self.header_field(&matcher.name);
        let plain = |pattern| HeaderTest::String(StringMatcher { pattern, ignore_case: false });
        #[expect(deprecated, reason = "Envoy still accepts the old forms")]
        let test = match &matcher.header_match_specifier {
            None | Some(Specifier::PresentMatch(true)) => Some(HeaderTest::Present),
            Some(Specifier::PresentMatch(false)) => Some(HeaderTest::Absent),
            Some(Specifier::RangeMatch(range)) => Some(HeaderTest::Range(range.start..range.end)),
            Some(Specifier::StringMatch(matcher)) => {
                self.field("string_match", |cx| cx.string_matcher(matcher)).map(HeaderTest::String)
            }
            Some(Specifier::ExactMatch(text)) => {
                Some(plain(StringPattern::Exact(text.as_str().into())))
            }
            Some(Specifier::SafeRegexMatch(regex)) => self
                .field("safe_regex_match", |cx| cx.full_match_bytes(&regex.regex))
                .map(|regex| plain(StringPattern::Regex(regex))),
            Some(Specifier::PrefixMatch(text)) => {
                self.non_empty("prefix_match", text).map(|text| plain(StringPattern::Prefix(text)))
            }
            Some(Specifier::SuffixMatch(text)) => {
                self.non_empty("suffix_match", text).map(|text| plain(StringPattern::Suffix(text)))
            }
            Some(Specifier::ContainsMatch(text)) => self
                .non_empty("contains_match", text)
                .map(|text| plain(StringPattern::Contains(text))),
        };
        Some(HeaderMatcher {
            name: name?,
            test: test?,
            invert: matcher.invert_match,
            treat_missing_as_empty: matcher.treat_missing_header_as_empty,
        })
    }

    fn header_field(&mut self, name: &str) -> Option<HeaderField> {
        match name.to_ascii_lowercase().as_str() {
            "" => {
                self.error_in("name", "must not be empty");
                None
            }
            ":authority" | "host" => Some(HeaderField::Authority),
            ":method" => Some(HeaderField::Method),
            ":path" => Some(HeaderField::Path),
            ":scheme" => Some(HeaderField::Scheme),
            other => self.header_name("name", other).map(HeaderField::Name),
        }
    }

    /// `route.v3.QueryParameterMatcher`.
    pub(super) fn query_matcher(
        &mut self,
        matcher: &route_pb::QueryParameterMatcher,
    ) -> Option<QueryMatcher> {
        use route_pb::query_parameter_matcher::QueryParameterMatchSpecifier as Specifier;
        let name = self.non_empty("name", &matcher.name);
        let (value, absent) = match &matcher.query_parameter_match_specifier {
            None => (None, false),
            Some(Specifier::PresentMatch(present)) => (None, !present),
            Some(Specifier::StringMatch(matcher)) => {
                (Some(self.field("string_match", |cx| cx.string_matcher(matcher))?), false)
            }
        };
        Some(QueryMatcher { name: name?, value, absent })
    }

    /// `type.matcher.v3.MetadataMatcher`.
    pub fn metadata_matcher(&mut self, matcher: &pb::MetadataMatcher) -> Option<MetadataMatcher> {
        use pb::metadata_matcher::path_segment::Segment;
        let namespace = self.non_empty("filter", &matcher.filter);
        if matcher.path.is_empty() {
            self.error_in("path", "must not be empty");
        }
        let path = self.list("path", &matcher.path, |cx, segment| match &segment.segment {
            Some(Segment::Key(key)) => cx.non_empty("key", key),
            None => {
                cx.error("a key is necessary");
                None
            }
        });
        let Some(value) = &matcher.value else {
            self.error_in("value", "is necessary");
            return None;
        };
        let value = self.field("value", |cx| cx.value_matcher(value));
        Some(MetadataMatcher { namespace: namespace?, path, value: value?, invert: matcher.invert })
    }

    fn value_matcher(&mut self, matcher: &pb::ValueMatcher) -> Option<ValueMatcher> {
        use pb::value_matcher::MatchPattern;
        self.nested(|cx| match &matcher.match_pattern {
            None => {
                cx.error("a match pattern is necessary");
                None
            }
            Some(MatchPattern::NullMatch(_)) => Some(ValueMatcher::Null),
            Some(MatchPattern::BoolMatch(truth)) => Some(ValueMatcher::Bool(*truth)),
            Some(MatchPattern::PresentMatch(present)) => Some(ValueMatcher::Present(*present)),
            Some(MatchPattern::StringMatch(matcher)) => {
                cx.field("string_match", |cx| cx.string_matcher(matcher)).map(ValueMatcher::String)
            }
            Some(MatchPattern::DoubleMatch(matcher)) => {
                cx.field("double_match", |cx| cx.double_matcher(matcher))
            }
            Some(MatchPattern::ListMatch(list)) => match &list.match_pattern {
                Some(pb::list_matcher::MatchPattern::OneOf(one)) => {
                    let path = |cx: &mut Self| cx.field("one_of", |cx| cx.value_matcher(one));
                    let one = cx.field("list_match", path)?;
                    Some(ValueMatcher::ListContains(Box::new(one)))
                }
                None => {
                    cx.error_in("list_match", "one_of is necessary");
                    None
                }
            },
            Some(MatchPattern::OrMatch(any)) => cx.field("or_match", |cx| {
                let wanted = any.value_matchers.len();
                let all = cx.list("value_matchers", &any.value_matchers, Self::value_matcher);
                (all.len() == wanted).then_some(ValueMatcher::Or(all))
            }),
        })
    }

    fn double_matcher(&mut self, matcher: &pb::DoubleMatcher) -> Option<ValueMatcher> {
        use pb::double_matcher::MatchPattern;
        match &matcher.match_pattern {
            Some(MatchPattern::Exact(number)) => Some(ValueMatcher::Double(*number)),
            Some(MatchPattern::Range(range)) => {
                Some(ValueMatcher::DoubleRange(range.start..range.end))
            }
            None => {
                self.error("one of range, exact is necessary");
                None
            }
        }
    }
}
