//! What the last verification of each tablet found. A row each; nothing here judges whether it still holds.

use rusqlite::named_params;

use super::{Journal, JournalError};
use crate::model::{TabletCheck, TabletKey};

impl Journal {
    /// Records a verification that has ended, durably, in the place of the one before.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn set_check(&mut self, check: &TabletCheck) -> Result<(), JournalError> {
        self.check_available()?;
        let doc = serde_json::to_string(check).expect("a check holds strings and whole numbers");
        self.transact("writing a verification", |tx| {
            tx.prepare_cached(
                "INSERT INTO tablet_check (tablet_id, schema_hash, doc_crc32, doc)
                 VALUES (:tablet_id, :schema_hash, :doc_crc32, :doc)
                 ON CONFLICT (tablet_id, schema_hash) DO UPDATE SET doc_crc32 = :doc_crc32, doc = :doc",
            )?
            .execute(named_params! {
                ":tablet_id": check.key.tablet_id.0,
                ":schema_hash": check.key.schema_hash.0,
                ":doc_crc32": crc32fast::hash(doc.as_bytes()),
                ":doc": doc,
            })
            .map(drop)
        })
    }

    /// Forgets the verification of a tablet, durably. One that is not there is no error.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn clear_check(&mut self, key: TabletKey) -> Result<(), JournalError> {
        self.check_available()?;
        self.transact("removing a verification", |tx| {
            tx.prepare_cached("DELETE FROM tablet_check WHERE tablet_id = ?1 AND schema_hash = ?2")?
                .execute((key.tablet_id.0, key.schema_hash.0))
                .map(drop)
        })
    }

    /// Every verification, and in words the rows that cannot be read.
    ///
    /// # Errors
    /// SQLite's.
    pub fn checks(&self) -> Result<(Vec<TabletCheck>, Vec<String>), JournalError> {
        self.documents(
            "reading the verifications",
            "SELECT 'the verification of ' || tablet_id || '_' || schema_hash, doc_crc32, CAST(doc AS BLOB)
             FROM tablet_check ORDER BY tablet_id, schema_hash",
        )
    }
}
