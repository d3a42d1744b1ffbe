//! A server on loopback that breaks HTTP or TLS in one chosen way, each time it is asked.
//!
//! Runs on a thread and a runtime of its own, as [`crate::Receiver`] does. Faults that never end by themselves
//! end with the connection or the server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Certificate, TestRoot};

const OK_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
const SLOWLY: Duration = Duration::from_millis(5);

/// What the server does once it has read a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Resets the connection.
    Reset,
    /// Closes the connection without an answer.
    Close,
    /// Keeps the connection and never answers.
    BlackHole,
    /// Answers something that isn't HTTP.
    Garbage,
    /// Sends headers without end, as fast as they are read.
    EndlessHeaders,
    /// Sends one header a byte at a time, without end.
    SlowHeaders,
    /// Answers 200 and a body without end, as fast as it is read.
    EndlessBody,
    /// Answers 200 and a body a byte at a time, without end.
    SlowBody,
    /// Announces 1,000 bytes, sends ten, and closes.
    ShortBody,
    /// Announces two bytes and sends ten.
    LongBody,
    /// Answers 200 and some 60 KB of gzip that hold 10 MB.
    GzipBomb,
    /// Sends these bytes and closes.
    Raw(Vec<u8>),
}

/// A server that misbehaves until it is dropped.
#[derive(Debug)]
pub struct FaultServer {
    address: SocketAddr,
    is_tls: bool,
    connections: Arc<AtomicUsize>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultServer {
    /// A server on a free port of 127.0.0.1.
    pub fn start(fault: Fault) -> Self {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), fault).expect("a port of 127.0.0.1 is free")
    }

    /// A server on an address.
    pub fn start_on(address: SocketAddr, fault: Fault) -> Result<Self> {
        Self::launch(address, fault, None)
    }

    /// A server on a free port of 127.0.0.1 that shows this certificate, then answers 200 or commits the fault.
    pub fn start_tls(root: &TestRoot, certificate: Certificate, fault: Option<Fault>) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let fault = fault.unwrap_or_else(|| Fault::Raw(format!("{OK_HEAD}content-length: 2\r\n\r\nok").into_bytes()));
        let acceptor = TlsAcceptor::from(Arc::new(root.server_config(certificate)));
        Self::launch(address, fault, Some(acceptor)).expect("a port of 127.0.0.1 is free")
    }

    fn launch(address: SocketAddr, fault: Fault, tls: Option<TlsAcceptor>) -> Result<Self> {
        let listener = TcpListener::bind(address).with_context(|| format!("can't listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let is_tls = tls.is_some();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || serve(listener, &Arc::new(fault), tls.as_ref(), &counter, stopped));
        Ok(Self {
            address,
            is_tls,
            connections,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL that leads here.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}/hook", self.address)
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn serve(
    listener: TcpListener,
    fault: &Arc<Fault>,
    tls: Option<&TlsAcceptor>,
    counter: &AtomicUsize,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread can be made");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is a non-blocking one");
        let accepting = async {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let (fault, tls) = (Arc::clone(fault), tls.cloned());
                // An error is the client's hanging up, which most faults provoke.
                tokio::spawn(async move { converse(stream, &fault, tls).await.ok() });
            }
        };
        tokio::select! {
            () = accepting => {}
            // An error is the sender's drop: the way to stop.
            _ = stopped => {}
        }
    });
}

async fn converse(mut stream: TcpStream, fault: &Fault, tls: Option<TlsAcceptor>) -> io::Result<()> {
    if let Some(tls) = tls {
        let mut stream = tls.accept(stream).await?;
        read_request(&mut stream).await?;
        commit(&mut stream, fault).await?;
        return stream.shutdown().await;
    }
    read_request(&mut stream).await?;
    if *fault == Fault::Reset {
        stream.set_zero_linger()?;
        return Ok(());
    }
    commit(&mut stream, fault).await
}

async fn commit(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), fault: &Fault) -> io::Result<()> {
    match fault {
        Fault::Reset | Fault::Close => Ok(()),
        Fault::BlackHole => until_closed(stream).await,
        Fault::Garbage => stream.write_all(b"\x00\x16\x03 this is not HTTP\r\n\r\n").await,
        Fault::EndlessHeaders => {
            stream.write_all(OK_HEAD.as_bytes()).await?;
            endlessly(stream, format!("x-more: {}\r\n", "m".repeat(1_000)).as_bytes()).await
        }
        Fault::SlowHeaders => {
            stream.write_all(format!("{OK_HEAD}x-slow: ").as_bytes()).await?;
            slowly(stream).await
        }
        Fault::EndlessBody => {
            stream.write_all(format!("{OK_HEAD}\r\n").as_bytes()).await?;
            endlessly(stream, &[b'e'; 8_192]).await
        }
        Fault::SlowBody => {
            stream.write_all(format!("{OK_HEAD}\r\n").as_bytes()).await?;
            slowly(stream).await
        }
        Fault::ShortBody => {
            let answer = format!("{OK_HEAD}content-length: 1000\r\n\r\n0123456789");
            stream.write_all(answer.as_bytes()).await
        }
        Fault::LongBody => {
            let answer = format!("{OK_HEAD}content-length: 2\r\n\r\n0123456789");
            stream.write_all(answer.as_bytes()).await
        }
        Fault::GzipBomb => {
            let bomb = gzip_bomb();
            let head = format!(
                "{OK_HEAD}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                bomb.len()
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&bomb).await
        }
        Fault::Raw(bytes) => stream.write_all(bytes).await,
    }
}

async fn endlessly(stream: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(piece).await?;
    }
}

async fn slowly(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut pace = tokio::time::interval(SLOWLY);
    loop {
        pace.tick().await;
        stream.write_all(b"s").await?;
        stream.flush().await?;
    }
}

async fn until_closed(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Reads head and body, so that closing afterwards resets nothing by accident.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        let mut piece = [0; 4_096];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&piece[..read]);
        let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if request.len() >= end + 4 + length {
            return Ok(());
        }
    }
}

/// One zero and then "258 more of it" over and over (RFC 1951, fixed codes): 13 bits for 258 bytes.
fn gzip_bomb() -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    // The last block, with fixed codes; then the literal 0.
    bits.extend([true, true, false]);
    bits.extend([false, false, true, true, false, false, false, false]);
    for _ in 0..40_000 {
        // Length 258 (code 285), distance 1 (code 0).
        bits.extend([true, true, false, false, false, true, false, true]);
        bits.extend([false; 5]);
    }
    // The end of the block.
    bits.extend([false; 7]);
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend(bits.chunks(8).map(|byte| {
        let set = byte.iter().enumerate().filter(|(_, is_set)| **is_set);
        set.map(|(position, _)| 1_u8 << position).sum::<u8>()
    }));
    // Checksum and length come after all of it is inflated: nobody gets that far.
    gzip.extend([0; 8]);
    gzip
}
