//! What web pages sent a moment ago, in this process and in bounded memory: forms that were sent, and leads, so that the same one sent
//! twice is one. Hashes and ids alone: whoever is erased elsewhere isn't remembered here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sensei_domain::{ClientId, LeadId, NewLead, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

/// The same lead within this is the same one: a double click, or a page that was reloaded.
const SAME_WITHIN: Duration = Duration::from_mins(1);
/// Beyond this many, forms that were sent are forgotten: a bound, not a tuning.
const FORMS_KEPT: usize = 200_000;
/// Beyond this many, leads aren't compared.
const LEADS_KEPT: usize = 20_000;

type Hash = [u8; 32];

/// Tokens of forms that were sent, each until it expires by itself.
#[derive(Debug, Default)]
pub(super) struct SentForms(Mutex<HashMap<Hash, Timestamp>>);

impl SentForms {
    /// Notes that a form is sent; false if it was before.
    pub(super) fn note(&self, token: &str, expires_at: Timestamp, now: Timestamp) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= FORMS_KEPT {
            kept.retain(|_, expires_at| *expires_at > now);
            if kept.len() >= FORMS_KEPT {
                kept.clear();
            }
        }
        kept.insert(Sha256::digest(token).into(), expires_at).is_none()
    }

    /// Whether a form was sent.
    pub(super) fn is_noted(&self, token: &str) -> bool {
        let hash: Hash = Sha256::digest(token).into();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&hash)
    }

    /// Forgets that a form was sent: it came to nothing.
    pub(super) fn forget(&self, token: &str) {
        let hash: Hash = Sha256::digest(token).into();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
    }
}

/// A lead that was captured, and until when the same one is no other.
#[derive(Debug)]
struct Known {
    lead: LeadId,
    until: Timestamp,
}

/// Where one lead's turns are taken, and which it became.
type Place = Arc<tokio::sync::Mutex<Option<Known>>>;

/// One lead's turn: nobody else captures the same meanwhile.
#[derive(Debug)]
pub(crate) struct Turn(OwnedMutexGuard<Option<Known>>);

/// Leads that were captured a moment ago.
#[derive(Debug, Default)]
pub(super) struct RecentLeads(Mutex<Recent>);

#[derive(Debug, Default)]
struct Recent {
    /// Each until then.
    leads: HashMap<Hash, (Place, Timestamp)>,
    pruned_at: Option<Timestamp>,
}

impl RecentLeads {
    /// Waits until nobody is capturing this lead. `None` when there are too many to compare.
    pub(super) async fn turn(
        &self,
        client: ClientId,
        lead: &NewLead,
        is_suspected: bool,
        now: Timestamp,
    ) -> Option<Turn> {
        let place = self.place(hash(client, lead, is_suspected), now)?;
        Some(Turn(place.lock_owned().await))
    }

    fn place(&self, hash: Hash, now: Timestamp) -> Option<Place> {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_late = recent
            .pruned_at
            .is_none_or(|pruned_at| now.since(pruned_at) >= SAME_WITHIN || pruned_at > now);
        if is_late {
            // Who waits for a turn holds a part of it too.
            recent
                .leads
                .retain(|_, (place, until)| *until > now || Arc::strong_count(place) > 1);
            recent.pruned_at = Some(now);
        }
        if recent.leads.len() >= LEADS_KEPT && !recent.leads.contains_key(&hash) {
            return None;
        }
        let (place, until) = recent.leads.entry(hash).or_insert_with(|| (Arc::default(), now));
        *until = now.after(SAME_WITHIN);
        Some(Arc::clone(place))
    }
}

impl Turn {
    /// What the same lead became within the last minute; it may be gone since.
    pub(crate) fn before(&self, now: Timestamp) -> Option<LeadId> {
        let known = self.0.as_ref().filter(|known| known.until > now)?;
        Some(known.lead)
    }

    /// Notes what the lead became.
    pub(crate) fn done(mut self, lead: LeadId, now: Timestamp) {
        *self.0 = Some(Known {
            lead,
            until: now.after(SAME_WITHIN),
        });
    }
}

/// The same for the same name, email, phone, message, session and custom fields. One that is suspected never stands for one that isn't.
fn hash(client: ClientId, lead: &NewLead, is_suspected: bool) -> Hash {
    let mut hash = Sha256::new();
    hash.update(client.as_uuid().as_bytes());
    hash.update([u8::from(is_suspected)]);
    let custom = lead.custom().and_then(|custom| serde_json::to_string(custom).ok());
    let texts = [
        Some(lead.name()),
        Some(lead.email().as_str()),
        lead.phone(),
        lead.message(),
        lead.session_id(),
        custom.as_deref(),
    ];
    for text in texts.map(Option::unwrap_or_default) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000).after(Duration::from_secs(seconds))
    }

    fn lead(message: &str) -> NewLead {
        NewLead::from_json(&json!({"name": "J", "email": "j@example.com", "message": message})).expect("a lead")
    }

    #[test]
    fn a_form_is_sent_once_unless_that_came_to_nothing() {
        let forms = SentForms::default();
        assert!(forms.note("a", at(60), at(0)) && forms.note("b", at(60), at(0)));
        assert!(!forms.note("a", at(60), at(1)) && forms.is_noted("a"));
        forms.forget("a");
        assert!(!forms.is_noted("a"));
        assert!(forms.note("a", at(60), at(2)));
    }

    #[tokio::test]
    async fn the_same_lead_within_a_minute_is_one() {
        let (leads, client) = (RecentLeads::default(), ClientId::new(at(0)));
        let first = leads.turn(client, &lead("a"), false, at(0)).await.expect("a turn");
        assert_eq!(first.before(at(0)), None);
        let (as_suspected, other) = (lead("a"), lead("b"));
        let mut same = Box::pin(leads.turn(client, &as_suspected, false, at(1)));
        assert!(futures_util::poll!(&mut same).is_pending(), "it waits for the first");
        for (client, lead, is_suspected) in [
            (client, &other, false),
            (client, &as_suspected, true),
            (ClientId::new(at(1)), &as_suspected, false),
        ] {
            let turn = leads.turn(client, lead, is_suspected, at(1)).await.expect("a turn");
            assert_eq!(turn.before(at(1)), None);
        }
        let became = LeadId::new(at(0));
        first.done(became, at(1));
        let same = same.await.expect("a turn");
        assert_eq!(same.before(at(60)), Some(became));
        assert_eq!(same.before(at(61)), None);
    }

    #[tokio::test]
    async fn what_is_over_is_forgotten() {
        let (leads, client) = (RecentLeads::default(), ClientId::new(at(0)));
        let held = leads.turn(client, &lead("held"), false, at(0)).await.expect("a turn");
        drop(leads.turn(client, &lead("over"), false, at(0)).await);
        drop(leads.turn(client, &lead("new"), false, at(120)).await);
        let kept = leads.0.lock().unwrap_or_else(PoisonError::into_inner).leads.len();
        assert_eq!(kept, 2, "the one that is held, and the new one");
        drop(held);
    }
}
