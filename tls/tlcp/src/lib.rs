//! TLCP (GB/T 38636-2020) as an engine without I/O, and over tokio.
