//! Writes the corpora of `loadtest/fuzz` anew from the golden vectors and from what is listed here. Files that fuzzing
//! has found (`found-*`) stay.

#![forbid(unsafe_code)]

mod corpus;

use std::fs;
use std::path::Path;

use amphi_loadtest_decoders::DECODERS;
use anyhow::{Context, Result};

fn main() -> Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (vectors, corpora) = (here.join("../../shared/vectors"), here.join("../fuzz/corpus"));
    for decoder in DECODERS {
        let folder = corpora.join(decoder.name);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("found-")) {
                fs::remove_file(path)?;
            }
        }
        for (name, bytes) in corpus::seeds(decoder.name, &vectors)? {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
