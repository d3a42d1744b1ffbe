//! A DNS server of a test's own, on a UDP port of loopback.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// What a name is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// These addresses, for 0 seconds.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NxDomain,
    /// The name exists, without addresses.
    Empty,
    /// The server has failed.
    ServFail,
    /// Nothing.
    Silence,
}

impl Reply {
    pub(crate) fn addresses(texts: &[&str]) -> Self {
        Self::Addresses(texts.iter().map(|text| text.parse().expect("an address")).collect())
    }
}

/// Answers until it is dropped. A name with several replies moves on with every question for its IPv4 addresses;
/// the last stays.
pub(crate) struct DnsServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl DnsServer {
    pub(crate) async fn start<const N: usize>(zone: [(&str, Vec<Reply>); N]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port is free");
        let address = socket.local_addr().expect("it is bound");
        let mut zone: HashMap<_, _> = zone
            .into_iter()
            .map(|(name, replies)| (name.to_owned(), replies))
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut packet = [0; 1_500];
            while let Ok((length, client)) = socket.recv_from(&mut packet).await {
                let question = Question::read(&packet[..length]);
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(question.name.clone());
                if let Some(answer) = question.answer(&mut zone) {
                    socket.send_to(&answer, client).await.ok();
                }
            }
        });
        Self { address, asked, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names asked for, with their final dots.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Question {
    id: [u8; 2],
    /// As it came: name, type, class.
    section: Vec<u8>,
    name: String,
    wants_v4: bool,
}

impl Question {
    fn read(packet: &[u8]) -> Self {
        const HEADER: usize = 12;
        let mut name = String::new();
        let mut at = HEADER;
        while packet[at] != 0 {
            let length = usize::from(packet[at]);
            name.push_str(&String::from_utf8_lossy(&packet[at + 1..=at + length]));
            name.push('.');
            at += length + 1;
        }
        Self {
            id: [packet[0], packet[1]],
            section: packet[HEADER..at + 5].to_vec(),
            name: name.to_ascii_lowercase(),
            // Type 1 is A, 28 is AAAA.
            wants_v4: packet[at + 2] == 1,
        }
    }

    fn answer(&self, zone: &mut HashMap<String, Vec<Reply>>) -> Option<Vec<u8>> {
        const NO_ERROR: u8 = 0;
        let reply = match zone.get_mut(self.name.trim_end_matches('.')) {
            Some(replies) if replies.len() > 1 && self.wants_v4 => replies.remove(0),
            Some(replies) => replies[0].clone(),
            None => Reply::NxDomain,
        };
        let (code, addresses) = match reply {
            Reply::Addresses(addresses) => (NO_ERROR, addresses),
            Reply::Empty => (NO_ERROR, Vec::new()),
            Reply::ServFail => (2, Vec::new()),
            Reply::NxDomain => (3, Vec::new()),
            Reply::Silence => return None,
        };
        let wanted = addresses
            .into_iter()
            .filter(|address| address.is_ipv4() == self.wants_v4);
        let records: Vec<_> = wanted.map(record).collect();
        let count = u8::try_from(records.len()).expect("few records");
        let mut answer = self.id.to_vec();
        // A response, recursion desired and available; one question, the records, nothing more.
        answer.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
        answer.extend(&self.section);
        answer.extend(records.concat());
        Some(answer)
    }
}

/// The question's name by pointer, type, class IN, 0 seconds to live, the address.
fn record(address: IpAddr) -> Vec<u8> {
    let (kind, octets) = match address {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (28, v6.octets().to_vec()),
    };
    let length = u8::try_from(octets.len()).expect("4 or 16");
    let mut record = vec![0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0, 0, length];
    record.extend(octets);
    record
}
