//! Whether a configuration is of a node of tabletd's own or of a Doris backend. Empty directories say nothing by
//! themselves: all disks of a backend may be unmounted, and none of its roots is ever formatted.

/// What one configured root shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootShows {
    /// It is not there, cannot be looked at, or has nothing that tells.
    Nothing,
    /// A `disk.json`: tabletd has formatted it.
    Native,
    /// What only a backend makes.
    Doris,
    /// Nothing now, but it was a backend's when a run of ours last saw it.
    OnceDoris,
}

/// Whose node it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    Native,
    Doris,
    /// No root says, and be.conf has ports that only a backend opens: nothing is done.
    Undecided,
}

/// Decides by what the roots show, and by whether be.conf sets ports that only a backend opens.
///
/// One root of a backend makes the whole node one: the others are then refused by name, never made roots.
pub fn node_kind(roots: &[RootShows], has_backend_ports: bool) -> NodeKind {
    let any = |wanted: &[RootShows]| roots.iter().any(|root| wanted.contains(root));
    if any(&[RootShows::Doris, RootShows::OnceDoris]) {
        return NodeKind::Doris;
    }
    match any(&[RootShows::Native]) || !has_backend_ports {
        true => NodeKind::Native,
        false => NodeKind::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_root_of_a_backend_decides_and_empty_ones_do_not() {
        use RootShows::{Doris, Native, Nothing, OnceDoris};
        for (roots, ports, kind) in [
            (&[Nothing, Nothing][..], false, NodeKind::Native),
            (&[Nothing, Nothing], true, NodeKind::Undecided),
            (&[], true, NodeKind::Undecided),
            (&[Native, Nothing], true, NodeKind::Native),
            (&[Native, Doris], false, NodeKind::Doris),
            (&[Nothing, Doris], false, NodeKind::Doris),
            (&[Nothing, OnceDoris], false, NodeKind::Doris),
            (&[Native, OnceDoris], true, NodeKind::Doris),
        ] {
            assert_eq!(node_kind(roots, ports), kind, "{roots:?} {ports}");
        }
    }
}
