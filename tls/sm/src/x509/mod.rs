//! What certificates need: verification algorithms and KeyUsage.
