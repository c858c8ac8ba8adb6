//! TLS by configuration: the pair of certificate and key, read at start and again whenever one of the files changes.
//!
//! While only one of the two has been replaced they do not fit, and the pair that did stays in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use super::auth::Watched;
use crate::config::Config;

/// The node's certificate and key.
#[derive(Debug, Clone)]
pub struct Tls(Watched<ServerConfig>);

/// The pair cannot be used; says which file and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tls_certificate_file, tls_private_key_file: {0}")]
pub struct TlsError(String);

impl Tls {
    /// The pair the configuration names; none when it names none.
    ///
    /// # Errors
    /// A file cannot be read, holds no certificate or key, or they do not fit.
    pub fn new(config: &Config) -> Result<Option<Self>, TlsError> {
        let (certificate, key) = (&config.tls_certificate_file, &config.tls_private_key_file);
        if certificate.is_empty() && key.is_empty() {
            return Ok(None);
        }
        let paths = vec![PathBuf::from(certificate), PathBuf::from(key)];
        let (certificate, key) = (paths[0].clone(), paths[1].clone());
        let first = read_pair(&certificate, &key).map_err(TlsError)?;
        let watched = Watched::start("certificate", paths, first, move || read_pair(&certificate, &key));
        watched.map(|watched| Some(Self(watched))).map_err(|error| TlsError(error.to_string()))
    }

    /// Whether [`Self::new`] would take the pair the configuration names.
    ///
    /// # Errors
    /// As there.
    pub fn check(config: &Config) -> Result<(), TlsError> {
        let (certificate, key) = (&config.tls_certificate_file, &config.tls_private_key_file);
        if certificate.is_empty() && key.is_empty() {
            return Ok(());
        }
        read_pair(Path::new(certificate), Path::new(key)).map(drop).map_err(TlsError)
    }

    /// Greets connections with the pair as it is now.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.get())
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<ServerConfig, String> {
    let in_file = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    for path in [certificate, key] {
        // A pipe whose other end nobody opens would hold up the start for ever.
        if !std::fs::metadata(path).map_err(|error| in_file(path, &error))?.is_file() {
            return Err(in_file(path, &"not a regular file"));
        }
    }
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| in_file(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| in_file(certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_that_does_not_fit_is_refused_and_says_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let made = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (one, two) = (made(), made());
        let certificate = write("c.pem", &one.cert.pem());
        let key = write("k.pem", &one.signing_key.serialize_pem());
        let other = write("o.pem", &two.signing_key.serialize_pem());
        assert!(read_pair(&certificate, &key).is_ok());
        assert!(read_pair(&certificate, &other).unwrap_err().contains("c.pem"));
        assert!(read_pair(&key, &key).is_err());
        assert!(read_pair(&certificate, &write("e.pem", "")).unwrap_err().contains("e.pem"));
        assert!(read_pair(Path::new("/nowhere"), &key).unwrap_err().contains("/nowhere"));
    }
}
