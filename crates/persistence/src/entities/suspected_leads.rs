//! The table `suspected_leads`: leads that weren't delivered, as they may be no person's, and when they were after all.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "suspected_leads")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) lead_id: Uuid,
    pub(crate) client_id: Uuid,
    /// A JSON array of names.
    pub(crate) reasons: String,
    pub(crate) at: i64,
    pub(crate) released_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
