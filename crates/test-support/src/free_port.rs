//! A port of 127.0.0.1 that nobody listens on, for programs that can't choose one themselves.

use std::net::{Ipv4Addr, TcpListener};

/// A free port. Somebody else may take it before it is used: start anew with another one then.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
