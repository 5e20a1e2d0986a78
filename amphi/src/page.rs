//! The built page, embedded in the binary: it works with no internet and no files beside it.

use amphi_shared_edge::http::{Response, asset};
use rust_embed::RustEmbed;

/// What `npm run build` wrote. Debug builds read the folder at run time.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../clients/web/dist"]
#[allow_missing = true]
struct Page;

const SDK: &str = "sdk/amphi.js";
const NOT_BUILT: &str = "The page is not built. Run `cargo xtask up`, or `npm ci && npm run build` in clients/web.\n";

/// The file at `path`. Every other path without an extension is a view of the one page, except what programs call.
pub(crate) fn serve(path: &str) -> Option<Response> {
    let name = path.trim_start_matches('/');
    if ["api/", "internal/"].iter().any(|prefix| name.starts_with(prefix)) {
        return None;
    }
    let name = if name.is_empty() || !name.contains('.') { "index.html" } else { name };
    match Page::get(name) {
        // Pages of any origin load the client of the server that they talk to.
        Some(file) if name == SDK => Some(
            asset(name, file.data.into_owned())
                .with_header("access-control-allow-origin", "*")
                .with_header("cross-origin-resource-policy", "cross-origin")
                .with_header("amphi-version", env!("CARGO_PKG_VERSION")),
        ),
        Some(file) => Some(asset(name, file.data.into_owned())),
        None if name == "index.html" => Some(Response::text(NOT_BUILT).with_status(503)),
        None => None,
    }
}
