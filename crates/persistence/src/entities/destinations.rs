//! The table `destinations`: where clients want events sent. Deleted ones stay, emptied, for the log.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "destinations")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: Uuid,
    pub(crate) client_id: Uuid,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) status_since: i64,
    pub(crate) version: i64,
    pub(crate) config: String,
    pub(crate) template: Option<String>,
    pub(crate) retry: String,
    pub(crate) rate_limit: Option<String>,
    pub(crate) ordered: bool,
    pub(crate) filter: Option<String>,
    pub(crate) sealed_secret: String,
    pub(crate) previous_sealed_secret: Option<String>,
    pub(crate) previous_secret_until: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) deleted_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
