//! Tests of the whole proxy and the harness they use.
