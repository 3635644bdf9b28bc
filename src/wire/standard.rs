//! The two services every gRPC server has beside its own: health and reflection.

use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::proto::DESCRIPTORS;

/// Why the standard services cannot be added.
#[derive(Debug, thiserror::Error)]
#[error("the protobuf descriptors built into this program cannot be read")]
pub struct DescriptorError;

/// Adds health and reflection for the services named to `routes`. The reporter takes the services out
/// of service on shutdown.
///
/// # Errors
/// [`DescriptorError`], which a build that passes its tests does not reach.
pub async fn add(routes: Routes, services: &[&str]) -> Result<(Routes, HealthReporter), DescriptorError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    for service in services {
        reporter.set_service_status(*service, ServingStatus::Serving).await;
        reflection = reflection.with_service_name(*service);
    }
    let reflection = reflection.build_v1().map_err(|_| DescriptorError)?;
    Ok((routes.add_service(health).add_service(reflection), reporter))
}
