//! Reads `supported.txt` into a table that the walk can ask by message.

use std::sync::OnceLock;

use palanquin_proto::schema::{self, Field, Message};

/// The text, once; a test reads it too.
pub(super) const TEXT: &str = include_str!("supported.txt");

/// What happens to a field that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It has its effect.
    Supported,
    /// It has none, and that makes no difference.
    Silent,
    /// It has none: a warning.
    Unsupported,
    /// It has none, and that is dangerous: an error, with the reason.
    Rejected(&'static str),
}

/// The fields of one message.
#[derive(Debug, Default)]
pub(super) struct Fates {
    all: bool,
    listed: Vec<(u32, Fate)>,
}

impl Fates {
    pub(super) fn of(&self, field: &Field) -> Fate {
        let listed = self.listed.iter().find(|(number, _)| *number == field.number());
        match listed {
            Some((_, fate)) => *fate,
            None if self.all => Fate::Supported,
            None => Fate::Unsupported,
        }
    }
}

/// All listed messages, sorted by name.
#[derive(Debug)]
pub(super) struct List(Vec<(&'static str, Fates)>);

impl List {
    /// The fields of a message; `None` if it is not listed.
    pub(super) fn fates(&self, message: &Message) -> Option<&Fates> {
        let index = self.0.binary_search_by(|(name, _)| (*name).cmp(message.full_name())).ok()?;
        self.0.get(index).map(|(_, fates)| fates)
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

/// The list; read when first asked for.
pub(super) fn get() -> &'static List {
    static LIST: OnceLock<List> = OnceLock::new();
    LIST.get_or_init(|| read(TEXT))
}

/// Lines that mean nothing are skipped; a test holds that there are none.
fn read(text: &'static str) -> List {
    let mut messages: Vec<(&'static str, Fates)> = Vec::new();
    let mut message = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            message = schema::message(name);
            messages.push((name, Fates::default()));
            continue;
        }
        let (Some(message), Some((_, fates))) = (message, messages.last_mut()) else { continue };
        entries(line, message, fates);
    }
    messages.sort_by_key(|(name, _)| *name);
    List(messages)
}

fn entries(line: &'static str, message: &'static Message, fates: &mut Fates) {
    if let Some((name, fate)) = special(line) {
        fates.listed.extend(message.field_named(name).map(|field| (field.number(), fate)));
        return;
    }
    for name in line.split_whitespace() {
        if name == "*" {
            fates.all = true;
        }
        let field = message.field_named(name);
        fates.listed.extend(field.map(|field| (field.number(), Fate::Supported)));
    }
}

/// `silent FIELD: why` and `reject FIELD: why`.
pub(super) fn special(line: &'static str) -> Option<(&'static str, Fate)> {
    let (head, reason) = line.split_once(": ")?;
    match head.split_once(' ')? {
        ("silent", name) => Some((name, Fate::Silent)),
        ("reject", name) => Some((name, Fate::Rejected(reason))),
        _ => None,
    }
}
