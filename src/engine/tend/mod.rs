//! What keeps a node in order while it serves: its disks, its trash, its settings, and what is read again.

pub(crate) mod disk_list;
pub(crate) mod gentle;
pub(crate) mod housekeeping;
pub(crate) mod joining;
pub(crate) mod last_seen;
pub(crate) mod marks;
pub(crate) mod pace;
pub(crate) mod register;
pub(crate) mod service;
pub(crate) mod settings;
pub(crate) mod speeds;
pub(crate) mod trash;
pub(crate) mod unrecorded;
pub(crate) mod verify;
pub(crate) mod verify_many;
