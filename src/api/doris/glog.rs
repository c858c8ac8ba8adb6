//! `POST /api/glog/adjust`: a module of this program says more, or no longer so much.

use axum::Extension;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::require;
use crate::api::caller::Caller;
use crate::api::query::Query;
use crate::logging;
use crate::model::quoted;

/// From 1 to 10 a module says more than `sys_log_level` lets through; -1 ends that. A module is one of this program:
/// `engine`, `engine::schedule`.
#[utoipa::path(
    post,
    path = "/api/glog/adjust",
    operation_id = "adjust_log",
    tag = "doris",
    params(
        ("module" = Option<String>, Query, description = "A module of this program, such as engine or engine::schedule"),
        ("level" = Option<String>, Query, description = "1 to 10; -1 is off"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/plain", description = "What it was, and what it is"),
        (status = 500, body = String, content_type = "text/plain", description = "A parameter that is missing or not accepted"),
    )
)]
pub(super) async fn adjust(Extension(caller): Extension<Caller>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::parse(raw.as_deref());
    match read(&query) {
        Ok((module, level)) => {
            caller.asks(format_args!("log of {module} at {level}"));
            let before = logging::set_module_level(module, level);
            format!("adjust vlog of {module} from {before} to {level} succeed").into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
    }
}

fn read(query: &Query) -> Result<(&str, i32), String> {
    let (module, level) = (query.first("module"), query.first("level"));
    require(query, &["module", "level"])?;
    // The name goes into a filter, whose own signs it must not bring along.
    if !module.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':')) {
        return Err(format!(
            "module {} is no name of a module; accepted: such as engine or engine::schedule",
            quoted(module)
        ));
    }
    let refused = |_| format!("level {} is no whole number; accepted: -1, 1 to 10", quoted(level));
    let number = level.parse().map_err(refused)?;
    Ok((module, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_and_a_level_are_read_and_nothing_else_gets_into_the_filter() {
        let said =
            |raw: &str| read(&Query::parse(Some(raw))).map(|(module, level)| (module.to_owned(), level));
        assert_eq!(said("module=engine::line&level=10"), Ok(("engine::line".to_owned(), 10)));
        assert_eq!(said("level=1"), Err("parameter module not specified in url.".to_owned()));
        assert_eq!(said("module=engine"), Err("parameter level not specified in url.".to_owned()));
        for bad in
            ["module=a=trace&level=1", "module=a,b&level=1", "module=a&level=x", "module=a%5Bb&level=1"]
        {
            assert!(said(bad).is_err(), "{bad}");
        }
    }
}
