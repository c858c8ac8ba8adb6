//! The promises, tested where they are made: a real daemon process, real HTTP, real directories and mounts, real kills.

mod adopt;
mod answers;
mod bulk;
mod calls;
mod checkpoint;
mod clone;
mod completion;
#[cfg(feature = "fault-injection")]
mod cut_short;
mod disks;
mod document;
mod doris_words;
mod doubt;
mod events;
mod flushes;
mod gentle;
mod glance;
#[path = "../support/mod.rs"]
mod harness;
mod heal;
mod inputs;
mod joining;
mod journal;
mod kept;
mod kills;
mod last_word;
mod lifecycle;
mod logs;
mod lost;
mod modes;
mod no_disk;
mod ownership;
mod quarantine;
#[cfg(feature = "fault-injection")]
mod record;
mod recovery;
mod register;
mod reload;
mod replan;
mod requests;
mod runbooks;
mod salvage;
mod seeds;
mod service;
mod space;
mod steering;
mod stopping;
mod takeover;
mod tasks;
#[cfg(feature = "otlp")]
mod traces;
mod trash;
mod undone;
mod unreadable;
mod unrecorded;
mod verbs;
mod verify;
mod waiting;
mod who;
