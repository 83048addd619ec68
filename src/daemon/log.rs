//! The daemon's log: text, JSON lines, or the journal, by configuration. Somebody else's control characters never reach it.

use std::io::{self, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{Targets, filter_fn},
    fmt,
    layer::{Context, SubscriberExt as _},
};

use crate::{
    cli::outcome::{Exit, Failure, printable},
    config::schema::{LogFormat, LogLevel, LogSettings},
};

/// Starts the log of this process, on stderr or in the journal. Once; a second call changes nothing.
///
/// Errors: 78 where the journal is asked for and is not there.
pub fn start(settings: &LogSettings) -> Result<(), Failure> {
    let level = match settings.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    // Other people's crates may say what they like about requests; only our own are known to leave secrets out.
    let ours = Targets::new().with_default(LevelFilter::ERROR).with_target("ledgerward", level);
    let output: Box<dyn Layer<Registry> + Send + Sync> = match settings.format {
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(Clean::default).with_filter(ours).boxed(),
        LogFormat::Json => {
            fmt::layer().json().flatten_event(true).with_writer(Clean::default).with_filter(ours).boxed()
        }
        LogFormat::Journald => tracing_journald::layer()
            .map_err(|e| {
                Failure::new(Exit::Refused, "the journal cannot be reached")
                    .cause(&e)
                    .next("Set format = \"text\" under [log].")
            })?
            .with_filter(ours)
            .boxed(),
    };
    let requests = Requests.with_filter(filter_fn(|m| matches!(m.name(), "http.send" | "http.fail")));
    // A test, or a second daemon in one process, has a log already.
    let _second = tracing::subscriber::set_global_default(Registry::default().with(output).with(requests));
    Ok(())
}

/// Stderr, a line at a time, with control characters as escapes (X08).
#[derive(Default)]
struct Clean;

impl Write for Clean {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let body = text.strip_suffix('\n').unwrap_or(&text).replace('\n', "\\n");
        io::stderr().lock().write_all(format!("{}\n", printable(&body)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Counts requests from the kit's own trace events, so that no connector has to.
struct Requests;

#[derive(Default)]
struct Seen {
    connector: String,
    status: Option<u64>,
}

impl Visit for Seen {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "status" {
            self.status = Some(value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "connector" {
            value.clone_into(&mut self.connector);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "connector" {
            self.connector = format!("{value:?}").trim_matches('"').to_owned();
        }
    }
}

impl<S: Subscriber> Layer<S> for Requests {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let class = match seen.status {
            Some(status) => format!("{}xx", status / 100),
            None => "none".to_owned(),
        };
        metrics::counter!("ledgerward_requests_total", "connector" => seen.connector, "class" => class).increment(1);
    }
}
