//! The dispatcher through its public face.

mod engine;
