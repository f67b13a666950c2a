//! Typed extensions: `Any`, and `TypedStruct` inside it.

use std::borrow::Cow;

use prost::Message;
use prost::Name;
use prost_types::Any;

use super::Lowering;
use crate::file;

impl Lowering<'_> {
    /// The full name of the message in an opened `Any`.
    pub fn type_name<'x>(&self, any: &'x Any) -> &'x str {
        last_part(&any.type_url)
    }

    /// Opens a `TypedStruct`: the result holds the message that it spells out as JSON, if we know the
    /// type, else nothing but the type's name. Any other `Any` stays as it is.
    pub fn open(&mut self, any: &Any) -> Option<Any> {
        let Some(inner) = file::typed_struct_type(any) else {
            if file::is_typed_struct(&any.type_url) {
                self.error("the TypedStruct cannot be decoded");
                return None;
            }
            return Some(any.clone());
        };
        let errors = self.error_count();
        let (path, problems) = self.parts();
        let opened = file::unpack_typed_struct(any, path, problems);
        if self.error_count() > errors {
            return None;
        }
        Some(opened.unwrap_or_else(|| Any { type_url: inner.to_owned(), value: Vec::new() }))
    }

    /// Decodes the message of an `Any`; an error when it is of another type.
    pub fn unpack<M: Message + Name + Default>(&mut self, any: &Any) -> Option<M> {
        let any = if file::is_typed_struct(&any.type_url) {
            Cow::Owned(self.open(any)?)
        } else {
            Cow::Borrowed(any)
        };
        let found = last_part(&any.type_url);
        if found != M::full_name() {
            self.error(format!("expected {}, found {found:?}", M::full_name()));
            return None;
        }
        self.decode(&any.value)
    }
}

fn last_part(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}
