//! The HTTP server of a command: metrics, health, and whatever pages the command has beside them.
//!
//! It answers GET alone, over HTTP/1.1, and bounds what others may take: connections, those of one address, the size of a
//! head, and time.

mod health;
mod server;

use std::{collections::BTreeMap, fmt, future::ready, pin::Pin, sync::Arc};

pub use health::Health;
pub use server::{Listener, MAX_CONNECTIONS, MAX_OF_ADDRESS, Patience};

use crate::metrics::{METRICS, Registry};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The type of the body.
    pub kind: &'static str,
    /// The body.
    pub body: String,
}

impl Page {
    /// Makes a page of plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            body: body.into(),
        }
    }

    /// Makes a page of JSON.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self {
            status,
            kind: "application/json",
            body: value.to_string(),
        }
    }
}

/// A page that may have to be waited for.
type Making = Pin<Box<dyn Future<Output = Page> + Send>>;

/// Makes a page of the query, which is what follows the question mark; empty where there is none.
type Make = Arc<dyn Fn(&str) -> Making + Send + Sync>;

/// Makes a page of a path and its query, if it has one.
type MakeAny = Arc<dyn Fn(&str, &str) -> Option<Page> + Send + Sync>;

/// The pages of a command, by path.
#[derive(Clone, Default)]
pub struct Pages {
    fixed: BTreeMap<&'static str, Make>,
    others: Option<MakeAny>,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fixed.keys()).finish()
    }
}

impl Pages {
    /// `/metrics` of a registry and `/healthz`.
    #[must_use]
    pub fn new(registry: Registry, health: Health) -> Self {
        let healthz = move |_: &str| match health.trouble() {
            None => Page::text(200, "ok\n"),
            Some(trouble) => Page::text(503, format!("{trouble}\n")),
        };
        let metrics = move |_: &str| Page {
            kind: METRICS,
            ..Page::text(200, registry.text())
        };
        Self::default().with("/metrics", metrics).with("/healthz", healthz)
    }

    /// Adds a page, which is made anew for each request.
    #[must_use]
    pub fn with(self, path: &'static str, make: impl Fn(&str) -> Page + Send + Sync + 'static) -> Self {
        self.with_awaited(path, move |query| ready(make(query)))
    }

    /// Adds a page that has to be waited for.
    #[must_use]
    pub fn with_awaited<F>(mut self, path: &'static str, make: impl Fn(&str) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Page> + Send + 'static,
    {
        self.fixed.insert(path, Arc::new(move |query| Box::pin(make(query))));
        self
    }

    /// Adds pages whose paths are not known before they are asked for.
    #[must_use]
    pub fn with_others(mut self, make: impl Fn(&str, &str) -> Option<Page> + Send + Sync + 'static) -> Self {
        self.others = Some(Arc::new(make));
        self
    }

    async fn page(&self, path: &str, query: &str) -> Page {
        if let Some(make) = self.fixed.get(path) {
            return make(query).await;
        }
        let other = self.others.as_ref().and_then(|make| make(path, query));
        other.unwrap_or_else(|| {
            let paths: Vec<&str> = self.fixed.keys().copied().collect();
            Page::text(404, format!("not found: the paths are {}\n", paths.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests;
