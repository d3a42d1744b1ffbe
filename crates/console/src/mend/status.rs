//! What a receiver's HTTP status says.

use super::{Failed, Mend, Place};

/// From which status to which, what is wrong, what to do, and where. The first that holds the status is meant.
type Row = (u16, u16, Place, &'static str, &'static str);

const STATUSES: &[Row] = &[
    (
        304,
        306,
        Place::Receiver,
        "The receiver answers as if it were asked for a page, not sent a lead.",
        "Answer a POST with 200, and check that no cache is before the receiver.",
    ),
    (
        400,
        400,
        Place::Receiver,
        "The receiver couldn't read the request, or doesn't accept what is in it.",
        "See its answer in the tab Response. Check that it reads JSON, and that its signature check takes the body as it came, byte for byte.",
    ),
    (
        401,
        401,
        Place::Destination,
        "The receiver wants to know who sends, and doesn't accept what it was told.",
        "Give the destination the credentials or the header that the receiver asks for. If it verifies signatures, check that it has this destination's secret.",
    ),
    (
        402,
        402,
        Place::Receiver,
        "The receiver's account isn't paid for, or has used up its plan.",
        "See to the account at the receiver's service.",
    ),
    (
        403,
        403,
        Place::Receiver,
        "The receiver understood who sends, and doesn't let it in.",
        "Often a firewall or a bot protection before the receiver (such as Cloudflare's) stops programs: let the path of the webhook pass. Otherwise check the signature's secret and the credentials.",
    ),
    (
        404,
        404,
        Place::Destination,
        "There is nothing at this URL.",
        "Check the path for a typing mistake, or whether the receiver was moved: then save its new URL.",
    ),
    (
        405,
        405,
        Place::Destination,
        "There is something at this URL, but it doesn't take a POST: it is probably a page for people.",
        "Save the URL of the endpoint itself, or choose the method that it takes in the destination's settings.",
    ),
    (
        406,
        406,
        Place::Receiver,
        "The receiver can't answer in a form that it believes we want.",
        "Let the receiver answer whatever the request's Accept header says: only its status matters.",
    ),
    (
        407,
        407,
        Place::Receiver,
        "A proxy before the receiver asks for credentials.",
        "Let the path of the webhook pass that proxy.",
    ),
    (
        408,
        408,
        Place::Receiver,
        "The receiver gave up waiting for the request.",
        "This often passes by itself. If it stays so, the receiver or a proxy before it is overloaded.",
    ),
    (
        409,
        409,
        Place::Receiver,
        "The receiver says that this contradicts what it has: it may have this lead already.",
        "Look for the lead there. A receiver that knows a webhook-id already should answer 200.",
    ),
    (
        410,
        410,
        Place::Destination,
        "The receiver says that it is gone for good.",
        "Save the URL of the receiver that took its place. A destination that is gone is disabled at once, so resume it afterwards.",
    ),
    (
        411,
        411,
        Place::Receiver,
        "The receiver, or a proxy before it, wants the length of the body, which was sent.",
        "Look at the proxies before the receiver: one of them removes the header content-length.",
    ),
    (
        413,
        413,
        Place::Receiver,
        "The receiver takes no body as large as this.",
        "Raise the limit at the receiver (nginx: client_max_body_size): a lead is at most some 30 kB.",
    ),
    (
        414,
        414,
        Place::Destination,
        "The URL is too long for the receiver.",
        "Save a shorter URL.",
    ),
    (
        415,
        415,
        Place::Destination,
        "The receiver doesn't take JSON.",
        "Let it read content-type application/json, or choose another form of body in the destination's settings.",
    ),
    (
        421,
        421,
        Place::Receiver,
        "The server that answers isn't the one for this host.",
        "Check the DNS record of the host, and the server's list of hosts.",
    ),
    (
        422,
        422,
        Place::Receiver,
        "The receiver read the lead, and doesn't accept its values.",
        "See its answer in the tab Response: it usually names the field, such as one that is required there and empty here.",
    ),
    (
        425,
        425,
        Place::Receiver,
        "The receiver says that it is too early.",
        "It is for the receiver to take it later: redeliver, or choose a retry policy.",
    ),
    (
        429,
        429,
        Place::Destination,
        "The receiver has had too many requests.",
        "Set a rate limit on the destination that the receiver bears, and a retry policy, so that what was refused is sent later.",
    ),
    (
        431,
        431,
        Place::Destination,
        "The headers are too large for the receiver.",
        "Send fewer headers of your own, or shorter ones.",
    ),
    (
        451,
        451,
        Place::Receiver,
        "The receiver may not take this for legal reasons.",
        "Ask whoever runs the receiver.",
    ),
    (
        400,
        499,
        Place::Receiver,
        "The receiver refused the request.",
        "See its answer in the tab Response, and its own log at this time.",
    ),
    (
        500,
        500,
        Place::Receiver,
        "The receiver met a fault of its own while it handled the lead.",
        "Look in the receiver's log at this time: a program there has failed. When it is mended, redeliver.",
    ),
    (
        501,
        501,
        Place::Receiver,
        "The receiver doesn't know how to handle such a request.",
        "Let it handle POST with a body of JSON.",
    ),
    (
        502,
        502,
        Place::Receiver,
        "A proxy answered: the receiver behind it is down or gave nonsense.",
        "Start the receiver, and check that the proxy before it (nginx, a load balancer) leads to it.",
    ),
    (
        503,
        503,
        Place::Receiver,
        "The receiver is overloaded, or down for maintenance.",
        "This often passes by itself. A retry policy sends what is refused meanwhile later.",
    ),
    (
        504,
        504,
        Place::Receiver,
        "A proxy answered: the receiver behind it took too long.",
        "Answer at once, and do the work afterwards. The receiver may have the lead although it didn't say so.",
    ),
    (
        507,
        507,
        Place::Receiver,
        "The receiver has no room left to store the lead.",
        "Make room at the receiver, and redeliver.",
    ),
    (
        508,
        508,
        Place::Receiver,
        "The receiver's proxies lead in a circle, or its host's limits are reached.",
        "Check the proxies before the receiver, and its hosting plan.",
    ),
    (
        520,
        524,
        Place::Receiver,
        "Cloudflare answered: the receiver behind it is down, took too long or gave nonsense.",
        "Check that the receiver is up, and that Cloudflare's addresses may reach it.",
    ),
    (
        525,
        526,
        Place::Receiver,
        "Cloudflare answered: it couldn't make an encrypted connection to the receiver behind it.",
        "Renew the certificate on the receiver itself, or change Cloudflare's SSL mode.",
    ),
    (
        530,
        530,
        Place::Receiver,
        "Cloudflare answered: it can't find the receiver behind it.",
        "Check the receiver's DNS record at Cloudflare, and whether its tunnel runs.",
    ),
    (
        500,
        599,
        Place::Receiver,
        "The receiver has a trouble of its own.",
        "Look in the receiver's log at this time. When it is mended, redeliver.",
    ),
];

pub(super) fn mend(failed: Failed<'_>, status: u16) -> Mend {
    if matches!(status, 300..=303 | 307 | 308) {
        return redirect(failed, status);
    }
    let row = STATUSES.iter().find(|(from, to, ..)| (*from..=*to).contains(&status));
    row.map_or_else(
        || super::unknown(failed),
        |(_, _, place, wrong, mend)| Mend::new(*place, *wrong, *mend),
    )
}

/// Redirects aren't followed: a lead would go where nobody has said that it may.
fn redirect(failed: Failed<'_>, status: u16) -> Mend {
    let target = failed
        .error
        .split_once("redirects to ")
        .and_then(|(_, rest)| rest.split_once(": update the URL"))
        .map(|(target, _)| target);
    let how = if matches!(status, 301 | 308) {
        "for good"
    } else {
        "for now"
    };
    let Some(target) = target else {
        return Mend::new(
            Place::Destination,
            format!("The receiver redirects elsewhere {how}. Redirects aren't followed."),
            "Save the URL that answers by itself. Often only https:// or the slash at the end differs.",
        );
    };
    let lower = target.to_ascii_lowercase();
    if ["login", "signin", "sign-in", "sign_in", "/auth"]
        .iter()
        .any(|word| lower.contains(word))
    {
        return Mend::new(
            Place::Receiver,
            format!("The receiver wants people to sign in first: it redirects to {target}."),
            "Let the path of the webhook pass without signing in, or save the URL of an endpoint for programs.",
        );
    }
    Mend::new(
        Place::Destination,
        format!("The receiver redirects to {target} {how}. Redirects aren't followed."),
        format!("Change the URL to {target} if you trust it. What follows a question mark isn't shown here: keep it."),
    )
}
