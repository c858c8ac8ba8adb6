//! The style sheet, the script and the icon. They are part of the program; their addresses carry their sums, so that a
//! browser keeps them until a new release has others.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const ASSETS: [Asset; 3] = [
    Asset { name: "page.css", kind: "text/css; charset=utf-8", text: include_str!("assets/page.css") },
    Asset { name: "page.js", kind: "text/javascript; charset=utf-8", text: include_str!("assets/page.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("assets/icon.svg") },
];

static SUM: LazyLock<u32> = LazyLock::new(|| {
    let mut sum = crc32fast::Hasher::new();
    ASSETS.iter().for_each(|asset| sum.update(asset.text.as_bytes()));
    sum.finalize()
});

/// The address of one.
pub(super) fn at(name: &str) -> String {
    format!("/ui/static/{name}?{:08x}", *SUM)
}

/// `GET /ui/static/{name}`.
pub(super) async fn show(Path(name): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.name == name) {
        Some(asset) => {
            let headers =
                [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "max-age=31536000, immutable")];
            (headers, asset.text).into_response()
        }
        None => (StatusCode::NOT_FOUND, "Not Found").into_response(),
    }
}
