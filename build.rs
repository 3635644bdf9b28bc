//! Compiles the protobuf definitions with protox, so that no `protoc` has to be installed, and keeps
//! the descriptors: reflection serves them, and the access tests read every method from them.

use std::path::PathBuf;

use prost_build::Config;

const FILES: [&str; 8] = [
    "kpr/v1/query.proto",
    "kpr/v1/project.proto",
    "kpr/v1/linkage.proto",
    "kpr/v1/microdata.proto",
    "kpr/v1/statistics.proto",
    "kpr/v1/audit.proto",
    "kpr/v1/identity.proto",
    "kpr/v1/witness.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // Keys and the bytes of an identity file have no Debug form.
    let mut config = Config::new();
    config.skip_debug(["kpr.v1.IssueKeyResponse", "kpr.v1.MapCodesResponse", "kpr.v1.ResolveRequest"]);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}
