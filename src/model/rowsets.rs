//! What a tablet's header says that the tablet's own directory must hold.
//!
//! A header is kept byte for byte and belongs to Doris. A field that cannot be understood claims nothing.

use super::counted;
use serde_json::Value;
use serde_json::value::RawValue;

/// The claims of one `TabletMetaPB` in JSON form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderClaims {
    rowsets: Vec<Rowset>,
    /// The tablet has a `cooldown_meta_id`: parts of it were moved to remote storage.
    cooled_down: bool,
    /// Its state is `PB_SHUTDOWN`: Doris has dropped it and would remove it.
    pub is_shut_down: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rowset {
    id: String,
    segments: u64,
    resource: Option<String>,
}

impl HeaderClaims {
    /// Of `header`. Stale rowsets claim nothing: Doris removes their files at any time.
    pub fn of(header: &RawValue) -> Self {
        let header: Value = serde_json::from_str(header.get()).unwrap_or_default();
        let rowsets = header["rs_metas"].as_array().map(Vec::as_slice).unwrap_or_default();
        let cooldown = &header["cooldown_meta_id"];
        Self {
            rowsets: rowsets.iter().filter_map(Rowset::of).collect(),
            cooled_down: ["hi", "lo"].iter().any(|half| text(&cooldown[half]).is_some_and(|n| n != "0")),
            is_shut_down: header["tablet_state"] == "PB_SHUTDOWN",
        }
    }

    /// Why a directory that holds the files for which `has` is true is not the whole tablet: a sentence per rowset.
    pub fn not_held(&self, has: impl Fn(&str) -> bool) -> Vec<String> {
        let mut absent: Vec<_> = self.rowsets.iter().filter_map(|rowset| rowset.not_held(&has)).collect();
        if self.cooled_down && self.rowsets.iter().all(|rowset| rowset.resource.is_none()) {
            absent.push(
                "the header has a cooldown_meta_id: data of this tablet lies in remote storage".to_owned(),
            );
        }
        absent
    }
}

impl Rowset {
    fn of(meta: &Value) -> Option<Self> {
        let id = text(&meta["rowset_id_v2"]).or_else(|| text(&meta["rowset_id"]))?;
        let segments = text(&meta["num_segments"]).and_then(|number| number.parse().ok()).unwrap_or(0);
        Some(Self { id, segments, resource: text(&meta["resource_id"]) })
    }

    fn not_held(&self, has: impl Fn(&str) -> bool) -> Option<String> {
        let Self { id, segments, resource } = self;
        if let Some(resource) = resource {
            return Some(format!(
                "rowset {id} lies in remote storage (resource_id {resource}), not in the tablet's directory"
            ));
        }
        // Ends at the first one that is absent, so a number out of thin air costs nothing.
        let missing = (0..*segments).map(|segment| format!("{id}_{segment}.dat")).find(|name| !has(name))?;
        Some(format!(
            "rowset {id} has {} in the header, and {missing} is not there",
            counted(*segments, "segment")
        ))
    }
}

/// A text or a number as text; some JSON printers quote 64-bit numbers. Nothing where it is empty.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_header_claims_is_held_against_the_names_that_are_there() {
        let files = ["aa_0.dat", "aa_1.dat", "7_0.dat"];
        for (header, expected) in [
            (r"3", None),
            (r#"{"rs_metas": 3}"#, None),
            (r#"{"rs_metas": [3, {}, {"num_segments": 4}]}"#, None),
            (r#"{"rs_metas": [{"rowset_id_v2": "aa", "num_segments": 2}]}"#, None),
            (r#"{"rs_metas": [{"rowset_id_v2": "aa", "num_segments": "2", "resource_id": ""}]}"#, None),
            (r#"{"rs_metas": [{"rowset_id_v2": "aa", "num_segments": 3}]}"#, Some("aa_2.dat is not there")),
            (r#"{"rs_metas": [{"rowset_id_v2": "gone", "num_segments": 0}]}"#, None),
            (
                r#"{"rs_metas": [{"rowset_id_v2": "a", "num_segments": 18446744073709551615}]}"#,
                Some("a_0.dat is"),
            ),
            (r#"{"rs_metas": [{"rowset_id": 7, "num_segments": 1}]}"#, None),
            (r#"{"rs_metas": [{"rowset_id": 8, "num_segments": 1}]}"#, Some("rowset 8 ")),
            (
                r#"{"rs_metas": [{"rowset_id_v2": "aa", "num_segments": 2, "resource_id": "9"}]}"#,
                Some("rowset aa lies in remote storage (resource_id 9)"),
            ),
            (r#"{"stale_rs_metas": [{"rowset_id_v2": "gone", "num_segments": 1}]}"#, None),
            (r#"{"cooldown_meta_id": {"hi": 0, "lo": 0}}"#, None),
            (r#"{"cooldown_meta_id": {"hi": "0", "lo": -5}}"#, Some("cooldown_meta_id")),
        ] {
            let claims = HeaderClaims::of(&RawValue::from_string(header.to_owned()).unwrap());
            let absent = claims.not_held(|name| files.contains(&name));
            match expected {
                None => assert_eq!(absent, Vec::<String>::new(), "{header}"),
                Some(part) => assert!(absent.len() == 1 && absent[0].contains(part), "{header}: {absent:?}"),
            }
        }
    }

    #[test]
    fn a_tablet_that_doris_has_dropped_is_known() {
        let shut = |state: &str| {
            let header = format!("{{\"tablet_state\": \"{state}\"}}");
            HeaderClaims::of(&RawValue::from_string(header).unwrap()).is_shut_down
        };
        assert!(shut("PB_SHUTDOWN") && !shut("PB_RUNNING"));
    }
}
