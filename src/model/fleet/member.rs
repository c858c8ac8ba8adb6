//! A member: a node that the fleet drives. DM's word for it is *source*.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::quoted;

/// What a member speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// tabletd's `/api/v1`.
    #[default]
    Tabletd,
    /// A Doris BE's own `/api/tablet_migration`.
    Be,
}

impl MemberKind {
    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tabletd => "tabletd",
            Self::Be => "be",
        }
    }
}

/// One member, as an operator has described it. Holds no secret: a credential is a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it is called here; part of paths and keys.
    pub name: String,
    /// What it speaks.
    pub kind: MemberKind,
    /// Where it is.
    pub host: String,
    /// Its HTTP port.
    pub port: u16,
    /// User of Basic; without it the credential is a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Name of a file in the directory of credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether the fleet may give it work.
    pub enable: bool,
    /// The Doris cluster it belongs to; tablets of one id are replicas there.
    #[serde(default)]
    pub cluster: String,
    /// What it is chosen by, and limited by: `{"rack": "r7"}`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Of a BE: the release whose words it speaks, where its own version is not to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<String>,
    /// Of a BE: an operator has accepted the defects that its release is known for, or that it is not known.
    #[serde(default)]
    pub accept_known_defects: bool,
    /// Who answered there first: the disks by their uuids, or the roots with their sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<String>,
}

impl Member {
    /// `host:port`, with brackets around an IPv6 address.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The value of one label; `cluster` is one of them.
    pub fn label(&self, name: &str) -> Option<&str> {
        match name {
            "cluster" => Some(self.cluster.as_str()),
            name => self.labels.get(name).map(String::as_str),
        }
    }

    /// Whether it can be kept and spoken to.
    ///
    /// # Errors
    /// [`InvalidMember`], naming the field.
    pub fn check(&self) -> Result<(), InvalidMember> {
        check_name("source_name", &self.name)?;
        let host_is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:_%".contains(c);
        if self.host.is_empty() || self.host.len() > 253 || !self.host.chars().all(host_is_plain) {
            let text = format!("host must be a name or an address, got {}", quoted(&self.host));
            return Err(InvalidMember(text));
        }
        if self.port == 0 {
            return Err(InvalidMember("port must be 1 to 65535, got 0".to_owned()));
        }
        if let Some(credential) = &self.credential {
            check_name("credential", credential)?;
        }
        for (name, value) in &self.labels {
            check_name("label", name)?;
            check_name("value of a label", value)?;
            if name == "cluster" {
                let text = "label cluster: the cluster is a field of its own, cluster";
                return Err(InvalidMember(text.to_owned()));
            }
        }
        if !self.cluster.is_empty() {
            check_name("cluster", &self.cluster)?;
        }
        Ok(())
    }
}

/// A description of a member that cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMember(pub String);

/// Names are parts of paths, keys and file names: letters, digits, `.`, `-` and `_`, not beginning with a dot.
///
/// # Errors
/// [`InvalidMember`], naming the field and the value.
pub fn check_name(field: &str, name: &str) -> Result<(), InvalidMember> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if (1..=100).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('.') {
        return Ok(());
    }
    let text = format!(
        "{field} must be 1 to 100 letters, digits, '.', '-' or '_', not beginning with a dot, got {}",
        quoted(name)
    );
    Err(InvalidMember(text))
}
