//! Configuration: validated types, the lowering into them, files, publishing.
