//! Leads by whether they are kept back as suspected.

use sea_orm::{DatabaseBackend, QueryTrait as _};
use sensei_domain::{ClientId, LeadId, Timestamp};

use super::Hot;
use crate::records::Page;
use crate::suspected::{marks, query};

pub(super) fn hot(backend: DatabaseBackend) -> Vec<Hot> {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let (client, lead) = (ClientId::new(now), LeadId::new(now).as_uuid());
    let page = Page {
        limit: 50,
        before: Some(lead),
    };
    let by_lead = if backend == DatabaseBackend::Sqlite {
        "sqlite_autoindex_suspected_leads_1"
    } else {
        "suspected_leads_pkey"
    };
    vec![
        Hot {
            what: "leads that are kept back",
            statement: query(backend, client, true, page),
            names: "suspected_leads_of_client",
        },
        Hot {
            what: "leads that aren't",
            statement: query(backend, client, false, page),
            names: "leads_of_client",
        },
        Hot {
            what: "which leads of a page are kept back",
            statement: marks([lead].into_iter()).build(backend),
            names: by_lead,
        },
    ]
}
