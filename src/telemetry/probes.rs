//! What the paths of the HTTP port answer.

use std::sync::{Arc, OnceLock};

use hyper::StatusCode;

use super::{desk::Desk, http::Answer, vitals::Vitals};

/// The answer for a path. Until the artifact is verified there is no `desk`: the process is alive,
/// and no more.
pub fn answer(path: &str, desk: &OnceLock<Arc<Desk>>) -> Answer {
    match (path, desk.get()) {
        ("/livez", None) => ok(),
        ("/healthz", None) => json(StatusCode::OK, r#"{"state":"starting"}"#.into()),
        ("/readyz" | "/startupz" | "/metrics", None) => unavailable("verifying the artifact"),
        ("/livez", Some(desk)) => unless(desk.vitals.stuck()),
        ("/startupz", Some(desk)) => unless((!desk.vitals.was_ready()).then(|| why(&desk.vitals))),
        ("/readyz", Some(desk)) => unless(unready(&desk.vitals)),
        ("/healthz", Some(desk)) => health(desk),
        ("/metrics", Some(desk)) => Answer {
            status: StatusCode::OK,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: desk.page(),
        },
        _ => Answer::text(
            StatusCode::NOT_FOUND,
            "not found; there are /livez, /readyz, /startupz, /healthz and /metrics\n",
        ),
    }
}

/// Why requests should not come here.
fn unready(vitals: &Vitals) -> Option<String> {
    (!vitals.is_ready()).then(|| why(vitals))
}

fn why(vitals: &Vitals) -> String {
    let state = vitals.shown_state().to_string();
    std::iter::once(state).chain(vitals.reasons()).collect::<Vec<_>>().join("; ")
}

fn health(desk: &Desk) -> Answer {
    let status = match desk.vitals.stuck() {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    match serde_json::to_string(&desk.health(desk.seq())) {
        Ok(body) => json(status, body),
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

fn unless(problem: Option<String>) -> Answer {
    problem.map_or_else(ok, |problem| unavailable(&problem))
}

fn ok() -> Answer {
    Answer::text(StatusCode::OK, "ok\n")
}

fn unavailable(why: &str) -> Answer {
    Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"))
}

fn json(status: StatusCode, mut body: String) -> Answer {
    body.push('\n');
    Answer { status, content_type: "application/json", body }
}
