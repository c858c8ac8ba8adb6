//! Whom the command line shows which token, and whose certificate it believes.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::exit::{CliError, Exit};
use super::input::read_input;
use super::token_args::TrustArgs;

/// The token to show.
pub(super) fn token(trust: &TrustArgs) -> Result<Option<String>, CliError> {
    let Some(file) = &trust.token_file else { return Ok(trust.token.clone()) };
    let text = read("--token-file", file)?;
    Ok(String::from_utf8_lossy(&text).lines().next().map(|line| line.trim().to_owned()))
}

/// How to greet a server of which only the certificates in `file` are known.
pub(super) fn tls(file: &Path) -> Result<Arc<ClientConfig>, CliError> {
    let unusable =
        |why: &dyn std::fmt::Display| CliError::new(Exit::Usage, format!("--ca {}: {why}", file.display()));
    let pem = read("--ca", file)?;
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| unusable(&error))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates.iter().cloned()).0 == 0 {
        return Err(unusable(&"no certificate in it"));
    }
    let provider = Arc::new(ring::default_provider());
    let known = Known::new(roots, certificates, &provider).map_err(|error| unusable(&error))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(known))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn read(option: &str, file: &Path) -> Result<Vec<u8>, CliError> {
    let unusable = |why: &dyn std::fmt::Display| {
        CliError::new(Exit::Usage, format!("{option} {}: {why}", file.display()))
    };
    match read_input(file) {
        Ok(bytes) if bytes.is_empty() => Err(unusable(&"it is empty, or a pipe that nobody writes to")),
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(unusable(&error)),
    }
}

/// Believes what is signed by a known certificate, and a server that has a known one itself.
///
/// For the second, what else a path of certificates needs says nothing more: whoever proves to hold the key of that very
/// certificate is who was meant. `openssl req -x509` makes such ones: each is its own authority and may name no host,
/// which RFC 5280 does not let a server's certificate be at the end of a path.
#[derive(Debug)]
struct Known {
    paths: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Known {
    fn new(
        roots: RootCertStore,
        certificates: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let paths =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
        Ok(Self { paths: paths.map_err(|error| error.to_string())?, certificates })
    }
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext, Other};
        let found = self.paths.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match found {
            // That it is an authority comes as another error; one whose time is over is not among these.
            Err(Error::InvalidCertificate(Other(_) | NotValidForName | NotValidForNameContext { .. }))
                if self.certificates.iter().any(|known| known == end_entity) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            found => found,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.paths.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.paths.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.paths.supported_verify_schemes()
    }
}
