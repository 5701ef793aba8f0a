//! The composition root.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use crate::config::Config;
use crate::control::{
    Control, DaemonState, DrainPreview, DrainRequest, GateRow, PairCode, Reply, Service, ServiceError, StatusReport,
    TurnDetail, TurnRow, TurnsQuery, Warp,
};
use crate::domain::ids::TurnId;
use crate::supervisor::BridgeLink;
use crate::tasks::{OnExit, Tasks};

/// Runs the bridge below a supervisor until that wants it to end.
pub async fn run_bridge(config: Config) -> anyhow::Result<ExitCode> {
    let tasks = Tasks::default();
    let link = BridgeLink::from_stdio(&tasks)?;
    let control = Control::bind(&config.paths)?;
    let service = Arc::new(Idle { home: config.paths.home.display().to_string() });
    tasks.spawn("control", OnExit::StopDaemon, |cancel| control.serve(service, Router::new(), cancel));
    link.ready().await;
    let ended = tasks.token();
    tokio::select! {
        () = link.closed() => {}
        () = ended.cancelled() => {}
    }
    let failed = tasks.fatal().is_some();
    tasks.stop(Duration::from_secs(5)).await;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Idle {
    home: String,
}

impl Service for Idle {
    fn status(&self) -> Reply<'_, StatusReport> {
        Box::pin(async { Ok(StatusReport::empty(self.home.clone(), DaemonState::Running)) })
    }
    fn turns(&self, _: TurnsQuery) -> Reply<'_, Vec<TurnRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn turn(&self, id: TurnId) -> Reply<'_, TurnDetail> {
        Box::pin(async move { Err(ServiceError::NotFound(format!("there is no turn {id}"))) })
    }
    fn gates(&self) -> Reply<'_, Vec<GateRow>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn pair(&self) -> Reply<'_, PairCode> {
        Box::pin(async { Err(ServiceError::Failed("there is no ledger".to_owned())) })
    }
    fn drain(&self, _: DrainRequest) -> Reply<'_, DrainPreview> {
        Box::pin(async { Ok(DrainPreview::default()) })
    }
    fn warp_clock(&self, _: Warp) -> Reply<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
