//! The seam between the engines and a private key, which may live in hardware.
