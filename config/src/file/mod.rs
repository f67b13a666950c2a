//! Configuration files: Envoy's YAML and JSON, and the same messages written back.
//!
//! Reading goes text → [tree with positions](yaml) → bytes in wire format, along the field table of
//! `palanquin_proto::schema` → prost types. The detour over bytes keeps one decoder for files and
//! xDS, and gives every fault, also deep in a typed extension, its line and column. Nothing here
//! knows what a field does; that is the lowering's business, which can have its own problems
//! located with [`Loaded::report`].

mod any;
mod base64;
mod emit;
mod json;
mod load;
mod pgv;
mod scalar;
mod span;
mod typed_struct;
mod walk;
mod watch;
mod well_known;
mod wire;
mod yaml;

pub use any::is_typed_struct;
pub use emit::to_yaml;
pub use json::{Secrets, any_to_json, message_to_json};
pub use load::{
    Form, Loaded, form, load_bootstrap, load_discovery, load_merged_bootstrap, load_message,
};
pub use span::SpanIndex;
pub use typed_struct::{typed_struct_type, unpack_typed_struct};
pub use walk::UnknownFields;
pub use watch::{FileWatch, WatchError};

pub(crate) use load::split_any;
pub(crate) use span::Origin;
pub(crate) use walk::Walker;
pub(crate) use wire::{Fields, Payload, last_bytes};
pub(crate) use yaml::{Node, Value, parse, shortened};
