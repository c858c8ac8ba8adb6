//! Bytes from one disk to another: copied, made durable, read back from the medium and compared.
//!
//! A copy is cut into batches (`plan`). A few threads (`crew`) each take a batch from planned over written and staged
//! to verified (`stages`), so that the read-back of one batch runs beside the copy of the next: reads and writes of a
//! disk run side by side, and the read-back is nearly free. Only a [`VerifiedCopy`] can be swapped in, and only ranges
//! that were read back make one (`verified`).
//!
//! Nothing here knows who owns a tablet, decides a retry, or ever writes to a source.

mod attributes;
mod buffer;
mod check;
mod clone;
mod coldness;
mod copy;
mod crew;
mod end;
mod holes;
mod hooks;
mod limiter;
mod narrow;
mod open_file;
mod plan;
mod read_back;
mod resume;
mod salvage;
mod stages;
mod sums;
mod verified;

pub use buffer::BufferBudget;
pub use check::{CheckRequest, check_names, check_source, read_cold_crc, sum_files, verify_files};
pub use coldness::Coldness;
pub use copy::{CopyRequest, copy, copy_further};
pub use hooks::{CallToken, CopyHooks, Side, Traffic};
pub use limiter::Limiter;
pub use plan::{CopyOptions, Found, SharedBytes, Strangers};
pub use resume::staged_bytes;
pub use salvage::{Saved, salvage};
pub use verified::VerifiedCopy;
