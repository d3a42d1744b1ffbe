//! The work of recoveries: a bounded step of each, again and again, until there is nothing left to do.
//!
//! Promises that a recovery deals with each delivery once and misses none. A step reads what comes behind its position by
//! one order, that of ids, decides by what the row is then, and writes the deliveries, the position and the counts
//! in one transaction that holds the recovery's row: a crash repeats the step or has it behind it, and of several nodes
//! one at a time takes it. What was made after the recovery was asked for is left alone.
//!
//! Each destination has a position of its own (a walk). One position for all would have to stop at the first delivery
//! that must wait, and a receiver that hangs would keep those of every other behind it. What a walk does is for `step`.

use std::sync::PoisonError;

use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QuerySelect, Statement, Value};
use sensei_domain::{ClientId, RecoveryId, RecoveryState};
use uuid::Uuid;

use crate::connection::in_time;
use crate::entities::{clients, recoveries};
use crate::error::StoreError;
use crate::recoveries::end;
use crate::recovery_rows::{read_walks, recovery, write_walks};
use crate::step::{Step, bound};
use crate::store::Store;

/// Recoveries that get a step at one look; where there are more, the next look goes on with them.
const TURNS: usize = 8;
/// What runs, in turn.
pub(crate) const RUNNING: &str =
    "SELECT id, client_id FROM recoveries WHERE state = 'running' AND id > $1 ORDER BY id LIMIT $2";
impl Store {
    /// Brings running recoveries on by a step each. True if another look at once is worth it.
    pub async fn advance_recoveries(&self) -> Result<bool, StoreError> {
        let (mut more, mut failed) = (false, None);
        for (id, client) in Box::pin(self.running_recoveries()).await? {
            match in_time(Box::pin(self.advance(id, client))).await {
                Ok(again) => more |= again,
                // Not the end of those behind it.
                Err(error) if error.is_transient() => failed = Some(error),
                Err(error) => {
                    tracing::error!(
                        recovery = %id,
                        error = &error as &dyn std::error::Error,
                        "a recovery can't go on, and is ended"
                    );
                    Box::pin(self.give_up(id)).await?;
                }
            }
        }
        failed.map_or(Ok(more), Err)
    }

    async fn running_recoveries(&self) -> Result<Vec<(RecoveryId, ClientId)>, StoreError> {
        let turn = || {
            self.shared()
                .recovered_after
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let after = *turn();
        let reader = self.connections().prompt();
        let values: [Value; 2] = [after.into(), bound(TURNS).into()];
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), RUNNING, values);
        let rows = in_time(reader.query_all_raw(statement)).await?;
        let running = rows
            .iter()
            .map(|row| Ok((row.try_get_by_index::<Uuid>(0)?, row.try_get_by_index::<Uuid>(1)?)))
            .collect::<Result<Vec<_>, DbErr>>()?;
        let last = running.last().filter(|_| running.len() == TURNS);
        *turn() = last.map_or(Uuid::nil(), |(id, _)| *id);
        let typed = |(id, client)| (RecoveryId::from_uuid(id), ClientId::from_uuid(client));
        Ok(running.into_iter().map(typed).collect())
    }

    async fn advance(&self, id: RecoveryId, client: ClientId) -> Result<bool, StoreError> {
        let now = self.now();
        let transaction = self.connections().begin().await?;
        if !is_at_rest(&transaction, client).await? {
            return Ok(false);
        }
        let Some(row) = running(&transaction, id).await? else {
            return Ok(false);
        };
        let before = read_walks(&row.positions)?;
        let recovery = recovery(row)?;
        let mut step = Step::new(&transaction, &recovery, now, self.lease());
        // Those that don't get their turn are the first at the next step.
        let (mut after, mut had_turns) = (Vec::new(), Vec::new());
        for &walk in &before {
            if step.pages == 0 {
                step.more = true;
                after.push(walk);
            } else {
                had_turns.extend(step.go_on(walk).await?);
            }
        }
        after.append(&mut had_turns);
        step.redeliver().await?;
        let is_over = after.is_empty() || step.error.is_some();
        if after == before && step.done + step.skipped == 0 && !is_over {
            return Ok(false);
        }
        let sql = "UPDATE recoveries SET positions = $1, done = done + $2, skipped = skipped + $3, updated_at = $4 \
                   WHERE id = $5 AND state = 'running'";
        let values: [Value; 5] = [
            write_walks(after).into(),
            i64::try_from(step.done).unwrap_or(i64::MAX).into(),
            i64::try_from(step.skipped).unwrap_or(i64::MAX).into(),
            now.as_millis().into(),
            id.as_uuid().into(),
        ];
        let statement = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
        let moved = transaction.execute_raw(statement).await?.rows_affected();
        if moved != 1 {
            return Err(DbErr::Custom(format!("{moved} instead of one locked recovery came on")).into());
        }
        let (reached, more, error) = (step.reached, step.more && !is_over, step.error);
        if is_over {
            let state = error.map_or(RecoveryState::Done, |_| RecoveryState::Cancelled);
            end(&transaction, id, state, error, now).await?;
        }
        transaction.commit().await?;
        self.shared().left_behind(reached);
        Ok(more)
    }

    /// Ends a recovery that can't go on, so that it keeps no other from going on.
    async fn give_up(&self, id: RecoveryId) -> Result<(), StoreError> {
        let transaction = self.connections().begin().await?;
        if running(&transaction, id).await?.is_some() {
            let error = "it could not go on for a reason of our own, which is in the server's log";
            end(&transaction, id, RecoveryState::Cancelled, Some(error), self.now()).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Keeps a client's destinations as they are and its leads from being erased. False when somebody changes them just now, which
/// may take long: nobody waits for that here, where all deliveries wait for us.
async fn is_at_rest(transaction: &DatabaseTransaction, client: ClientId) -> Result<bool, DbErr> {
    let found = clients::Entity::find_by_id(client.as_uuid())
        .lock_with_behavior(LockType::Share, LockBehavior::SkipLocked)
        .one(transaction)
        .await?;
    Ok(found.is_some())
}

/// Reads a running recovery and keeps it from others; `None` when it has ended, or another node is at it.
async fn running(transaction: &DatabaseTransaction, id: RecoveryId) -> Result<Option<recoveries::Model>, DbErr> {
    recoveries::Entity::find_by_id(id.as_uuid())
        .filter(Expr::cust("state = 'running'"))
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(transaction)
        .await
}
