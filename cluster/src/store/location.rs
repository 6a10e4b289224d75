//! Where a store is, as flags say it.

use std::path::{Path, PathBuf};

use super::{Store, StoreError};

/// Where a store is, as flags say it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Location {
    /// The store: a directory, `etcd:URL[,URL…]`, or `kubernetes[:NAMESPACE]`
    #[arg(long, env = "SSA_STORE", value_name = "STORE")]
    pub store: String,
    /// With etcd: what all keys begin with [default: /ssa.dev.example/]
    #[arg(
        long,
        env = "SSA_STORE_PREFIX",
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub store_prefix: String,
    /// With etcd: the certificates of authorities to trust, in PEM [default: the system's]
    #[arg(long, env = "SSA_STORE_CA", value_name = "FILE")]
    pub store_ca: Option<PathBuf>,
    /// With etcd: the certificate of this client, in PEM
    #[arg(long, env = "SSA_STORE_CERT", value_name = "FILE", requires = "store_key")]
    pub store_cert: Option<PathBuf>,
    /// With etcd: the key of that certificate, in PEM
    #[arg(long, env = "SSA_STORE_KEY", value_name = "FILE", requires = "store_cert")]
    pub store_key: Option<PathBuf>,
    /// With etcd: the user
    #[arg(long, env = "SSA_STORE_USER", value_name = "NAME", requires = "store_password_file")]
    pub store_user: Option<String>,
    /// With etcd: a file with that user's password
    #[arg(long, env = "SSA_STORE_PASSWORD_FILE", value_name = "FILE", requires = "store_user")]
    pub store_password_file: Option<PathBuf>,
}

impl Location {
    /// Returns the directory, if the store is one.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        match self.parts() {
            ("etcd" | "kubernetes" | "", _) => None,
            _ => Some(Path::new(&self.store)),
        }
    }

    /// Returns what stands before the first colon, and after it.
    fn parts(&self) -> (&str, &str) {
        self.store.split_once(':').unwrap_or((&self.store, ""))
    }

    /// Opens the store; it need not answer yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Denied`] if nothing can be made of the flags or it may not be used; [`StoreError::Unavailable`] if a
    /// directory cannot be used.
    pub async fn open(&self) -> Result<Store, StoreError> {
        match self.parts() {
            ("etcd", urls) => self.etcd(urls),
            ("kubernetes", namespace) => kubernetes(Some(namespace).filter(|text| !text.is_empty())).await,
            ("", _) => Err(self.denied("a store is wanted: a directory, etcd:URL or kubernetes".into())),
            _ => file(Path::new(&self.store)).await,
        }
    }

    fn denied(&self, reason: String) -> StoreError {
        StoreError::Denied {
            store: format!("--store {}", self.store),
            reason,
        }
    }

    #[cfg(feature = "etcd")]
    fn etcd(&self, urls: &str) -> Result<Store, StoreError> {
        let read = |path: &Path| {
            std::fs::read(path)
                .map_err(|error| self.denied(format!("{}: {}", path.display(), ssa_input::files::reason(&error))))
        };
        let password = match &self.store_password_file {
            Some(path) => {
                let text = String::from_utf8(read(path)?);
                let text = text.map_err(|_| self.denied(format!("{}: it is not text in UTF-8", path.display())))?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            None => None,
        };
        let identity = match (&self.store_cert, &self.store_key) {
            (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
            _ => None,
        };
        let options = super::EtcdOptions {
            endpoints: urls
                .split(',')
                .filter(|url| !url.is_empty())
                .map(str::to_owned)
                .collect(),
            prefix: self.store_prefix.clone(),
            ca: self.store_ca.as_deref().map(read).transpose()?,
            identity,
            user: self.store_user.clone().zip(password),
        };
        Ok(Store::new(std::sync::Arc::new(super::EtcdStore::new(&options)?)))
    }

    #[cfg(not(feature = "etcd"))]
    fn etcd(&self, _: &str) -> Result<Store, StoreError> {
        Err(self.denied("this program was built without etcd".into()))
    }
}

#[cfg(feature = "kubernetes")]
async fn kubernetes(namespace: Option<&str>) -> Result<Store, StoreError> {
    let store = super::KubernetesStore::infer(namespace).await?;
    Ok(Store::new(std::sync::Arc::new(store)))
}

#[cfg(not(feature = "kubernetes"))]
async fn kubernetes(_: Option<&str>) -> Result<Store, StoreError> {
    Err(StoreError::Denied {
        store: "Kubernetes".into(),
        reason: "this program was built without it".into(),
    })
}

#[cfg(target_os = "linux")]
async fn file(path: &Path) -> Result<Store, StoreError> {
    let store = super::FileStore::open(path).await?;
    Ok(Store::new(std::sync::Arc::new(store)))
}

#[cfg(not(target_os = "linux"))]
async fn file(path: &Path) -> Result<Store, StoreError> {
    Err(StoreError::Denied {
        store: format!("directory {}", path.display()),
        reason: "a directory is a store on Linux alone".into(),
    })
}
