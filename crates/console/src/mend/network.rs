//! What keeps a request from being answered: names, addresses, connections, certificates, and ourselves.

use super::{Mend, Place};

/// By what the error says, what is wrong, what to do, and where.
type Row = (&'static str, Place, &'static str, &'static str);

/// The first whose words are in the error is meant.
const UNANSWERED: &[Row] = &[
    (
        "name doesn't exist (DNS)",
        Place::Destination,
        "There is no such host: the name in the URL isn't known to DNS.",
        "Look for a typing mistake in the host's name. If the name is right, its domain may have expired or its DNS record may be missing.",
    ),
    (
        "name has no address (DNS)",
        Place::Receiver,
        "The host's name is known, but leads to no address.",
        "Give the name an A or AAAA record, or save a URL with another host.",
    ),
    (
        "looked up",
        Place::Receiver,
        "The host's name couldn't be looked up: its name servers don't answer, or answer with an error.",
        "This often passes by itself. If it stays so, check the domain's name servers.",
    ),
    (
        "certificate has expired",
        Place::Receiver,
        "The receiver's TLS certificate has expired.",
        "Renew the certificate at the receiver, and see why it isn't renewed by itself.",
    ),
    (
        "certificate isn't valid yet",
        Place::Receiver,
        "The receiver's TLS certificate isn't valid yet.",
        "Install a certificate that is valid now, or set the clock of whatever made it.",
    ),
    (
        "certificate is for another name",
        Place::Destination,
        "The receiver's TLS certificate is for another host than the one in the URL.",
        "Use the host's name that the certificate is for, such as with or without www, or install a certificate for this one.",
    ),
    (
        "issuer of the receiver's certificate",
        Place::Receiver,
        "Nobody that is trusted vouches for the receiver's TLS certificate: it is self-signed, or the chain is incomplete.",
        "Install the full chain (often called fullchain.pem) of a public certificate authority. Browsers hide a missing link of the chain, other programs don't.",
    ),
    (
        "certificate was revoked",
        Place::Receiver,
        "The receiver's TLS certificate was revoked.",
        "Install a new certificate at the receiver.",
    ),
    (
        "certificate isn't valid",
        Place::Receiver,
        "The receiver's TLS certificate isn't valid.",
        "Install a valid certificate of a public certificate authority at the receiver.",
    ),
    (
        "doesn't speak TLS at this port",
        Place::Destination,
        "What answers at this port doesn't speak TLS.",
        "Check the URL's port: the port for https is usually 443, and needs no number in the URL.",
    ),
    (
        "no TLS version or cipher",
        Place::Receiver,
        "The receiver speaks only TLS that is too old: 1.2 and 1.3 are accepted.",
        "Switch TLS 1.2 or 1.3 on at the receiver.",
    ),
    (
        "TLS handshake",
        Place::Receiver,
        "The encrypted connection couldn't be made: the TLS handshake failed.",
        "Check that the receiver serves this very host by TLS, and asks for no client certificate.",
    ),
    (
        "no connection within",
        Place::Receiver,
        "Nothing answers at the receiver's address: the connection wasn't made in time.",
        "Check that the server is up, and that its firewall lets connections in at the URL's port.",
    ),
    (
        "no answer within",
        Place::Receiver,
        "The receiver took too long: it was connected, but didn't answer in time.",
        "Answer at once, and do the work afterwards: keep the lead in a queue and reply 200. The receiver may have the lead although it didn't say so.",
    ),
    (
        "refused the connection",
        Place::Receiver,
        "The receiver refused the connection: nothing listens at this port.",
        "Start the receiver, or check the URL's host and port.",
    ),
    (
        "network can't be reached",
        Place::Receiver,
        "No way leads to the receiver's network.",
        "Check that the receiver's server is on line, and that the name's DNS record has the right address.",
    ),
    (
        "closed the connection before it answered",
        Place::Receiver,
        "The receiver closed the connection before it answered.",
        "Look in the receiver's log: its process may have crashed or been restarted, or a proxy before it gave up. The receiver may have the lead.",
    ),
    (
        "isn't valid HTTP",
        Place::Destination,
        "What answers there doesn't speak HTTP.",
        "Check the URL's port: another service than a web server listens there.",
    ),
    (
        "the template `",
        Place::Destination,
        "The destination's template can't be used for this lead.",
        "Correct the template in the destination's settings, where its preview shows what it makes, and redeliver.",
    ),
    (
        "no STARTTLS",
        Place::Destination,
        "The mail server doesn't encrypt at this port.",
        "Choose TLS and port 465 if the server has that, or another server.",
    ),
    (
        "the mail server answered 53",
        Place::Destination,
        "The mail server doesn't accept the user name or the password.",
        "Save the right ones. Many services want a password made for programs (an app password).",
    ),
    (
        "the mail server answered",
        Place::Receiver,
        "The mail server refused the mail.",
        "Its own words say why: often the sender's address isn't one that it sends for, or the recipient's doesn't exist.",
    ),
    (
        "connection failed",
        Place::Receiver,
        "The connection to the receiver failed.",
        "This often passes by itself. If it stays so, look at what is between us and the receiver: firewalls and proxies.",
    ),
];

const BLOCKED: &[Row] = &[
    (
        "must begin with https",
        Place::Destination,
        "The URL begins with http://, which anybody on the way can read.",
        "Save the URL with https://.",
    ),
    (
        "port isn't allowed",
        Place::Destination,
        "The URL's port is one of another kind of service, and web requests aren't sent there.",
        "Use 443, 80, 8443 or another port from 1024.",
    ),
    (
        "address that isn't allowed",
        Place::Destination,
        "The URL leads to an address that isn't allowed: one of a private network, of this machine, or of a cloud's inside.",
        "Save a URL that is reachable from the internet. If the receiver is meant to be inside, the operator can allow its network (SENSEI_EGRESS_ALLOW).",
    ),
    (
        "mail server is at an address or port",
        Place::Destination,
        "The mail server's address or port isn't allowed, or it isn't encrypted.",
        "Choose TLS at port 465 or STARTTLS at port 587, at a server that is reachable from the internet.",
    ),
    (
        "",
        Place::Destination,
        "The URL isn't one that may be sent to.",
        "Save another one: https, with a host, and without a user name, a password or a fragment (what follows #).",
    ),
];

const OURS: &[Row] = &[
    (
        "our network leads nowhere",
        Place::Operator,
        "This server's own network is down, or has no way to the receiver (such as no IPv6).",
        "Nothing is lost, and it is tried again. The operator should look at this server's network.",
    ),
    (
        "out of sockets or memory",
        Place::Operator,
        "This server is short of sockets or memory.",
        "Nothing is lost, and it is tried again. The operator should raise the limit of open files, or give it more memory.",
    ),
    (
        "template",
        Place::Destination,
        "The destination's template couldn't be used in time.",
        "It is tried again. If it stays so, simplify the template.",
    ),
    (
        "",
        Place::Operator,
        "The request didn't leave this server: the fault is ours.",
        "Nothing is lost, and it is tried again. If it stays so, tell the operator the time of this attempt.",
    ),
];

pub(super) fn mend(error: &str) -> Option<Mend> {
    find(UNANSWERED, error)
}

pub(super) fn blocked(error: &str) -> Option<Mend> {
    find(BLOCKED, error)
}

pub(super) fn ours(error: &str) -> Option<Mend> {
    find(OURS, error)
}

fn find(rows: &[Row], error: &str) -> Option<Mend> {
    let (_, place, wrong, mend) = rows.iter().find(|(words, ..)| error.contains(words))?;
    Some(Mend::new(*place, *wrong, *mend))
}
