//! The helpers keep what they promise: nothing is left behind, and a receiver counts right.

mod postgres;
mod receiver;
