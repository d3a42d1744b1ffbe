//! The whole program and the whole library, from the outside.

mod cli;
mod config;
mod demo;
mod dripping;
mod embed;
mod every_kind;
mod faults;
mod first_start;
mod flood;
mod lead_form;
mod live;
mod metrics;
mod outcomes;
mod overload;
mod payload;
mod peer_faults;
mod receiver;
mod shutdown;
mod sign_in_link;
mod stand_in;
mod torture;
mod vendors;
