//! Why there is no answer, in words for the delivery log.
//!
//! The words never name an address that a name resolved to, and what was refused reads the same whatever is
//! there: a log that tells addresses apart is a scanner of our network.

use std::error::Error;
use std::io;
use std::time::Duration;

use rustls::CertificateError;
use sensei_domain::Outcome;

use super::policy::Refusal;
use super::resolver::ResolveError;
use crate::transport::Strain;

/// The request wasn't answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The guard refused it. Nothing was sent.
    #[error("{}", blocked(*.0))]
    Blocked(Refusal),
    /// No name, or no address of it.
    #[error("{0}")]
    Dns(&'static str),
    /// Looking the name up took too long.
    #[error("the host's name couldn't be looked up in time (DNS)")]
    DnsTimeout,
    /// Nobody listens there.
    #[error("the receiver refused the connection")]
    Refused,
    /// No way leads there.
    #[error("the receiver's network can't be reached")]
    Unreachable,
    /// A connection took too long.
    #[error("no connection within {}", seconds(.after))]
    ConnectTimeout {
        /// How long was waited.
        after: Duration,
    },
    /// The answer took too long.
    #[error("no answer within {}", seconds(.after))]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The TLS handshake failed.
    #[error("{0}")]
    Tls(&'static str),
    /// Cut off.
    #[error("the receiver closed the connection before it answered")]
    Closed,
    /// What came isn't HTTP.
    #[error("the receiver's answer isn't valid HTTP")]
    Protocol,
    /// Anything else that the network did.
    #[error("the connection failed ({0})")]
    Io(String),
    /// Our own failure, before anything left.
    #[error("the request couldn't be sent ({0})")]
    Ours(String),
}

impl Failure {
    /// What it means for the delivery: worth repeating, unless it was refused or we failed ourselves.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Blocked(_) => Outcome::Blocked,
            Self::Ours(_) => Outcome::Ours,
            Self::Dns(_)
            | Self::DnsTimeout
            | Self::Refused
            | Self::Unreachable
            | Self::ConnectTimeout { .. }
            | Self::Timeout { .. }
            | Self::Tls(_)
            | Self::Closed
            | Self::Protocol
            | Self::Io(_) => Outcome::Unavailable { retry_after: None },
        }
    }

    /// What it says of the load that the receiver can bear, if anything.
    pub const fn strain(&self) -> Option<Strain> {
        match self {
            // A lookup that hangs holds its attempt as long as a receiver that does.
            Self::Timeout { .. } | Self::ConnectTimeout { .. } | Self::DnsTimeout => Some(Strain::TimedOut),
            Self::Refused | Self::Closed => Some(Strain::Cut),
            Self::Blocked(_)
            | Self::Dns(_)
            | Self::Unreachable
            | Self::Tls(_)
            | Self::Protocol
            | Self::Io(_)
            | Self::Ours(_) => None,
        }
    }

    /// Of a request on a connection that is made.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            return Self::Closed;
        }
        if error.is_parse() {
            return Self::Protocol;
        }
        let found = causes(error).find_map(|cause| {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                Some(Self::Tls(of_tls(error)))
            } else {
                of_io(cause.downcast_ref::<io::Error>()?, false, Duration::ZERO)
            }
        });
        found.unwrap_or_else(|| {
            let innermost = causes(error).last().map(ToString::to_string);
            Self::Io(innermost.unwrap_or_else(|| error.to_string()))
        })
    }

    /// Of a connection that is made, or was.
    pub(crate) fn of_socket(error: &io::Error, connecting: bool, connect_timeout: Duration) -> Self {
        let tls = error
            .get_ref()
            .and_then(|wrapped| wrapped.downcast_ref::<rustls::Error>());
        if let Some(error) = tls {
            return Self::Tls(of_tls(error));
        }
        of_io(error, connecting, connect_timeout).unwrap_or_else(|| Self::Io(error.kind().to_string()))
    }

    pub(super) fn of_resolving(error: &ResolveError) -> Self {
        match error {
            ResolveError::Refused(refusal) => Self::Blocked(*refusal),
            ResolveError::NotFound => Self::Dns("the host's name doesn't exist (DNS)"),
            ResolveError::NoAddress => Self::Dns("the host's name has no address (DNS)"),
            ResolveError::TimedOut => Self::DnsTimeout,
            ResolveError::Failed(reason) => {
                tracing::debug!(reason, "a name couldn't be looked up");
                Self::Dns("the host's name couldn't be looked up (DNS)")
            }
        }
    }
}

/// An error's causes, outermost first. An `io::Error` skips the error it wraps, so that is looked at too.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause: &&'a (dyn Error + 'static)| {
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        wrapped
            .map(|wrapped| wrapped as &(dyn Error + 'static))
            .or_else(|| cause.source())
    })
}

fn of_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the receiver's certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the receiver's certificate isn't valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the receiver's certificate is for another name"
            }
            CertificateError::UnknownIssuer => {
                "the issuer of the receiver's certificate isn't known (it may be self-signed, or a chain is incomplete)"
            }
            CertificateError::Revoked => "the receiver's certificate was revoked",
            _ => "the receiver's certificate isn't valid",
        },
        rustls::Error::InvalidMessage(_) => "the receiver doesn't speak TLS at this port",
        rustls::Error::AlertReceived(_) => "the receiver broke the TLS handshake off",
        rustls::Error::PeerIncompatible(_) => "the receiver speaks no TLS version or cipher that we accept",
        _ => "the TLS handshake failed",
    }
}

/// `None` for an error that wraps a more telling one.
fn of_io(error: &io::Error, connecting: bool, connect_timeout: Duration) -> Option<Failure> {
    use io::ErrorKind as Kind;
    let wrapped = error.get_ref();
    if wrapped.is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>) {
        return None;
    }
    Some(match error.kind() {
        Kind::ConnectionRefused => Failure::Refused,
        Kind::HostUnreachable => Failure::Unreachable,
        // Nothing can have left: our own network is down, or has no IPv6.
        Kind::NetworkUnreachable | Kind::NetworkDown | Kind::AddrNotAvailable if connecting => {
            Failure::Ours("our network leads nowhere near the receiver".to_owned())
        }
        Kind::TimedOut if connecting => Failure::ConnectTimeout { after: connect_timeout },
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof
        | Kind::NotConnected
        | Kind::TimedOut => Failure::Closed,
        // Before anything left: out of files, memory or buffers: ENFILE, EMFILE, ENOMEM, ENOBUFS.
        _ if connecting && matches!(error.raw_os_error(), Some(12 | 23 | 24 | 105)) => {
            Failure::Ours("out of sockets or memory".to_owned())
        }
        _ if wrapped.is_some() => return None,
        kind => Failure::Io(kind.to_string()),
    })
}

fn blocked(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Address { .. } | Refusal::LocalName => "the URL leads to an address that isn't allowed",
        Refusal::PlainHttp => "the URL must begin with https://",
        Refusal::Port { .. } => "the URL's port isn't allowed",
        Refusal::Scheme | Refusal::Credentials | Refusal::Fragment | Refusal::NoHost => "the URL isn't allowed",
    }
}

/// Whole seconds as such, less than one in milliseconds.
fn seconds(duration: &Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{} ms", duration.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_words_and_an_outcome() {
        const WAIT: Duration = Duration::from_secs(10);
        let unavailable = Outcome::Unavailable { retry_after: None };
        let network = "the request couldn't be sent (our network leads nowhere near the receiver)";
        let exhausted = "the request couldn't be sent (out of sockets or memory)";
        let closed = "the receiver closed the connection before it answered";
        let cases = [
            // Linux's numbers: ECONNREFUSED, ECONNRESET, EPIPE, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EMFILE, ENOMEM.
            (111, true, "the receiver refused the connection", unavailable),
            (104, false, closed, unavailable),
            (32, false, closed, unavailable),
            (113, true, "the receiver's network can't be reached", unavailable),
            (101, true, network, Outcome::Ours),
            (99, true, network, Outcome::Ours),
            (24, true, exhausted, Outcome::Ours),
            (12, true, exhausted, Outcome::Ours),
            // ETIMEDOUT: of a connection that is made, or that was there.
            (110, true, "no connection within 10 s", unavailable),
            (110, false, closed, unavailable),
            // EACCES: a firewall of ours.
            (13, true, "the connection failed (permission denied)", unavailable),
        ];
        for (code, connecting, words, outcome) in cases {
            let failure = of_io(&io::Error::from_raw_os_error(code), connecting, WAIT).expect("telling by itself");
            assert_eq!((&*failure.to_string(), failure.outcome()), (words, outcome), "{code}");
        }
        let wrapped = io::Error::other(rustls::Error::HandshakeNotComplete);
        assert_eq!(of_io(&wrapped, true, WAIT), None, "what it wraps tells more");
    }

    #[test]
    fn what_was_refused_reads_the_same_whatever_is_there() {
        let allowed_elsewhere = "the URL leads to an address that isn't allowed";
        for refusal in [
            Refusal::LocalName,
            Refusal::Address {
                what: "a loopback address",
            },
            Refusal::Address {
                what: "a link-local address",
            },
        ] {
            let failure = Failure::Blocked(refusal);
            assert_eq!(
                (&*failure.to_string(), failure.outcome()),
                (allowed_elsewhere, Outcome::Blocked)
            );
        }
    }
}
