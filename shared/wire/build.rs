//! Compiles the Protobuf definitions in pure Rust (no `protoc` is needed).

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["proto/session.proto", "proto/topic.proto", "proto/room.proto", "proto/service.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
