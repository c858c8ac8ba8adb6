//! The nouns of the fleet: members, campaigns over them, and the part of a campaign that each member has.

mod campaign;
mod member;
mod part;
mod policy;

pub use campaign::{Approval, Campaign, CampaignId, CampaignStatus, MemberSelector};
pub use member::{InvalidMember, Member, MemberKind, check_name};
pub use part::{Approved, Part, PartCounters, PartStatus, Progress, Steer};
pub use policy::{Drift, InvalidLimit, MembersLimit, Order, Policy, Unreachable};
