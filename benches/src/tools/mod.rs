//! What the origin and the load generator share: certificates, an epoll set, buffered streams, HTTP in the small.

pub mod certs;
pub mod frames;
pub mod heads;
pub mod histogram;
pub mod poll;
pub mod process;
pub mod stream;
