//! Palanquin, an L7 service-mesh proxy.

pub mod codec;
