//! Compiles `proto/farthing/**` with a pure-Rust compiler and writes the descriptor set that reflection serves.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    #[cfg(feature = "grpc")]
    grpc::compile()?;
    Ok(())
}

#[cfg(feature = "grpc")]
mod grpc {
    use std::{env, error::Error, fs, path::PathBuf};

    use prost::Message as _;

    /// Each package is written to a descriptor set of its own too, so that a listener reflects only its services.
    const PACKAGES: [(&str, &[&str]); 3] = [
        ("public", &["farthing/v1/types.proto", "farthing/v1/limits.proto", "farthing/v1/ledger_service.proto"]),
        ("peer", &["farthing/peer/v1/peer_service.proto"]),
        ("admin", &["farthing/admin/v1/admin_service.proto"]),
    ];

    pub(super) fn compile() -> Result<(), Box<dyn Error>> {
        println!("cargo:rerun-if-changed=proto/farthing");
        let out = PathBuf::from(env::var("OUT_DIR")?);
        for (name, files) in PACKAGES {
            let set = protox::compile(files, ["proto"])?;
            fs::write(out.join(format!("{name}.bin")), set.encode_to_vec())?;
            tonic_prost_build::configure().bytes(".").compile_fds(set)?;
        }
        Ok(())
    }
}
