//! Configuration: validated types, the lowering into them, files, publishing.

pub mod extension;
pub mod ir;
pub mod lower;
