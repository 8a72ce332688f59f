//! Which bundle is active in which environment. One transaction makes one active; promotion and rollback are not here yet.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};
use serde::Serialize;

use super::Registry;
use super::artifact::{parsed, table};
use super::bundle::{Bundle, Pin};
use super::error::{RegistryError, during};
use crate::name::{Digest, Kind, Label, Name, Version};

/// An order to deploy, and who gave it.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    pub bundle: &'a Bundle,
    pub environment: &'a Label,
    pub actor: &'a str,
    pub reason: Option<&'a str>,
}

/// What an order came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Deployed {
    Activated {
        id: i64,
        /// The digest of the bundle that was active until now.
        superseded: Option<Digest>,
    },
    /// This very bundle is active already: nothing was changed.
    AlreadyActive { id: i64 },
}

/// A bundle that an environment runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveBundle {
    /// The deployment's number.
    pub id: i64,
    pub bundle: Bundle,
    pub deployed_at: String,
    pub actor: String,
    pub reason: Option<String>,
}

/// One deployment, past or present, as `status` and `history` print it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deployment {
    pub id: i64,
    pub environment: Label,
    pub pipeline: Name,
    pub version: Version,
    pub bundle: Digest,
    /// `active`, `superseded`, `rolled_back` or `refused`.
    pub status: String,
    pub deployed_at: String,
    pub actor: String,
    pub reason: Option<String>,
    /// Why it was refused.
    pub refusal: Option<String>,
}

/// Differs from an earlier one if anything in the registry has changed since; cheap enough to be asked for every second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeToken {
    by_others: i64,
    by_this: u64,
}

impl Registry {
    /// Makes a bundle the active one of its pipeline; the one before it becomes `superseded`.
    ///
    /// # Errors
    /// A bundle that pins what is not registered so, or a registry that cannot be written; nothing is changed then.
    pub fn deploy(&self, order: &Order<'_>) -> Result<Deployed, RegistryError> {
        let failed = during("deploy");
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let models = check_pins(&transaction, &order.bundle.parts().artifacts)?;
        let pipeline = order.bundle.pipeline_name().as_str();
        let active: Option<(i64, String)> = transaction
            .query_row(
                "SELECT deploy_id, digest FROM deployments AS d JOIN bundles AS b ON b.id = bundle_id
                 WHERE environment = ?1 AND d.pipeline = ?2 AND status = 'active' AND part = 0",
                (order.environment.as_str(), pipeline),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(&failed)?;
        let digest = order.bundle.digest();
        let superseded = match active {
            Some((id, active)) if active == digest.to_string() => return Ok(Deployed::AlreadyActive { id }),
            active => active.and_then(|(_, digest)| digest.parse().ok()),
        };
        let now = self.now();
        transaction
            .execute(
                "UPDATE deployments SET status = 'superseded', ended_at = ?1
                 WHERE environment = ?2 AND pipeline = ?3 AND status = 'active'",
                (&now, order.environment.as_str(), pipeline),
            )
            .map_err(&failed)?;
        let id = insert_rows(&transaction, order, &models, &Outcome { now: &now, refusal: None }).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(Deployed::Activated { id, superseded })
    }

    /// Records that an order was refused, and why; what is active stays active.
    ///
    /// # Errors
    /// A bundle that pins what is not registered so, or a registry that cannot be written.
    pub fn record_refusal(&self, order: &Order<'_>, refusal: &str) -> Result<i64, RegistryError> {
        let failed = during("record the refusal");
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let models = check_pins(&transaction, &order.bundle.parts().artifacts)?;
        let outcome = Outcome { now: &self.now(), refusal: Some(refusal) };
        let id = insert_rows(&transaction, order, &models, &outcome).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(id)
    }

    /// The bundles that this environment runs, by pipeline.
    ///
    /// # Errors
    /// A registry that cannot be read, or a bundle whose text is not what its digest says.
    pub fn active(&self, environment: &Label) -> Result<Vec<ActiveBundle>, RegistryError> {
        select_active(&self.lock(), environment)
    }

    /// The latest deployments, newest first; of one environment, or of all.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn deployments(&self, environment: Option<&Label>, count_max: u32) -> Result<Vec<Deployment>, RegistryError> {
        let failed = during("read the deployments");
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached(
                "SELECT deploy_id, environment, d.pipeline, version, digest, status, deployed_at, actor, reason, refusal
                 FROM deployments AS d JOIN bundles AS b ON b.id = bundle_id
                 WHERE part = 0 AND (?1 IS NULL OR environment = ?1) ORDER BY deploy_id DESC LIMIT ?2",
            )
            .map_err(&failed)?;
        let rows = statement
            .query_map((environment.map(Label::as_str), count_max), |row| {
                Ok(Deployment {
                    id: row.get(0)?,
                    environment: parsed(row, 1, |text| text.parse())?,
                    pipeline: parsed(row, 2, |text| text.parse())?,
                    version: parsed(row, 3, |text| text.parse())?,
                    bundle: parsed(row, 4, |text| text.parse())?,
                    status: row.get(5)?,
                    deployed_at: row.get(6)?,
                    actor: row.get(7)?,
                    reason: row.get(8)?,
                    refusal: row.get(9)?,
                })
            })
            .map_err(&failed)?;
        rows.collect::<Result<_, _>>().map_err(&failed)
    }

    /// A token that differs once this or another process has written to the registry.
    ///
    /// # Errors
    /// A registry that cannot be read.
    pub fn change_token(&self) -> Result<ChangeToken, RegistryError> {
        let connection = self.lock();
        let by_others = connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(during("look for changes in the registry"))?;
        Ok(ChangeToken { by_others, by_this: connection.total_changes() })
    }
}

struct Outcome<'a> {
    now: &'a str,
    /// `None`: it is active now.
    refusal: Option<&'a str>,
}

/// Whether every pin is registered with these bytes; gives the rows of the models.
fn check_pins(transaction: &Transaction<'_>, pins: &[Pin]) -> Result<Vec<i64>, RegistryError> {
    let mut models = Vec::new();
    for Pin { kind, name, version, sha256 } in pins {
        let table = table(*kind);
        let sql = format!("SELECT id FROM {table} WHERE name = ?1 AND version = ?2 AND sha256 = ?3");
        let id: Option<i64> = transaction
            .query_row(&sql, (name.as_str(), version.to_string(), sha256.hex()), |row| row.get(0))
            .optional()
            .map_err(during("check the bundle"))?;
        let id = id.ok_or_else(|| {
            RegistryError::bundle(format!("it pins {kind} {name}@{version} as {sha256}, which is not registered"))
        })?;
        if *kind == Kind::Model {
            models.push(id);
        }
    }
    Ok(models)
}

fn insert_rows(
    transaction: &Transaction<'_>,
    order: &Order<'_>,
    models: &[i64],
    outcome: &Outcome<'_>,
) -> rusqlite::Result<i64> {
    let Order { bundle, environment, actor, reason } = order;
    let (digest, pipeline) = (bundle.digest().to_string(), bundle.pipeline_name().as_str());
    transaction.execute(
        "INSERT INTO bundles (digest, pipeline, version, json, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (digest) DO NOTHING",
        (&digest, pipeline, bundle.pipeline_version().to_string(), bundle.json(), outcome.now),
    )?;
    let bundle_id: i64 =
        transaction.query_row("SELECT id FROM bundles WHERE digest = ?1", [&digest], |row| row.get(0))?;
    let deploy_id: i64 =
        transaction.query_row("SELECT coalesce(max(deploy_id), 0) + 1 FROM deployments", [], |row| row.get(0))?;
    let status = if outcome.refusal.is_some() { "refused" } else { "active" };
    let mut statement = transaction.prepare_cached(
        "INSERT INTO deployments (model_id, environment, deployed_at, status, bundle_id, pipeline, deploy_id, part, actor, reason, refusal)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    let rows = if models.is_empty() { vec![None] } else { models.iter().copied().map(Some).collect() };
    for (part, model_id) in (0_i64..).zip(rows) {
        statement.execute(rusqlite::params![
            model_id,
            environment.as_str(),
            outcome.now,
            status,
            bundle_id,
            pipeline,
            deploy_id,
            part,
            actor,
            reason,
            outcome.refusal,
        ])?;
    }
    Ok(deploy_id)
}

pub(super) fn select_active(connection: &Connection, label: &Label) -> Result<Vec<ActiveBundle>, RegistryError> {
    let failed = during("read what is active");
    let mut statement = connection
        .prepare_cached(
            "SELECT deploy_id, digest, json, deployed_at, actor, reason
             FROM deployments AS d JOIN bundles AS b ON b.id = bundle_id
             WHERE environment = ?1 AND status = 'active' AND part = 0 ORDER BY d.pipeline",
        )
        .map_err(&failed)?;
    let mut rows = statement.query([label.as_str()]).map_err(&failed)?;
    let mut active = Vec::new();
    while let Some(row) = rows.next().map_err(&failed)? {
        let text = |column| row.get::<_, String>(column).map_err(&failed);
        let bundle = Bundle::parse(&text(2)?)?;
        if bundle.digest().to_string() != text(1)? {
            return Err(RegistryError::bundle(format!("its text does not have its digest {}", text(1)?)));
        }
        active.push(ActiveBundle {
            id: row.get(0).map_err(&failed)?,
            bundle,
            deployed_at: text(3)?,
            actor: text(4)?,
            reason: row.get(5).map_err(&failed)?,
        });
    }
    Ok(active)
}
