//! An xDS client: protocol only, it knows bytes, names and versions.
