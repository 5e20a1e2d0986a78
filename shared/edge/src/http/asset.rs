//! Files of the page.

use bytes::Bytes;

use super::Response;
use crate::endpoint::to_hex;

/// A file of the page: content type by its extension, an ETag over its bytes, and caching.
///
/// A file whose name holds a build hash (`name-3f9a01bc.js`, at least 8 letters or digits after the last `-`, with a
/// digit) never changes and is cached for a year; any other is asked for again each time.
pub fn asset(path: &str, bytes: impl Into<Bytes>) -> Response {
    let bytes = bytes.into();
    let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let etag = format!("\"{}\"", to_hex(&hash.as_ref()[..16]));
    let cache = if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    Response::bytes(content_type(path), bytes).with_header("etag", etag).with_header("cache-control", cache)
}

fn is_hashed(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or(path);
    let Some((_, tail)) = file.rsplit_once('-') else {
        return false;
    };
    let hash = tail.split('.').next().unwrap_or(tail);
    hash.len() >= 8
        && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && hash.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "glb" => "model/gltf-binary",
        "ogg" => "audio/ogg",
        "mp3" => "audio/mpeg",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
