//! Key files: PEM and DER.
