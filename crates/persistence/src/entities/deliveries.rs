//! The table `deliveries`: events bound for destinations, each with its state.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) client_id: Uuid,
    pub(crate) event_id: Uuid,
    pub(crate) lead_id: Option<Uuid>,
    pub(crate) destination_id: Uuid,
    pub(crate) state: String,
    pub(crate) due_at: Option<i64>,
    pub(crate) lease: Option<i64>,
    pub(crate) attempt_count: i64,
    pub(crate) scheduled_attempts: i64,
    pub(crate) ours_since: Option<i64>,
    pub(crate) prior_state: Option<String>,
    pub(crate) prior_due_at: Option<i64>,
    pub(crate) replayed: bool,
    pub(crate) was_head: bool,
    pub(crate) failure_reason: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) completed_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
