//! `cargo xtask dist`: what is shipped.

use std::fs;

use anyhow::Context;

use crate::house::House;
use crate::{page, step, terminal};

/// The image only copies: the binary holds everything else.
const DOCKERFILE: &str = "\
# The binary needs glibc only. Match hosts take ports of their own: use the host's network, or publish a range.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY amphi /usr/local/bin/amphi
EXPOSE 7000/tcp 7000/udp
ENTRYPOINT [\"/usr/local/bin/amphi\"]
CMD [\"up\", \"--listen\", \"0.0.0.0:7000\", \"--data\", \"/home/nonroot/amphi-data\"]
";

/// Writes `target/dist/`.
///
/// # Errors
/// When a build fails or a file cannot be written.
pub(crate) fn run(house: &House) -> anyhow::Result<()> {
    page::build(house)?;
    terminal::say("Building", "amphi (dist profile: link-time optimisation, stripped)");
    // Cargo names its output folder after the profile, so it builds elsewhere: `target/dist` holds what is shipped.
    let build = house.target().join("shipped");
    let args = ["build", "--locked", "--package", "amphi", "--bin", "amphi", "--profile", "dist"];
    let took = step::run(house.cargo(&args).env("CARGO_TARGET_DIR", &build))?;
    terminal::say("Built", &format!("amphi in {}", terminal::took(took)));

    let dist = house.root().join("target/dist");
    if dist.exists() {
        fs::remove_dir_all(&dist).with_context(|| format!("empty {}", dist.display()))?;
    }
    fs::create_dir_all(&dist).with_context(|| format!("create {}", dist.display()))?;
    fs::copy(build.join("dist/amphi"), dist.join("amphi")).context("copy amphi")?;
    fs::write(dist.join("Dockerfile"), DOCKERFILE).context("write Dockerfile")?;
    let sums = house.command("sha256sum").args(["amphi", "Dockerfile"]).current_dir(&dist).output();
    let sums = sums.context("start sha256sum")?;
    anyhow::ensure!(sums.status.success(), "sha256sum ended with {}", sums.status);
    fs::write(dist.join("SHA256SUMS"), sums.stdout).context("write SHA256SUMS")?;
    let size = fs::metadata(dist.join("amphi"))?.len();
    terminal::say("Wrote", &format!("target/dist: amphi ({} MiB), Dockerfile, SHA256SUMS", size >> 20));
    Ok(())
}
