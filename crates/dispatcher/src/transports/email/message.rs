//! An event as a mail: text and HTML, of which a visitor's words are text alone.
//!
//! Headers are encoded by the library, and what goes into one is a line first: nobody can add a header by typing.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use sensei_domain::{LeadCreated, Timestamp, Trigger};
use sensei_persistence::Job;
use url::Host;

use super::super::text::{cut, html};
use super::super::told::{Summary, Told};
use crate::egress::Failure;
use crate::template::{Rendered, Slot};

/// Characters of a subject.
const SUBJECT: usize = 200;
/// Characters of a name beside an address.
const NAME: usize = 100;
/// Characters of the text, and of a part of the HTML.
const TEXT: usize = 50_000;
const FACT: usize = 3_000;
/// Characters of HTML that a client writes: more than a template may make, so that none is cut within a tag.
const HTML: usize = 100_000;
pub(super) const SLOTS: &[Slot] = &[
    Slot::text("subject", "The subject, in one line.", SUBJECT, cut)
        .or("New lead: {{ data.name }} ({{ data.clientName }})"),
    Slot::text(
        "text",
        "The mail as text; also as HTML, if there is no template for that. Without a template all that is known of the lead.",
        TEXT,
        cut,
    ),
    Slot::text("html", "The mail as HTML.", HTML, html),
];
/// Marks a sample, as it does a webhook.
const SENSEI_TEST: &str = "Sensei-Test";

/// The mail of a job, from and to these.
pub(super) fn message(
    job: &Job,
    now: Timestamp,
    from: &Mailbox,
    to: &[Mailbox],
    mut rendered: Rendered,
) -> Result<Message, Failure> {
    let told = Told::read(&job.body)?;
    let (reply_to, of_client) = match &told {
        Told::Lead(lead) => (reply_to(lead), format!(" ({})", lead.data.client_name)),
        Told::Destination(_) => (None, String::new()),
    };
    let summary = Summary::of(told);
    let subject = rendered.take("subject");
    let subject = subject.unwrap_or_else(|| format!("{}{of_client}", summary.task()));
    let subject = line(&subject, SUBJECT);
    let domain = from.email.domain();
    let mut mail = Message::builder()
        .from(from.clone())
        .subject(subject)
        // The same however often it is sent.
        .message_id(Some(format!("<{}@{domain}>", job.event_id)))
        .date(UNIX_EPOCH + Duration::from_millis(now.as_millis().unsigned_abs()));
    for to in to {
        mail = mail.to(to.clone());
    }
    if let Some(reply_to) = reply_to {
        mail = mail.reply_to(reply_to);
    }
    if job.trigger == Trigger::Test {
        mail = mail.raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str(SENSEI_TEST),
            "true".to_owned(),
        ));
    }
    let (text, page_given) = (rendered.take("text"), rendered.take("html"));
    let given = page_given.or_else(|| Some(page_of(&html(text.as_deref()?, HTML))));
    let body = MultiPart::alternative_plain_html(
        text.unwrap_or_else(|| summary.text(TEXT, cut)),
        given.unwrap_or_else(|| page(&summary)),
    );
    mail.multipart(body)
        .map_err(|error| Failure::Ours(format!("the mail can't be written ({error})")))
}

/// Whoever answers writes to the visitor, if his address is one that every mail server takes: in ASCII, its domain as DNS has it.
fn reply_to(lead: &LeadCreated<'_>) -> Option<Mailbox> {
    let (user, domain) = lead.data.email.rsplit_once('@')?;
    let domain = Host::parse(domain).ok()?.to_string();
    let address = Address::new(user, domain).ok().filter(|_| user.is_ascii())?;
    Some(Mailbox::new(Some(line(&lead.data.name, NAME)), address))
}

/// In one line.
fn line(text: &str, limit: usize) -> String {
    cut(text, limit).replace(['\n', '\t'], " ")
}

fn page_of(content: &str) -> String {
    format!("<!doctype html><html><body>{content}</body></html>")
}

fn page(summary: &Summary) -> String {
    let mut page = format!(
        "<!doctype html><html><body><h2>{}</h2><table>",
        html(&summary.title, FACT)
    );
    for (label, fact) in &summary.facts {
        let fact = html(fact, FACT);
        write!(page, "<tr><td><b>{label}</b></td><td>{fact}</td></tr>").expect("a String takes all");
    }
    page.push_str("</table>");
    if let Some(message) = &summary.message {
        write!(page, "<p>{}</p>", html(message, TEXT)).expect("a String takes all");
    }
    let (note, at) = (html(&summary.note, FACT), summary.timestamp);
    write!(page, "<p><small>{note} · {at}</small></p></body></html>").expect("a String takes all");
    page
}
