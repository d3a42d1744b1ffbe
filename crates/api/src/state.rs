//! What the handlers work with.

use std::sync::Arc;

use ipnet::IpNet;
use sensei_dispatcher::{
    BreakerState, Breakers, ConfigError, Descriptor, DispatcherCounts, Egress, Kind, Refusal, Registry, Tester, Watch,
};
use sensei_domain::{ClientId, Clock, DestinationId, Fault, Faults, Fields, Timestamp, WebhookUrl};
use sensei_persistence::{Client, DestinationConfig, Store};
use serde_json::Value;

use crate::gate::Gate;
use crate::keys_under_way::KeysUnderWay;
use crate::live::Live;
use crate::problem::Problem;

/// Where a config's URLs stand that a client chooses.
const URLS: [&str; 2] = ["/url", "/auth/tokenUrl"];
/// Where configs say where they send to.
const TOKEN_URL: &str = "/auth/tokenUrl";
const AIMS: [&str; 7] = ["/url", TOKEN_URL, "/host", "/port", "/security", "/instance", "/site"];

/// What the handlers work with. A cheap handle: it is cloned several times a request.
#[derive(Clone)]
pub struct ApiState(Arc<Parts>);

/// What is behind an [`ApiState`].
#[derive(Clone)]
struct Parts {
    store: Store,
    egress: Egress,
    registry: Registry,
    clock: Arc<dyn Clock>,
    tester: Tester,
    keys_under_way: KeysUnderWay,
    breakers: Option<Breakers>,
    gate: Gate,
    live: Live,
    watch: Option<Watch>,
    started_at: Timestamp,
}

impl ApiState {
    /// Serves this store, lets webhooks go where this egress guard lets them, and offers these kinds of destinations.
    pub fn new(store: Store, egress: Egress, registry: Registry, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Parts {
            tester: Tester::new(egress.clone(), registry.clone(), Arc::clone(&clock)),
            keys_under_way: KeysUnderWay::default(),
            breakers: None,
            gate: Gate::default(),
            live: Live::default(),
            watch: None,
            started_at: clock.now(),
            store,
            egress,
            registry,
            clock,
        }))
    }

    /// Shows where the circuit breakers of this process stand.
    #[must_use]
    pub fn with_breakers(mut self, breakers: Breakers) -> Self {
        Arc::make_mut(&mut self.0).breakers = Some(breakers);
        self
    }

    /// Takes these proxies' word (`x-forwarded-for`) for where a web page's request comes from. The router must be served with the peers'
    /// addresses ([`axum::extract::ConnectInfo`] of a [`std::net::SocketAddr`]); without them, leads of web pages are limited per client alone.
    #[must_use]
    pub fn with_trusted_proxies(mut self, proxies: Vec<IpNet>) -> Self {
        Arc::make_mut(&mut self.0).gate.trust(proxies);
        self
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Shows what the dispatcher of this process counts.
    #[must_use]
    pub fn with_watch(mut self, watch: Watch) -> Self {
        Arc::make_mut(&mut self.0).watch = Some(watch);
        self
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn tester(&self) -> &Tester {
        &self.0.tester
    }

    pub(crate) fn keys_under_way(&self) -> &KeysUnderWay {
        &self.0.keys_under_way
    }

    pub(crate) fn live(&self) -> &Live {
        &self.0.live
    }

    /// Ends the live streams, which would otherwise keep their connections open for as long as somebody looks. Those that are asked for
    /// later end at once.
    pub fn end_streams(&self) {
        self.0.live.closing().cancel();
    }

    /// Gives up the test sends under way, which are then not in the log, and ends the live streams. Before the store is closed.
    pub async fn shutdown(&self) {
        self.end_streams();
        self.0.tester.shutdown().await;
    }

    /// Where a destination's circuit breaker stands in this process; `None` without a dispatcher.
    pub(crate) fn breaker(&self, destination: DestinationId) -> Option<BreakerState> {
        self.0.breakers.as_ref()?.state(destination)
    }

    /// Destinations whose breakers aren't closed in this process, and since when.
    pub(crate) fn open_breakers(&self, most: usize) -> Vec<(DestinationId, Timestamp)> {
        let breakers = self.0.breakers.as_ref();
        breakers.map(|breakers| breakers.open(most)).unwrap_or_default()
    }

    /// `None` without a dispatcher.
    pub(crate) fn dispatcher_counts(&self) -> Option<DispatcherCounts> {
        self.0.watch.as_ref()?.counts()
    }

    /// Since when this process serves.
    pub(crate) fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The client, or the problem that there is none: a list of nothing would hide a mistyped id.
    pub(crate) async fn client(&self, id: ClientId) -> Result<Client, Problem> {
        self.0.store.client(id).await?.ok_or_else(Problem::unknown_client)
    }

    /// Reads a Lead Webhook URL: absent, null or empty is none; one that the egress guard would never let through is a fault.
    pub(crate) fn webhook_url(&self, fields: &mut Fields<'_>, name: &'static str) -> Option<WebhookUrl> {
        let url = fields.parsed::<WebhookUrl>(name)?;
        if let Err(refusal) = self.0.egress.check(&url) {
            fields.fault(name, refusal.to_string());
        }
        Some(url)
    }

    /// The kinds of destinations that there are.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &Descriptor> {
        self.0.registry.kinds().map(Kind::descriptor)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Checks a destination's config, which stands at `/config`: its kind must accept it, and the egress guard its URLs.
    /// Answers with the config as it is kept, its URLs normalised as in the settings. A secret that is masked or left out is
    /// the one of before; those are named too.
    pub(crate) fn config(
        &self,
        kind: &str,
        config: &Value,
        before: Option<&DestinationConfig>,
    ) -> Result<(DestinationConfig, Vec<String>), Faults> {
        let secret_fields = self
            .descriptor(kind)
            .map_or(&[][..], |descriptor| &descriptor.secret_fields);
        let (mut kept, mut kept_secrets) = (config.clone(), Vec::new());
        for field in secret_fields {
            for place in masked(&kept, field) {
                let pointer = format!("/{place}");
                match before.and_then(|before| before.at(&place)) {
                    Some(secret) => {
                        set(&mut kept, &place, secret);
                        kept_secrets.push(place);
                    }
                    None if kept.pointer(&pointer).is_some() => {
                        let pointer = format!("/config{pointer}");
                        return Err(Faults::one(
                            pointer,
                            "must be the secret itself, not what stands for it",
                        ));
                    }
                    None => {}
                }
            }
        }
        if let Some(before) = before.filter(|before| is_aimed_elsewhere(before.expose(), &kept)) {
            // Whoever may change a destination may not read its secrets, and so not have them sent to himself.
            let again = kept_secrets.iter().filter(|place| before.at(place).is_some());
            let again = again.map(|place| Fault {
                pointer: format!("/config/{place}"),
                detail: "must be given again, since it would be sent to another place".to_owned(),
            });
            if let Some(faults) = Faults::of(again.collect()) {
                return Err(faults);
            }
        }
        if let Err(error) = self.0.registry.bind(kind, &kept) {
            return Err(match error {
                ConfigError::UnknownKind { .. } => Faults::one("/kind", error.to_string()),
                ConfigError::Invalid { faults, .. } => faults.below("/config"),
            });
        }
        for pointer in URLS {
            let Some(given) = kept.pointer_mut(pointer) else {
                continue;
            };
            if let Some(url) = given.as_str().and_then(|url| url.parse::<WebhookUrl>().ok()) {
                let refused = |refusal: Refusal| Faults::one(format!("/config{pointer}"), refusal.to_string());
                self.0.egress.check(&url).map_err(refused)?;
                *given = url.as_str().into();
            }
        }
        let config = DestinationConfig::new(kept, secret_fields.iter().map(String::as_str));
        Ok((config, kept_secrets))
    }

    /// What there is to know about a kind.
    pub(crate) fn descriptor(&self, kind: &str) -> Option<&Descriptor> {
        self.kinds().find(|descriptor| descriptor.kind == kind)
    }
}

/// Whether what a config sends would go to another host, or another way there.
fn is_aimed_elsewhere(before: &Value, after: &Value) -> bool {
    let aim = |config: &Value, pointer: &str| {
        let aim = config.pointer(pointer)?;
        let url = aim.as_str().and_then(|url| url.parse::<WebhookUrl>().ok());
        // Who shares a host with others is asked for a token by the whole URL.
        let url = url.filter(|_| pointer != TOKEN_URL);
        Some(url.map_or_else(|| aim.to_string(), |url| url.as_url().origin().ascii_serialization()))
    };
    AIMS.iter().any(|pointer| aim(before, pointer) != aim(after, pointer))
}

/// The places of these secrets at which there is a mask, or no field of the config's own: left out within an object, it is gone.
fn masked(config: &Value, secret_field: &str) -> Vec<String> {
    let mut places = DestinationConfig::places(config, secret_field);
    if places.is_empty() && !secret_field.contains('/') && config.is_object() {
        return vec![secret_field.to_owned()];
    }
    places.retain(|place| {
        config
            .pointer(&format!("/{place}"))
            .is_some_and(|given| given == DestinationConfig::MASK)
    });
    places
}

fn set(config: &mut Value, place: &str, value: &Value) {
    if let Some(given) = config.pointer_mut(&format!("/{place}")) {
        *given = value.clone();
    } else if let Value::Object(fields) = config {
        fields.insert(place.to_owned(), value.clone());
    }
}
