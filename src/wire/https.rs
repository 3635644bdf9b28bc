//! Published tables over HTTPS, for anyone: `/tables`, `/tables/{id}` and `/tables/{id}/data`.
//!
//! Only what a steward has published is here. Errors are `application/problem+json` (RFC 9457).

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::SecondsFormat;
use serde_json::json;

use crate::disclosure::Released;
use crate::domain::answer::PublishedTable;
use crate::domain::ids::TableId;
use crate::domain::refusal::{Refusal, RefusalKind};
use crate::domain::table::ResultTable;
use crate::pipeline::Gateway;
use crate::statistics::{self, Format};

/// The routes of the anonymous side.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/tables", get(list))
        .route("/tables/{id}", get(table))
        .route("/tables/{id}/data", get(table))
        .fallback(nowhere)
        .method_not_allowed_fallback(only_get)
        .with_state(gateway)
}

async fn list(State(gateway): State<Arc<Gateway>>) -> Result<Response, Problem> {
    let tables: Vec<_> = gateway.public_tables().await?.iter().map(listed).collect();
    let body = json!({ "tables": tables });
    Ok(([(header::CONTENT_TYPE, Format::JsonStat.media_type())], body.to_string()).into_response())
}

fn listed(published: &PublishedTable) -> serde_json::Value {
    json!({
        "id": published.table.as_str(),
        "label": published.title,
        "updated": published.published.to_rfc3339_opts(SecondsFormat::Secs, true),
        "resultDigest": published.result_digest.to_string(),
        "formats": Format::PUBLIC.map(Format::as_str),
        "links": [{ "rel": "data", "href": format!("/tables/{}/data", published.table) }],
    })
}

async fn table(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = TableId::new(id).map_err(|rule| {
        Refusal::new(RefusalKind::NotFound, "statistics.unknown_table", format!("no such table: {rule}"))
    })?;
    let format = format(query.as_deref().unwrap_or_default())?;
    let released = gateway.public_table(&id).await?;
    respond(&released, format, &headers)
}

/// The format asked for: `format`, or `outputFormat` as PxWeb's clients write it; names and codes are
/// matched without regard to case.
fn format(query: &str) -> Result<Format, Problem> {
    let refused = |hint: &str| Refusal::new(RefusalKind::Invalid, "statistics.format", hint);
    let mut chosen = None;
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if name.eq_ignore_ascii_case("format") || name.eq_ignore_ascii_case("outputFormat") {
            let format = value.parse().ok().filter(|format| Format::PUBLIC.contains(format));
            let format =
                format.ok_or_else(|| refused("format must be one of json-stat2, csv, arrow, parquet"))?;
            if chosen.replace(format).is_some() {
                return Err(refused("format must be given once").into());
            }
        }
    }
    Ok(chosen.unwrap_or(Format::JsonStat))
}

/// A released table as a response. The digest of a result and the format name its bytes, so that a
/// client which has them need not take them again.
fn respond(
    released: &Released<ResultTable>,
    format: Format,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = format!("\"{}-{format}\"", released.digest());
    let etag = HeaderValue::from_str(&tag).map_err(|_| internal())?;
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known == "*" || known.split(',').any(|one| one.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let bytes = statistics::render(released, format).map_err(Refusal::from)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.media_type())),
        (header::ETAG, etag),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, bytes).into_response())
}

async fn nowhere() -> Problem {
    Refusal::new(
        RefusalKind::NotFound,
        "statistics.path",
        "there are /tables, /tables/{id} and /tables/{id}/data",
    )
    .into()
}

async fn only_get() -> Response {
    let hint = "this side of the gateway is read with GET";
    let problem = Problem(Refusal::new(RefusalKind::Invalid, "statistics.method", hint));
    problem.with_status(StatusCode::METHOD_NOT_ALLOWED)
}

fn internal() -> Problem {
    Refusal::new(RefusalKind::Internal, "statistics.internal", "the table cannot be answered").into()
}

/// The answer to a request that has taken too long.
pub(super) fn too_slow() -> Response {
    let hint = "the answer takes too long, try again later";
    Problem(Refusal::new(RefusalKind::Unavailable, "statistics.time", hint)).into_response()
}

/// A refusal as RFC 9457 writes it.
struct Problem(Refusal);

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl Problem {
    fn with_status(self, status: StatusCode) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "code": self.0.code,
            "detail": self.0.hint,
        });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match self.0.kind {
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
            RefusalKind::Denied => StatusCode::FORBIDDEN,
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict | RefusalKind::Precondition => StatusCode::CONFLICT,
            RefusalKind::Limit => StatusCode::TOO_MANY_REQUESTS,
            RefusalKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            RefusalKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        self.with_status(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Format, (StatusCode, &'static str)> {
        format(query).map_err(|problem| (problem.0.kind, problem.0.code)).map_err(|(kind, code)| {
            let status = Problem(Refusal::new(kind, code, "")).into_response().status();
            (status, code)
        })
    }

    #[test]
    fn the_format_is_read_under_both_names_without_regard_to_case() {
        assert_eq!(read(""), Ok(Format::JsonStat));
        assert_eq!(read("lang=no"), Ok(Format::JsonStat));
        assert_eq!(read("format=csv"), Ok(Format::Csv));
        assert_eq!(read("lang=no&OUTPUTFORMAT=Json-Stat2"), Ok(Format::JsonStat));
    }

    #[test]
    fn an_unknown_private_or_repeated_format_is_a_bad_request() {
        for query in ["format=xlsx", "format=", "format=report", "format=csv&outputFormat=json-stat2"] {
            assert_eq!(read(query), Err((StatusCode::BAD_REQUEST, "statistics.format")), "{query}");
        }
    }

    #[test]
    fn a_problem_says_code_and_hint_as_rfc_9457_has_it() {
        let refusal = Refusal::new(RefusalKind::NotFound, "table.unknown", "list the tables");
        let response = Problem(refusal).into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
