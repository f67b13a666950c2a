//! The contract between Palanquin and an HTTP filter.
