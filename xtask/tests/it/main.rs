//! What holds for the workspace as a whole.

mod files;
mod house;
mod metadata;
mod peer_faults;
