//! Compiles `proto/farthing/**` with a pure-Rust compiler and writes the descriptor set that reflection serves.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "grpc")]
    grpc::compile()?;
    Ok(())
}

#[cfg(feature = "grpc")]
#[path = "proto/build/masks.rs"]
mod masks;

#[cfg(feature = "grpc")]
mod grpc {
    use std::{env, error::Error, fs, path::PathBuf};

    use prost::Message as _;

    /// Each package is written to a descriptor set of its own too, so that a listener reflects only its services.
    const PACKAGES: [(&str, &[&str]); 3] = [
        (
            "public",
            &[
                "farthing/v1/types.proto",
                "farthing/v1/limits.proto",
                "farthing/v1/proofs.proto",
                "farthing/v1/queries.proto",
                "farthing/v1/streams.proto",
                "farthing/v1/submission.proto",
                "farthing/v1/ledger_service.proto",
                "farthing/v1/mining_service.proto",
                // The details of errors are packed as Any: whoever reflects needs them to show what is inside.
                "google/rpc/error_details.proto",
            ],
        ),
        ("peer", &["farthing/peer/v1/peer_service.proto"]),
        ("admin", &["farthing/admin/v1/admin_service.proto"]),
    ];

    pub(super) fn compile() -> Result<(), Box<dyn Error>> {
        println!("cargo:rerun-if-changed=proto/farthing");
        println!("cargo:rerun-if-changed=proto/google");
        println!("cargo:rerun-if-changed=proto/build");
        println!("cargo:rerun-if-changed=build.rs");
        let out = PathBuf::from(env::var("OUT_DIR")?);
        for (name, files) in PACKAGES {
            let set = protox::compile(files, ["proto"])?;
            fs::write(out.join(format!("{name}.bin")), set.encode_to_vec())?;
            if name == "public" {
                fs::write(out.join("masks.rs"), super::masks::generate(&set)?)?;
            }
            // Those of google.rpc are there already, with what reads and writes their details.
            let google = (".google.rpc", "::tonic_types::pb");
            tonic_prost_build::configure().bytes(".").extern_path(google.0, google.1).compile_fds(set)?;
        }
        Ok(())
    }
}
