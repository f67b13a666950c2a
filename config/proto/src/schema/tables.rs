//! The generated tables; included as text, so that rustfmt leaves them alone.

use super::Kind as K;
#[allow(unused_imports, reason = "Envoy's API has hardly an `optional` field")]
use super::Label::Optional as O;
use super::Label::{Map as M, Repeated as R, Singular as S};
use super::{Enum as E, Field as F, Message as T, Oneof as N, Rule as V};

include!("../generated/schema.rs");
