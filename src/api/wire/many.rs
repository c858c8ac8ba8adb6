//! Several migrations asked for in one request, and what became of each.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::CreateMigration;
use crate::model::{MigrationId, SchemaHash, TabletId, counted};

/// Most migrations in one request.
pub const MIGRATIONS_MAX: usize = 10_000;

/// One migration, or a list of them.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum CreateMigrations {
    One(Box<CreateMigration>),
    /// Each item is read by itself: one that cannot be read has its own answer and spoils nothing for the others.
    #[schema(value_type = Vec<CreateMigration>)]
    Many(Vec<Box<RawValue>>),
}

impl<'de> Deserialize<'de> for CreateMigrations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = CreateMigrations;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a migration, or a list of migrations")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<CreateMigrations, A::Error> {
                let one = CreateMigration::deserialize(MapAccessDeserializer::new(map))?;
                Ok(CreateMigrations::One(Box::new(one)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CreateMigrations, A::Error> {
                let mut many = Vec::new();
                while let Some(item) = list.next_element()? {
                    many.push(item);
                    if many.len() > MIGRATIONS_MAX {
                        let mut rest = 0_usize;
                        while list.next_element::<IgnoredAny>()?.is_some() {
                            rest += 1;
                        }
                        let got = many.len() + rest;
                        let text = format!(
                            "{} in one request, at most {MIGRATIONS_MAX} are taken",
                            counted(got, "migration")
                        );
                        return Err(A::Error::custom(text));
                    }
                }
                Ok(CreateMigrations::Many(many))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// What became of a list: one answer per item, in its order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SubmittedMany {
    /// How many were asked for.
    pub total: u64,
    /// How many of them were accepted, and are durable.
    pub accepted: u64,
    /// What became of each.
    pub data: Vec<Submitted>,
}

/// What became of one of several requests: either `id`, or `error_msg` and `error_code`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Submitted {
    /// The tablet, where the request could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablet_id: Option<TabletId>,
    /// Its schema, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_hash: Option<SchemaHash>,
    /// Its migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MigrationId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_msg: Option<String>,
    /// A stable name, as of [`super::ErrorBody`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_migration_or_a_list_of_them() {
        let one = r#"{"tablet_id":1,"dest_disk":"/d"}"#;
        assert!(
            matches!(serde_json::from_str(one), Ok(CreateMigrations::One(asked)) if asked.tablet_id.0 == 1)
        );
        let many = format!("[{one},7,{one}]");
        let Ok(CreateMigrations::Many(items)) = serde_json::from_str(&many) else { panic!("{many}") };
        assert_eq!(items.iter().map(|item| item.get()).collect::<Vec<_>>(), [one, "7", one]);
        assert_eq!(serde_json::to_string(&CreateMigrations::Many(items)).unwrap(), many);
        let unknown = serde_json::from_str::<CreateMigrations>(r#"{"tablet_id":1,"disk":"/d"}"#).unwrap_err();
        assert!(unknown.to_string().contains("unknown field `disk`"), "{unknown}");
        let neither = serde_json::from_str::<CreateMigrations>("7").unwrap_err();
        assert!(neither.to_string().contains("a migration, or a list of migrations"), "{neither}");
    }

    #[test]
    fn a_list_that_is_too_long_is_refused_with_both_numbers() {
        let of = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert!(serde_json::from_str::<CreateMigrations>(&of(MIGRATIONS_MAX)).is_ok());
        let refused =
            serde_json::from_str::<CreateMigrations>(&of(MIGRATIONS_MAX + 5)).unwrap_err().to_string();
        assert!(refused.contains("10005 migrations in one request, at most 10000"), "{refused}");
    }
}
