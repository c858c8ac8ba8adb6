//! What operators have said of tablets and disks: pins, and disks out of service. A row each, gone when it is taken back.

use rusqlite::named_params;
use serde::de::DeserializeOwned;

use crate::model::{Mark, Marked};

use super::{Journal, JournalError};

/// What is marked, and by whom.
pub type MarkRow = (Marked, Mark);

/// What a row is in words, its checksum and its document.
type RawRow = (String, i64, Vec<u8>);

impl Journal {
    /// Records a mark, durably; a mark that is there already is replaced.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn set_mark(&mut self, marked: Marked, mark: &Mark) -> Result<(), JournalError> {
        self.check_available()?;
        let doc = serde_json::to_string(&(marked, mark)).expect("a mark holds strings and whole numbers");
        let (kind, subject) = key(marked);
        self.transact("writing a mark", |tx| {
            tx.prepare_cached(
                "INSERT INTO mark (kind, subject, doc_crc32, doc) VALUES (:kind, :subject, :doc_crc32, :doc)
                 ON CONFLICT (kind, subject) DO UPDATE SET doc_crc32 = :doc_crc32, doc = :doc",
            )?
            .execute(named_params! {
                ":kind": kind,
                ":subject": subject,
                ":doc_crc32": crc32fast::hash(doc.as_bytes()),
                ":doc": doc,
            })
            .map(drop)
        })
    }

    /// Takes a mark back, durably. One that is not there is no error.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn clear_mark(&mut self, marked: Marked) -> Result<(), JournalError> {
        self.check_available()?;
        let (kind, subject) = key(marked);
        self.transact("removing a mark", |tx| {
            tx.prepare_cached("DELETE FROM mark WHERE kind = ?1 AND subject = ?2")?
                .execute((kind, subject))
                .map(drop)
        })
    }

    /// Every mark, and in words the rows that cannot be read.
    ///
    /// # Errors
    /// SQLite's.
    pub fn marks(&self) -> Result<(Vec<MarkRow>, Vec<String>), JournalError> {
        self.documents(
            "reading the marks",
            "SELECT 'the mark ' || kind || ' of ' || subject, doc_crc32, CAST(doc AS BLOB) FROM mark
             ORDER BY kind, subject",
        )
    }

    /// The documents of rows, each with what it is in words, its checksum and itself; and in words those that cannot be
    /// read.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn documents<T: DeserializeOwned>(
        &self,
        doing: &'static str,
        select: &str,
    ) -> Result<(Vec<T>, Vec<String>), JournalError> {
        let read = || -> rusqlite::Result<Vec<RawRow>> {
            let mut statement = self.conn.prepare(select)?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
        };
        let rows = read().map_err(|source| self.fail(doing, source))?;
        let (mut documents, mut damaged) = (Vec::new(), Vec::new());
        for (what, crc32, doc) in rows {
            let parsed = match i64::from(crc32fast::hash(&doc)) == crc32 {
                true => serde_json::from_slice(&doc).map_err(|error| error.to_string()),
                false => Err("its checksum is wrong".to_owned()),
            };
            match parsed {
                Ok(document) => documents.push(document),
                Err(why) => damaged.push(format!("{what} is damaged: {why}")),
            }
        }
        Ok((documents, damaged))
    }
}

fn key(marked: Marked) -> (&'static str, String) {
    match marked {
        Marked::Pinned(tablet) => ("pinned", tablet.to_string()),
        Marked::Disabled(disk) => ("disabled", disk.to_string()),
    }
}
