//! Writes the Rust types and service code.

use std::path::Path;

use anyhow::Result;
use prost_types::FileDescriptorSet;

/// Writes one file per protobuf package and `mod.rs`, which nests them.
pub(crate) fn write(files: FileDescriptorSet, out: &Path) -> Result<()> {
    let mut config = prost_build::Config::new();
    config
        .out_dir(out)
        .include_file("mod.rs")
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .bytes(["."])
        .btree_map(["."]);
    tonic_prost_build::configure()
        .out_dir(out)
        // Callers bring their own channel, so `connect` would only pull in a transport.
        .build_transport(false)
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        .compile_fds_with_config(files, config)?;
    Ok(())
}
