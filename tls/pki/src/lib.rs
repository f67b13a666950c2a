//! Makes certificates for demos and tests: standard and SM, with SPIFFE identities.
