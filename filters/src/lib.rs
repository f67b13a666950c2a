//! Palanquin's built-in HTTP filters.
//!
//! They are ordinary plugins: each implements [`palanquin_filter_api::HttpFilter`] and is made by a
//! [`palanquin_config::extension::FilterFactory`]. [`register_all`] is the one list of them.

pub mod tenant;

use palanquin_config::extension::Registry;

use tenant::TenantDirectory;

/// Adds every filter of this crate.
pub fn register_all(registry: Registry) -> Registry {
    register(registry, &TenantDirectory::default())
}

/// As [`register_all`], with a directory of tenants that the caller keeps (for the admin endpoint).
pub fn register(registry: Registry, tenants: &TenantDirectory) -> Registry {
    registry.register(tenant::Factory::new(tenants.clone()))
}
