//! The gateway's gRPC side: its services, health and reflection, behind [`super::access::GATEWAY`].

use std::sync::Arc;

use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use super::standard::{self, DescriptorError};
use super::{
    audit, disclosures, feeds, linkage, microdata, person, projects, queries, resolutions, statistics,
};
use crate::linkage::OrderDesk;
use crate::pipeline::Gateway;

/// The names of the gateway's services.
pub const SERVICES: [&str; 10] = [
    "kpr.v1.Projects",
    "kpr.v1.Queries",
    "kpr.v1.Microdata",
    "kpr.v1.Linkage",
    "kpr.v1.Statistics",
    "kpr.v1.Audit",
    "kpr.v1.Disclosures",
    "kpr.v1.Person",
    "kpr.v1.Resolutions",
    "kpr.v1.Feeds",
];

/// The gateway's services, to be served by [`super::serve::grpc`] with [`super::access::GATEWAY`].
///
/// # Errors
/// [`DescriptorError`].
pub async fn routes(
    gateway: &Arc<Gateway>,
    desk: OrderDesk,
) -> Result<(Routes, HealthReporter), DescriptorError> {
    let routes = Routes::new(projects::service(Arc::clone(gateway)))
        .add_service(queries::service(Arc::clone(gateway)))
        .add_service(microdata::service(Arc::clone(gateway)))
        .add_service(linkage::service(desk, Arc::<Gateway>::clone(gateway)))
        .add_service(statistics::service(Arc::clone(gateway)))
        .add_service(audit::service(Arc::clone(gateway)))
        .add_service(disclosures::service(Arc::clone(gateway)))
        .add_service(person::service(Arc::clone(gateway)))
        .add_service(resolutions::service(Arc::clone(gateway)))
        .add_service(feeds::service(Arc::clone(gateway)));
    standard::add(routes, &SERVICES).await
}
