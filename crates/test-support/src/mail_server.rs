//! A mail server on loopback that keeps what it is given, and answers as it is told.
//!
//! Runs on a thread and a runtime of its own, as [`crate::FaultServer`] does.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::certificates::{Certificate, TestRoot};

/// A mail as it was handed in.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The sender of the envelope.
    pub from: String,
    /// Its recipients.
    pub to: Vec<String>,
    /// Headers and body, without the dots that the protocol adds.
    pub data: Vec<u8>,
    /// What was said to log in, as it was said: `AUTH PLAIN …`.
    pub login: Option<String>,
    /// Whether it came encrypted.
    pub is_encrypted: bool,
}

/// How a server encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// From the first byte.
    Implicit,
    /// When it is asked to.
    StartTls,
}

/// A mail server until it is dropped.
#[derive(Debug)]
pub struct MailServer {
    address: SocketAddr,
    kept: Arc<Kept>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    mails: Mutex<Vec<Mail>>,
    answers: Mutex<HashMap<String, String>>,
    /// Every how many times, what, and how often a command came.
    now_and_then: Mutex<HashMap<String, (usize, String, usize)>>,
}

impl MailServer {
    /// A server without encryption on a free port of 127.0.0.1.
    pub fn start() -> Self {
        Self::launch(None).expect("a port of 127.0.0.1 is free")
    }

    /// A server that shows this certificate.
    pub fn start_tls(root: &TestRoot, certificate: Certificate, encryption: Encryption) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(root.server_config(certificate)));
        Self::launch(Some((acceptor, encryption))).expect("a port of 127.0.0.1 is free")
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers a command (`RCPT`; `DATA.` is the end of a mail, nothing the greeting) with this from now on: `550 no such user`. An empty
    /// answer is none at all.
    pub fn answer(&self, command: &str, answer: &str) {
        let mut answers = self.kept.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(command.to_owned(), answer.to_owned());
    }

    /// Answers each of so many such commands with this. A mail is taken all the same: whoever says otherwise lies.
    pub fn answer_each(&self, times: usize, command: &str, answer: &str) {
        let mut answers = self.kept.now_and_then.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(command.to_owned(), (times, answer.to_owned(), 0));
    }

    /// What was taken so far.
    pub fn mails(&self) -> Vec<Mail> {
        self.kept.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn launch(tls: Option<(TlsAcceptor, Encryption)>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let kept = Arc::<Kept>::default();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = Arc::clone(&kept);
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it is a listener");
                let accept = async {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (kept, tls) = (Arc::clone(&serving), tls.clone());
                        // Whoever goes away in the middle has been served.
                        tokio::spawn(async move { serve(stream, &kept, tls).await.ok() });
                    }
                };
                tokio::select! {
                    () = accept => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self {
            address,
            kept,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server doesn't panic");
        }
    }
}

async fn serve(stream: TcpStream, kept: &Kept, tls: Option<(TlsAcceptor, Encryption)>) -> Result<()> {
    match tls {
        Some((acceptor, Encryption::Implicit)) => {
            let mut stream = BufReader::new(acceptor.accept(stream).await?);
            say(&mut stream, kept, "", "220 ready").await?;
            talk(&mut stream, kept, true, false).await.map(drop)
        }
        tls => {
            let mut stream = BufReader::new(stream);
            say(&mut stream, kept, "", "220 ready").await?;
            if !talk(&mut stream, kept, false, tls.is_some()).await? {
                return Ok(());
            }
            let (acceptor, _) = tls.context("it offered encryption")?;
            let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).await?);
            talk(&mut stream, kept, true, false).await.map(drop)
        }
    }
}

impl Kept {
    fn this_time(&self, command: &str) -> Option<String> {
        let mut answers = self.now_and_then.lock().unwrap_or_else(PoisonError::into_inner);
        let (times, answer, came) = answers.get_mut(command)?;
        *came += 1;
        came.is_multiple_of(*times).then(|| answer.clone())
    }

    fn told(&self, command: &str) -> Option<String> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(command).cloned()
    }
}

/// Says the usual, or what it was told to.
async fn say(stream: &mut (impl AsyncWrite + Unpin), kept: &Kept, command: &str, usual: &str) -> Result<()> {
    let answer = kept.told(command).or_else(|| kept.this_time(command));
    let answer = answer.unwrap_or_else(|| usual.to_owned());
    if answer.is_empty() {
        std::future::pending::<()>().await;
    }
    stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    stream.flush().await?;
    Ok(())
}

/// Until it is over, or (true) encryption is to begin.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    kept: &Kept,
    is_encrypted: bool,
    can_encrypt: bool,
) -> Result<bool> {
    let mut mail = Mail {
        from: String::new(),
        to: Vec::new(),
        data: Vec::new(),
        login: None,
        is_encrypted,
    };
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let line = line.trim_end();
        let command = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let offer = if can_encrypt { "250-STARTTLS\r\n" } else { "" };
        let usual = match command.as_str() {
            "EHLO" => format!("250-mail.example\r\n{offer}250-8BITMIME\r\n250 AUTH PLAIN LOGIN"),
            "DATA" => "354 go on".to_owned(),
            "STAR" => "220 go on".to_owned(),
            "AUTH" => "235 welcome".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 fine".to_owned(),
            _ => "500 what".to_owned(),
        };
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        match command.as_str() {
            "MAIL" => mail.from = address,
            "RCPT" => mail.to.push(address),
            "AUTH" => mail.login = Some(line.to_owned()),
            _ => {}
        }
        say(stream, kept, &command, &usual).await?;
        match command.as_str() {
            "STAR" => return Ok(true),
            "QUIT" => return Ok(false),
            "DATA" if kept.told("DATA").is_none() => {
                mail.data = read_data(stream).await?;
                if kept.told("DATA.").is_none_or(|answer| answer.starts_with('2')) {
                    let mut mails = kept.mails.lock().unwrap_or_else(PoisonError::into_inner);
                    mails.push(mail.clone());
                }
                say(stream, kept, "DATA.", "250 queued as 1").await?;
                mail.to.clear();
            }
            _ => {}
        }
    }
}

async fn read_data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let mut line = Vec::new();
        ensure!(stream.read_until(b'\n', &mut line).await? > 0, "it ended in a mail");
        if line == b".\r\n" {
            return Ok(data);
        }
        data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
