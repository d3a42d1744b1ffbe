//! A conversation with a mail server: connected through the guard, encrypted, and told apart by what went wrong.
//!
//! STARTTLS is spoken here and not by the library, which keeps what came unencrypted in its buffer and takes it for encrypted: whoever sits on
//! the way could answer in the server's place.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, response::Severity};
use lettre::{Address, Message};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::super::text::cut;
use super::Security;
use crate::egress::{Egress, Failure};

/// Bytes of an answer that is read before encryption.
const ANSWER: usize = 8_192;
/// Of a server's own words, no more is repeated.
const REASON: usize = 300;
/// Bytes that a server may say in all; a conversation needs some hundred.
const CONVERSATION: usize = 65_536;
/// How long a server has to say goodbye.
const FAREWELL: Duration = Duration::from_secs(1);
/// What the library reads first where the server has greeted already.
const GREETED: &[u8] = b"220 encrypted\r\n";

/// Where a mail is handed in.
pub(super) struct Server<'a> {
    pub(super) host: &'a Host<String>,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) hello: &'a str,
    pub(super) credentials: Option<&'a Credentials>,
}

/// Why a mail wasn't taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It wasn't asked, or didn't answer.
    Failure(Failure),
    /// For good.
    Rejected(String),
    /// For now.
    Unavailable(String),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// What became of a mail, recipient by recipient.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Who gets it, by their places in the list, and what the server answered once it was responsible for it.
    pub(super) to: Vec<usize>,
    pub(super) answer: String,
    /// Who doesn't, each with the reason.
    pub(super) refused: Vec<Refused>,
}

/// Hands a mail in for those of its recipients that the server takes.
pub(super) async fn hand_in(
    server: &Server<'_>,
    mail: &Message,
    to: &[Address],
    egress: &Egress,
    ends: Instant,
) -> Result<(Taken, AsyncSmtpConnection), Refused> {
    let stream = connect(server, egress, ends).await?;
    let hello = ClientId::Domain(server.hello.to_owned());
    let connected = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await;
    let mut connection = connected.map_err(|error| refused(&error))?;
    if let Some(credentials) = server.credentials {
        let authenticated = connection
            .auth(&[Mechanism::Plain, Mechanism::Login], credentials)
            .await;
        authenticated.map_err(|error| refused(&error))?;
    }
    let from = mail.envelope().from().cloned();
    let begun = connection.command(Mail::new(from, Vec::new())).await;
    begun.map_err(|error| refused(&error))?;
    let mut taken = Taken::default();
    for (place, address) in to.iter().enumerate() {
        match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
            Ok(_) => taken.to.push(place),
            Err(error) if error.status().is_some() => taken.refused.push(refused(&error)),
            Err(error) => return Err(refused(&error)),
        }
    }
    if !taken.to.is_empty() {
        connection.command(Data).await.map_err(|error| refused(&error))?;
        let answer = connection.message(&mail.formatted()).await;
        let answer = answer.map_err(|error| refused(&error))?;
        let words = answer.message().collect::<Vec<_>>().join(" ");
        taken.answer = format!("{} {}", answer.code(), cut(&words, REASON));
    }
    Ok((taken, connection))
}

/// Leaves the server. Whatever it answers to that, or doesn't, changes nothing.
pub(super) async fn say_goodbye(mut connection: AsyncSmtpConnection, ends: Instant) {
    let patience = ends.min(Instant::now() + FAREWELL);
    let _ = tokio::time::timeout_at(patience, connection.quit()).await;
}

async fn connect(server: &Server<'_>, egress: &Egress, ends: Instant) -> Result<Stream, Refused> {
    let is_encrypted = server.security != Security::None;
    let mut plain = egress.dial(server.host, server.port, is_encrypted, ends).await?;
    let greeting: &[u8] = match server.security {
        Security::None => return Ok(Stream::plain(plain)),
        Security::Tls => b"",
        Security::StartTls => {
            ask_for_encryption(&mut plain, server.hello).await?;
            GREETED
        }
    };
    let encrypted = egress.encrypt(server.host, plain, ends).await?;
    Ok(Stream {
        greeting,
        inner: Inner::Encrypted(Box::new(encrypted)),
        left: CONVERSATION,
    })
}

async fn ask_for_encryption(stream: &mut TcpStream, hello: &str) -> Result<(), Refused> {
    expect(stream, "220").await?;
    say(stream, &format!("EHLO {hello}\r\n")).await?;
    let offers = expect(stream, "250").await?;
    if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
        let words = "the mail server offers no STARTTLS at this port; choose `tls` and port 465 if it has that";
        return Err(Refused::Unavailable(words.to_owned()));
    }
    say(stream, "STARTTLS\r\n").await?;
    expect(stream, "220").await.map(drop)
}

async fn say(stream: &mut TcpStream, words: &str) -> Result<(), Failure> {
    stream.write_all(words.as_bytes()).await.map_err(|error| lost(&error))
}

/// Reads an answer of this code, line by line. Not a byte more: what follows is for the handshake to refuse.
async fn expect(stream: &mut TcpStream, code: &str) -> Result<Vec<String>, Refused> {
    let (mut lines, mut left) = (Vec::new(), ANSWER);
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            left = left.checked_sub(1).ok_or_else(garbled)?;
            line.push(stream.read_u8().await.map_err(|error| lost(&error))?);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (Some(given), more) = (line.get(..3), line.get(3..4) == Some("-")) else {
            return Err(garbled());
        };
        if given != code {
            let words = format!("the mail server answered {}", cut(&line, REASON));
            return Err(match given.as_bytes()[0] {
                b'4' => Refused::Unavailable(words),
                b'5' => Refused::Rejected(words),
                _ => garbled(),
            });
        }
        lines.push(line.get(4..).unwrap_or_default().to_owned());
        if !more {
            return Ok(lines);
        }
    }
}

fn garbled() -> Refused {
    Refused::Unavailable("the mail server's answer isn't valid SMTP".to_owned())
}

fn lost(error: &io::Error) -> Failure {
    Failure::of_socket(error, false, Duration::ZERO)
}

/// What the library says, in words that say the mend.
fn refused(error: &smtp::Error) -> Refused {
    if let Some(code) = error.status() {
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        let answered = format!("the mail server answered {code}");
        let reason = cut(reason.trim(), REASON);
        let is_for_now = code.severity == Severity::TransientNegativeCompletion;
        return match code.to_string().as_str() {
            _ if is_for_now => Refused::Unavailable(format!("{answered}: {reason}")),
            "535" | "534" => Refused::Rejected(format!(
                "{answered}: the user name or password isn't right; where two factors are needed, make a password for apps ({reason})"
            )),
            "530" => Refused::Rejected(format!(
                "{answered}: it wants a user name and a password, or encryption ({reason})"
            )),
            _ => Refused::Rejected(format!("{answered}: {reason}")),
        };
    }
    if error.is_client() {
        let reason = error.source().map(ToString::to_string).unwrap_or_default();
        return Refused::Rejected(format!("the mail server can't take this: {reason}"));
    }
    if error.is_response() {
        return garbled();
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        // More than it may say, or not text.
        Some(error) if error.kind() == io::ErrorKind::InvalidData => garbled(),
        Some(error) => Refused::Failure(lost(error)),
        None => Refused::Failure(Failure::Closed),
    }
}

/// A connection of ours, as the library takes it.
struct Stream {
    /// Read before anything else.
    greeting: &'static [u8],
    inner: Inner,
    /// Bytes that may still come: the library reads a line however long it is.
    left: usize,
}

enum Inner {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Stream {
    const fn plain(stream: TcpStream) -> Self {
        Self {
            greeting: b"",
            inner: Inner::Plain(stream),
            left: CONVERSATION,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        match &self.inner {
            Inner::Plain(stream) => stream.peer_addr(),
            Inner::Encrypted(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.greeting.is_empty() {
            let (now, later) = self.greeting.split_at(self.greeting.len().min(into.remaining()));
            into.put_slice(now);
            self.greeting = later;
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        let read = match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Inner::Encrypted(stream) => Pin::new(stream.as_mut()).poll_read(cx, into),
        };
        let came = into.filled().len() - before;
        match self.left.checked_sub(came) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_write(cx, from),
            Inner::Encrypted(stream) => Pin::new(stream.as_mut()).poll_write(cx, from),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Encrypted(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Encrypted(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
