//! What a BE's answer to `/api/tablet_migration` means. Decided by the class of its text: releases differ in `status` (up to
//! 1.1 every failure is `Fail`), in full stops and in what they add behind a sentence.

/// The class of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was taken, or runs, towards this disk where it says which.
    UnderWay(Option<String>),
    /// It has been done, towards this disk where it says which.
    Done(Option<String>),
    /// Another move of the tablet is under way, towards this disk.
    Busy(String),
    /// Not now; later it may be.
    Later(String),
    /// The tablet is not there any more: the frontend has dropped or moved it.
    Gone(String),
    /// This tablet never moves.
    Never(String),
    /// A disk is at fault, and with it everything else that goes there.
    Disk(String),
    /// The BE knows nothing of such a move: it was restarted, or never asked.
    Unknown,
    /// None of these. It decides nothing: only where the tablet is decides.
    Unsure(String),
}

/// What `goal=run` was answered with.
pub fn of_run(status: &str, text: &str) -> Answer {
    let said = text.to_ascii_lowercase();
    if status == "Success" && said.contains("successfully submitted") {
        return Answer::UnderWay(None);
    }
    if said.contains("already exist in destination disk") {
        return Answer::Done(None);
    }
    if let Some((_, disk)) = text.split_once("dest_disk is ") {
        return Answer::Busy(disk.trim_end_matches(['.', ' ']).to_owned());
    }
    if said == "tablet not found" {
        return Answer::Gone(text.to_owned());
    }
    if said.contains("task submission failed") {
        return Answer::Later(text.to_owned());
    }
    failure(status, text)
}

/// What `goal=status` was answered with.
pub fn of_status(status: &str, text: &str, dest_disk: Option<&str>) -> Answer {
    let said = text.trim_end_matches('.').to_ascii_lowercase();
    let dest = || dest_disk.map(str::to_owned);
    match (status, said.as_str()) {
        ("Success", "migration task is submitted" | "migration task is running") => Answer::UnderWay(dest()),
        ("Success", "migration task has finished successfully") => Answer::Done(dest()),
        (_, "migration task not found") => Answer::Unknown,
        _ => failure(status, text),
    }
}

/// What a move failed with.
fn failure(status: &str, text: &str) -> Answer {
    let said = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let text = || text.to_owned();
    if has(&["cooldowned remote data"]) {
        return Answer::Never(text());
    }
    if has(&["could not find tablet", "has deleted"]) {
        return Answer::Gone(text());
    }
    if has(&["disk not found", "capacity limit", "insufficient disk capacity", "failed to copy from"])
        || matches!(status, "E-217" | "E-232" | "E-242" | "IO_ERROR")
    {
        return Answer::Disk(text());
    }
    let passes = [
        "migration_wlock",
        "unfinished txns",
        "disk migrate failed try later",
        "due to timeout",
        "fail to find path in version_graph",
        "failed to get rowset with max version",
        "already exist, skip this path",
    ];
    if status == "TIMEOUT" || has(&passes) {
        return Answer::Later(text());
    }
    Answer::Unsure(if said.is_empty() { format!("status {status}") } else { text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of every release that differ in class, and those that differ in words alone.
    #[test]
    fn answers_have_a_class_in_every_dialect() {
        use Answer::{Busy, Disk, Done, Gone, Later, Never, UnderWay, Unknown, Unsure};
        let text = |text: &str| text.to_owned();
        assert_eq!(of_run("Success", "migration task is successfully submitted."), UnderWay(None));
        for status in ["Fail", "ALREADY_EXIST"] {
            assert_eq!(of_run(status, "Tablet already exist in destination disk"), Done(None));
            let busy = "There is a migration task for this tablet already exists. dest_disk is /d 2 .";
            assert_eq!(of_run(status, busy), Busy(text("/d 2")));
        }
        for status in ["Fail", "NOT_FOUND"] {
            assert!(matches!(of_run(status, "Tablet not found"), Gone(_)));
            assert!(matches!(of_run(status, "Disk not found"), Disk(_)));
            assert_eq!(of_status(status, "Migration task not found", None), Unknown);
        }
        assert!(matches!(of_run("INTERNAL_ERROR", "Insufficient disk capacity"), Disk(_)));
        let full = "reach the capacity limit of path /d2, tablet_size=5";
        assert!(matches!(of_run("E-217", full), Disk(_)));
        assert!(matches!(of_run("INTERNAL_ERROR", "Migration task submission failed"), Later(_)));

        let on_d2 = Some("/d2");
        assert_eq!(of_status("Success", "migration task is submitted", on_d2), UnderWay(Some(text("/d2"))));
        assert_eq!(of_status("Success", "migration task is running.", on_d2), UnderWay(Some(text("/d2"))));
        let done = "migration task has finished successfully";
        assert_eq!(of_status("Success", done, on_d2), Done(Some(text("/d2"))));
        assert!(matches!(of_status("INTERNAL_ERROR", "could not own migration_wlock", None), Later(_)));
        assert!(matches!(of_status("INTERNAL_ERROR", "tablet 7 has unfinished txns", None), Later(_)));
        assert!(matches!(of_status("INTERNAL_ERROR", "tablet 7 has deleted", None), Gone(_)));
        let cold = "currently not support migrate tablet with cooldowned remote data";
        assert!(matches!(of_status("NOT_IMPLEMENTED_ERROR", cold, None), Never(_)));
        assert!(matches!(of_status("E-232", "failed to copy from /a to /b: No space left", None), Disk(_)));
        let shard = "schema hash path /d2/data/1/7/9 already exist, skip this path";
        assert!(matches!(of_status("ALREADY_EXIST", shard, None), Later(_)));
        assert!(matches!(of_status("TIMEOUT", "failed to migrate due to timeout", None), Later(_)));
        assert!(matches!(of_status("Fail", "migration task failed, res: -1", None), Unsure(_)));
    }

    /// Unknown is never success: only the one sentence says done, whatever stands around it.
    #[test]
    fn whatever_is_not_known_decides_nothing() {
        for (status, said) in [
            ("Success", ""),
            ("Success", "migration task failed."),
            ("OK", "OK"),
            ("", "migration task has finished successfully"),
            ("Fail", "migration task has finished successfully"),
            ("Success", "something of a later release"),
        ] {
            assert!(matches!(of_status(status, said, Some("/d2")), Answer::Unsure(_)), "{status} {said}");
        }
        assert!(matches!(of_run("Success", "accepted"), Answer::Unsure(_)));
        assert!(matches!(of_run("Fail", "migration task is successfully submitted."), Answer::Unsure(_)));
    }
}
