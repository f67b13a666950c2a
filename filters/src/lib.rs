//! Palanquin's built-in HTTP filters.
