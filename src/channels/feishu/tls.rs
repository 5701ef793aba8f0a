//! TLS as this machine trusts: one configuration for the calls, the long connection and a proxy.
//!
//! The machine's certificates are some 150 files on a usual Linux. They are read once, beside other work of a start
//! ([`prepare`]), and not at all where nothing is encrypted.

use std::sync::{Arc, LazyLock, Mutex, Once};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// Certificates may have been renewed since they were read: what they do not vouch for is judged by new ones, but they are
/// not read more often than this.
const RENEW: Duration = Duration::from_secs(60);

static MACHINE: LazyLock<Arc<Machine>> = LazyLock::new(|| {
    install_provider();
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    Arc::new(Machine { provider, read: Mutex::default() })
});

static CONFIG: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let trust = Arc::clone(&*MACHINE);
    Arc::new(ClientConfig::builder().dangerous().with_custom_certificate_verifier(trust).with_no_client_auth())
});

/// How to encrypt. Reads no certificate yet.
pub fn config() -> Arc<ClientConfig> {
    Arc::clone(&CONFIG)
}

/// Reads the machine's certificates beside whatever comes next: whoever needs them first waits for the rest of it only.
/// Called within a runtime.
pub fn prepare() {
    // Where it fails the first connection tries again, and tells what is wrong.
    drop(tokio::task::spawn_blocking(|| MACHINE.trust(None).map(drop)));
}

/// There is exactly one provider of cryptography; rustls panics where there is none.
pub fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the program has installed one already.
        let _ = aws_lc_rs::default_provider().install_default();
    });
}

/// Whom this machine trusts, read when that is asked for first.
#[derive(Debug)]
struct Machine {
    provider: Arc<CryptoProvider>,
    read: Mutex<Option<(Instant, Arc<Verifier>)>>,
}

impl Machine {
    /// `within`: read anew where that was longer ago.
    fn trust(&self, within: Option<Duration>) -> Result<Arc<Verifier>, Error> {
        let known = self.read.try_lock().ok().and_then(|read| recent(&read, within));
        known.map_or_else(|| aside(|| self.read_anew(within)), Ok)
    }

    fn read_anew(&self, within: Option<Duration>) -> Result<Arc<Verifier>, Error> {
        let mut read = self.read.lock().expect("no code panics while it holds this lock");
        // Somebody may have read them meanwhile.
        if let Some(verifier) = recent(&read, within) {
            return Ok(verifier);
        }
        let verifier = Arc::new(Verifier::new(Arc::clone(&self.provider))?);
        *read = Some((Instant::now(), Arc::clone(&verifier)));
        Ok(verifier)
    }
}

fn recent(read: &Option<(Instant, Arc<Verifier>)>, within: Option<Duration>) -> Option<Arc<Verifier>> {
    let (at, verifier) = read.as_ref()?;
    within.is_none_or(|most| at.elapsed() <= most).then(|| Arc::clone(verifier))
}

/// Reads files, or waits for whoever does, in the midst of a handshake: other tasks of this thread go on on another one,
/// where there are others.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl ServerCertVerifier for Machine {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trust = self.trust(None)?;
        trust.verify_server_cert(end_entity, intermediates, name, ocsp, now).or_else(|refused| {
            let anew = self.trust(Some(RENEW))?;
            if Arc::ptr_eq(&anew, &trust) {
                return Err(refused);
            }
            anew.verify_server_cert(end_entity, intermediates, name, ocsp, now)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust(None)?.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust(None)?.verify_tls13_signature(message, cert, signed)
    }

    /// Known without a certificate.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_when_they_are_asked_for_and_once() {
        install_provider();
        let machine = Machine { provider: Arc::new(aws_lc_rs::default_provider()), read: Mutex::default() };
        assert!(!machine.supported_verify_schemes().is_empty());
        assert!(machine.read.lock().unwrap().is_none(), "nothing was encrypted yet");
        let Ok(first) = machine.trust(None) else { return };
        assert!(Arc::ptr_eq(&first, &machine.trust(Some(RENEW)).expect("read")));
        assert!(!Arc::ptr_eq(&first, &machine.trust(Some(Duration::ZERO)).expect("read")));
    }

    #[test]
    fn who_waits_for_certificates_holds_up_nobody() {
        install_provider();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let machine = Arc::new(Machine { provider, read: Mutex::default() });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let reading = machine.read.lock().unwrap();
        let (say, said) = std::sync::mpsc::channel();
        let (begun, waits) = (say.clone(), Arc::clone(&machine));
        runtime.spawn(async move {
            begun.send("a handshake").unwrap();
            drop(waits.trust(None));
        });
        assert_eq!(said.recv().unwrap(), "a handshake");
        runtime.spawn(async move { say.send("an acknowledgement").unwrap() });
        assert_eq!(said.recv_timeout(Duration::from_secs(20)), Ok("an acknowledgement"));
        drop(reading);
    }
}
