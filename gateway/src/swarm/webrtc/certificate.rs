//! The certificate that browsers know us by.

use std::path::Path;

use libp2p::multihash::Multihash;
use multibase::Base;
use rustls::{
    SignatureScheme,
    crypto::aws_lc_rs::sign,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use str0m::config::DtlsCert;

use crate::keys::{self, Error};

/// In the data folder: certificate and private key, PEM, mode 0600.
const FILE: &str = "webrtc.pem";
const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";
/// As libp2p-webrtc names the same, in a file of which everything else is passed over.
const PRIVATE_KEY_OF_OLD: &str = "PRIVATE_KEY";
/// Of a line, as everybody writes PEM.
const LINE: usize = 64;
/// The multihash code of SHA-256.
const SHA2_256: u64 = 0x12;

/// A self-signed certificate with its key.
#[derive(Clone)]
pub(in crate::swarm) struct Certificate(DtlsCert);

/// SHA-256 of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

impl Certificate {
    /// That of this data folder, made when there is none.
    ///
    /// # Errors
    /// When the disk refuses, or the file holds something else.
    pub(in crate::swarm) fn kept(data: &Path) -> Result<Self, Error> {
        let broken = |problem: &str| Error::Content {
            path: data.join(FILE),
            problem: format!("{problem}: delete the file, and this gateway gets a new certificate"),
        };
        let bytes = keys::kept(data, FILE, || {
            let provider = str0m::crypto::from_feature_flags();
            let made = provider.dtls_provider.generate_certificate();
            let made = made.ok_or_else(|| broken("no certificate can be made"))?;
            let text = [
                block(CERTIFICATE, &made.certificate),
                block(PRIVATE_KEY, &made.private_key),
            ];
            Ok(text.concat().into_bytes())
        })?;
        let text = String::from_utf8_lossy(&bytes);
        let lacks = || broken("not a certificate with its key");
        let private_key = find(&text, PRIVATE_KEY).or_else(|| find(&text, PRIVATE_KEY_OF_OLD));
        let kept = DtlsCert {
            certificate: find(&text, CERTIFICATE).ok_or_else(lacks)?,
            private_key: private_key.ok_or_else(lacks)?,
        };
        match is_whole(&kept) {
            true => Ok(Self(kept)),
            false => Err(broken(
                "its key is not the certificate's, or of no curve that DTLS takes",
            )),
        }
    }

    pub(super) fn dtls(&self) -> DtlsCert {
        self.0.clone()
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(&self.0.certificate).into())
    }
}

impl Fingerprint {
    /// As addresses carry it.
    pub(super) fn multihash(self) -> Multihash<64> {
        Multihash::wrap(SHA2_256, &self.0).expect("32 bytes fit 64")
    }
}

/// webrtc-direct.md, "Connection security": what both sides mix into the Noise handshake.
pub(super) fn prologue(client: Fingerprint, server: Fingerprint) -> Vec<u8> {
    let (client, server) = (client.multihash().to_bytes(), server.multihash().to_bytes());
    [b"libp2p-webrtc-noise:", &client[..], &server[..]].concat()
}

/// Whether DTLS can prove with the key that the certificate is ours. It takes a wrong one for a bug, at each connection.
fn is_whole(kept: &DtlsCert) -> bool {
    const TAKEN: [SignatureScheme; 2] = [
        SignatureScheme::ECDSA_NISTP256_SHA256,
        SignatureScheme::ECDSA_NISTP384_SHA384,
    ];
    let key = PrivatePkcs8KeyDer::from(kept.private_key.as_slice());
    let Ok(key) = sign::any_ecdsa_type(&key.into()) else {
        return false;
    };
    let certificate = CertificateDer::from(kept.certificate.clone());
    key.choose_scheme(&TAKEN).is_some()
        && CertifiedKey::new(vec![certificate], key)
            .keys_match()
            .is_ok()
}

/// RFC 7468
fn block(name: &str, bytes: &[u8]) -> String {
    let text = Base::Base64Pad.encode(bytes);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(LINE)
        .map(|line| std::str::from_utf8(line).expect("base64 is ASCII"))
        .collect();
    format!(
        "-----BEGIN {name}-----\n{}\n-----END {name}-----\n",
        lines.join("\n")
    )
}

fn find(text: &str, name: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once(&format!("-----BEGIN {name}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {name}-----"))?;
    let body: String = body.split_whitespace().collect();
    Base::Base64Pad
        .decode(body)
        .ok()
        .filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_stays_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Certificate::kept(folder.path()).unwrap();
        let second = Certificate::kept(folder.path()).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_eq!(first.0.private_key, second.0.private_key);
        let file = folder.path().join(FILE);
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for bad in [
            "",
            "not one",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
        ] {
            std::fs::write(&file, bad).unwrap();
            let error = Certificate::kept(folder.path()).err().unwrap().to_string();
            assert!(error.contains(FILE) && error.contains("delete"), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_none_or_another_is_refused_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let ours = Certificate::kept(folder.path()).unwrap();
        let others = Certificate::kept(other.path()).unwrap();
        for key in [&others.0.private_key[..], b"no key"] {
            let blocks = [
                block(CERTIFICATE, &ours.0.certificate),
                block(PRIVATE_KEY, key),
            ];
            std::fs::write(folder.path().join(FILE), blocks.concat()).unwrap();
            let error = Certificate::kept(folder.path()).err().unwrap().to_string();
            assert!(error.contains(FILE) && error.contains("delete"), "{error}");
        }
    }

    #[test]
    fn one_that_libp2p_webrtc_wrote_stays_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let old = libp2p_webrtc::tokio::Certificate::generate(&mut rand::rng()).unwrap();
        std::fs::write(folder.path().join(FILE), old.serialize_pem()).unwrap();
        let kept = Certificate::kept(folder.path()).unwrap();
        let hash = old.fingerprint().to_multihash();
        assert_eq!(kept.fingerprint().multihash().to_bytes(), hash.to_bytes());
        // Its key is one that DTLS takes: this panics where it is not.
        str0m::Rtc::builder()
            .set_dtls_cert(kept.dtls())
            .build(std::time::Instant::now());
    }

    #[test]
    fn the_prologue_is_that_of_the_specification() {
        // webrtc-direct.md, "Noise prologue", test vector.
        let hash =
            |text: &str| Fingerprint(Base::Base16Lower.decode(text).unwrap().try_into().unwrap());
        let client = hash("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870");
        let server = hash("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99");
        assert_eq!(
            Base::Base16Lower.encode(prologue(client, server)),
            "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"
        );
    }
}
