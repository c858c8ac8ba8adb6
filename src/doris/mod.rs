//! The bytes of a real Doris storage root: its metadata database, its records, the files of its tablets.
//!
//! Pure: bytes in, findings out. What opens files, locks and writes is in `storage`. What is not understood is refused,
//! never guessed; nothing here is taken from Doris or RocksDB but facts, each with the place it is from.
//!
//! | room | subject |
//! |---|---|
//! | [`cursor`], [`error`] | numbers out of bytes, and what can be wrong |
//! | [`log`], [`batch`] | write-ahead logs and what their records say |
//! | [`manifest`], [`table`], [`database`] | which files count, sorted tables, all of it as one database |
//! | [`keys`], [`uid`], [`proto`], [`record`] | whose a key is; messages walked and patched; what a mover has to know of them
//! | [`rowsets`], [`moving`] | what a backend would make of fresh rowsets; the two batches of a move
//! | [`files`], [`segment`] | which files belong to a tablet; the end of a segment
//! | [`judge`], [`inventory`] | whether a tablet can be moved; all that a database says of its tablets
//! | [`display`], `messages` | a record as Doris's JSON, by the table of its fields
//! | [`source`] | the files of a `meta/` directory |

pub mod batch;
mod block;
pub mod cursor;
pub mod database;
pub mod display;
pub mod error;
pub mod files;
mod history;
pub mod inventory;
pub mod judge;
pub mod keys;
pub mod log;
pub mod manifest;
mod messages;
pub mod moving;
pub mod proto;
pub mod record;
pub mod rowsets;
pub mod segment;
pub mod source;
pub mod table;
pub mod uid;
