//! What stands around the methods: health, reflection, limits.

use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::{
    v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    },
    v1alpha,
};

use super::*;

const SERVICE: &str = "farthing.v1.LedgerService";

#[tokio::test]
async fn health_follows_synchronisation_and_ends_with_the_drain() {
    let api = Api::start().await;
    let mut client = HealthClient::new(api.channel().await);
    for service in ["", SERVICE] {
        let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let mut news = client.watch(request).await.unwrap().into_inner();
    let mut next = async || tokio::time::timeout(PATIENCE, news.message()).await.expect("news in time").unwrap();
    assert_eq!(next().await.unwrap().status(), ServingStatus::Serving);
    api.network.0.send_replace(true);
    assert_eq!(next().await.unwrap().status(), ServingStatus::NotServing);
    api.network.0.send_replace(false);
    assert_eq!(next().await.unwrap().status(), ServingStatus::Serving);
    api.test.tasks.stop();
    assert_eq!(next().await.unwrap().status(), ServingStatus::NotServing);
    assert!(next().await.is_none(), "a watch does not hold up the drain");
}

#[tokio::test]
async fn both_versions_of_reflection_list_the_public_services_and_no_others() {
    let api = Api::start().await;
    let expected = [SERVICE, "farthing.v1.MiningService", "grpc.health.v1.Health"];

    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = ServerReflectionClient::new(api.channel().await);
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answer_of(answers).await;
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(public(&names), expected);

    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(api.channel().await);
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answer_of(answers).await;
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(services)) =
        answer.message_response
    else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(public(&names), expected);
}

/// What stands in an error's details, and in the verdicts of a batch, can be shown by tools that have no files.
#[tokio::test]
async fn reflection_describes_the_details_of_errors() {
    let api = Api::start().await;
    let mut client = ServerReflectionClient::new(api.channel().await);
    for (symbol, file) in [
        ("google.rpc.Status", "google/rpc/status.proto"),
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.rpc.RetryInfo", "google/rpc/error_details.proto"),
    ] {
        let message_request = Some(MessageRequest::FileContainingSymbol(symbol.to_owned()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let answers = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
        let answer = answer_of(answers).await;
        let Some(MessageResponse::FileDescriptorResponse(found)) = answer.message_response else {
            panic!("{symbol}: {answer:?}")
        };
        let found = <prost_types::FileDescriptorProto as prost::Message>::decode(&*found.file_descriptor_proto[0]);
        assert_eq!(found.unwrap().name(), file, "{symbol}");
    }
}

async fn answer_of<T>(mut answers: tonic::Streaming<T>) -> T {
    tokio::time::timeout(PATIENCE, answers.message()).await.expect("an answer in time").unwrap().unwrap()
}

/// The services but for reflection itself.
fn public<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names: Vec<_> = names.iter().copied().filter(|name| !name.starts_with("grpc.reflection.")).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_method_of_the_service_has_a_policy() {
    use prost::Message as _;
    let set = prost_types::FileDescriptorSet::decode(farthing::wire::PUBLIC_DESCRIPTORS).unwrap();
    let mut methods_seen = 0;
    for file in set.file.iter().filter(|file| file.package() == "farthing.v1") {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/farthing.v1.{}/{}", service.name(), method.name());
                assert!(methods(&dev()).get(&path).is_some(), "{path} is not in the table");
                let row = format!("\n| `{}` |", method.name());
                assert!(include_str!("../../../../docs/api.md").contains(&row), "{path} is not in docs/api.md");
                methods_seen += 1;
            }
        }
    }
    assert_eq!(methods_seen, 25);
}

#[tokio::test]
async fn a_request_larger_than_its_method_takes_is_refused_by_name() {
    let api = Api::start().await;
    let request = v1::ListBlocksRequest { page_token: "0".repeat(5_000), ..Default::default() };
    let error = api.client().await.list_blocks(request).await.unwrap_err();
    assert_eq!(facts(&error).1, "REQUEST_TOO_LARGE");
}
