//! Headers that configuration adds, appends, overwrites or removes.

use http::HeaderName;

use super::format::Format;
use super::format::Needs;

/// The header changes of one level (route, weighted cluster, virtual host, route table).
#[derive(Debug, Clone, Default)]
pub struct HeaderMutations {
    /// Removed first; patterns never occur here.
    pub remove: Vec<HeaderName>,
    /// Then added, in order.
    pub add: Vec<HeaderAddition>,
}

impl HeaderMutations {
    /// True when nothing changes.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }

    /// Adds the headers that the values read.
    pub fn needs(&self, needs: &mut Needs) {
        for addition in &self.add {
            addition.value.needs(needs);
        }
    }
}

/// `core.v3.HeaderValueOption`.
#[derive(Debug, Clone)]
pub struct HeaderAddition {
    /// The header; `host`/`:authority` is written to the host header, `:path` is refused when lowered.
    pub name: HeaderName,
    /// Its value: a text with operators.
    pub value: Format,
    /// What to do if it is there already.
    pub action: AppendAction,
    /// Keep the header although its value came out empty.
    pub keep_empty_value: bool,
}

/// `HeaderValueOption.HeaderAppendAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AppendAction {
    /// One more line.
    #[default]
    AppendIfExistsOrAdd,
    /// Only if it is not there.
    AddIfAbsent,
    /// Replace every line, or add.
    OverwriteIfExistsOrAdd,
    /// Replace every line; nothing if it is not there.
    OverwriteIfExists,
}
