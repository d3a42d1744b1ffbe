//! The dispatcher against real sockets of loopback: the guard and the transports.

mod addresses;
mod ambient_proxy;
mod conformance;
mod dns_server;
mod fixture;
mod guard;
mod names;
mod reading;
mod tls;
mod trap;
mod webhook;
