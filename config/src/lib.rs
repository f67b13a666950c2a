//! Configuration: validated types, the lowering into them, files, publishing.

pub mod diagnostic;
pub mod extension;
pub mod file;
pub mod ir;
pub mod lower;
pub mod short;
pub mod support;
