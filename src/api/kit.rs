//! What another program of this package needs to answer as the daemon does: refusals, bodies, lists, who asks, and the
//! OpenAPI document. Serving itself is [`Server::serve_routes`](super::Server::serve_routes)'s.

pub use super::caller::Caller;
pub use super::document::{Titles, describe};
pub use super::error::Problem;
pub use super::query::Strict;
pub use super::v1::body::Body;
pub use super::v1::parameters;
pub use super::v1::shape::{page, whole};
