//! What an approval is bound to: the request, its rules, and every member's plan.

use crate::model::TaskRequest;
use crate::model::fleet::{Approved, Policy};

/// Of a plan as it is shown; `None` stands for a member that is left out.
pub fn fingerprint(request: &TaskRequest, policy: &Policy, plan: &[(&str, Option<Approved>)]) -> u32 {
    let said = serde_json::to_vec(&(request, policy, plan)).expect("names, numbers and texts serialise");
    crc32fast::hash(&said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_shown_changes_it() {
        let request = TaskRequest::Drain { disks: vec!["/data3".to_owned()], media: Default::default() };
        let fits = |moves| Some(Approved { fingerprint: 1, moves, bytes: 10 });
        let policy = Policy::default();
        let of = |policy: &Policy, plan: &[(&str, Option<Approved>)]| fingerprint(&request, policy, plan);
        let first = of(&policy, &[("be-1", fits(1)), ("be-2", None)]);
        assert_eq!(first, of(&policy, &[("be-1", fits(1)), ("be-2", None)]));
        for other in [
            of(&policy, &[("be-1", fits(2)), ("be-2", None)]),
            of(&policy, &[("be-2", None), ("be-1", fits(1))]),
            of(&policy, &[("be-1", fits(1)), ("be-2", fits(1))]),
            of(&Policy { canary: 1, ..policy.clone() }, &[("be-1", fits(1)), ("be-2", None)]),
        ] {
            assert_ne!(first, other);
        }
    }
}
