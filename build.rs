//! Compiles the protobuf definitions with protox, so that no `protoc` has to be installed, and keeps
//! the descriptors: reflection serves them, and the access tests read every method from them.

use std::path::PathBuf;

use prost_build::Config;

const FILES: [&str; 12] = [
    "kpr/v1/query.proto",
    "kpr/v1/project.proto",
    "kpr/v1/linkage.proto",
    "kpr/v1/microdata.proto",
    "kpr/v1/statistics.proto",
    "kpr/v1/audit.proto",
    "kpr/v1/identity.proto",
    "kpr/v1/witness.proto",
    "kpr/v1/disclosures.proto",
    "kpr/v1/person.proto",
    "kpr/v1/resolution.proto",
    "kpr/v1/feed.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // Keys, tickets, identity numbers, a person's own data and the bytes of an identity file have no Debug form.
    let mut config = Config::new();
    config.skip_debug([
        "kpr.v1.IssueKeyResponse",
        "kpr.v1.MapCodesResponse",
        "kpr.v1.ResolveRequest",
        "kpr.v1.OpenTicketRequest",
        "kpr.v1.OpenTicketResponse",
        "kpr.v1.RedeemTicketRequest",
        "kpr.v1.ReadUsesRequest",
        "kpr.v1.ReadPersonLogRequest",
        "kpr.v1.ReadPersonRowsRequest",
        "kpr.v1.OwnRow",
        "kpr.v1.OwnRows",
        "kpr.v1.Correction",
        "kpr.v1.ListCorrectionsResponse",
        "kpr.v1.RequestCorrectionRequest",
        "kpr.v1.SetRestrictionRequest",
        "kpr.v1.ReadRestrictionsRequest",
        "kpr.v1.ErasePersonRequest",
        "kpr.v1.CollectResolutionResponse",
        "kpr.v1.TakeFeedRequest",
        "kpr.v1.FetchFeedResponse",
    ]);
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}
