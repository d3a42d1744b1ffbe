//! The dispatcher through its public face: the engine on a real database, the guard and the transports on real sockets.

mod addresses;
mod ambient_proxy;
mod conformance;
mod dns_server;
mod engine;
mod fixture;
mod guard;
mod kept_connections;
mod names;
mod reading;
mod recovery;
mod sweeping;
mod tls;
mod trap;
mod trouble;
mod vendors;
mod webhook;
mod webhook_options;
mod world;
