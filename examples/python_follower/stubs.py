"""Generates the stubs of the public API from the .proto files, into the folder `generated` beside this file."""

import pathlib
import sys

import grpc_tools
from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parents[1] / "proto"
GENERATED = HERE / "generated"
# Has the types of `google.protobuf`, whose stubs come with the package protobuf.
WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def main() -> int:
    GENERATED.mkdir(exist_ok=True)
    files = [*sorted((PROTO / "farthing" / "v1").glob("*.proto")), PROTO / "google" / "rpc" / "status.proto"]
    return protoc.main(
        ["protoc", f"-I{PROTO}", f"-I{WELL_KNOWN}", f"--python_out={GENERATED}", f"--grpc_python_out={GENERATED}"]
        + [str(path.relative_to(PROTO)) for path in files]
    )


if __name__ == "__main__":
    sys.exit(main())
