//! The cryptography of JSON web tokens, from the library that TLS uses too: nothing but the way from one crate to the
//! other. Only the algorithms that are accepted have one.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::jwk::{EllipticCurve, ThumbprintHash};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::rsa::{self, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaEncoding,
    RsaParameters, UnparsedPublicKey,
};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Box::new(Signing::new(*algorithm, key)?)),
    verifier_factory: |algorithm, key| Ok(Box::new(Verifying::new(*algorithm, key)?)),
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: rsa_public,
        rsa_pub_components_from_public_key: |_| Err(refused()),
        ec_pub_components_from_private_key: ec_public,
        ed_pub_components_from_private_key: |_, _| Err(refused()),
        compute_digest: digest,
    },
};

/// Makes this the cryptography of the token library, once a process.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if PROVIDER.install_default().is_err() {
            tracing::error!("another provider of cryptography for tokens was installed before");
        }
    });
}

fn refused() -> Error {
    ErrorKind::InvalidAlgorithm.into()
}

/// A private key, PKCS #8.
enum Signing {
    Ec(EcdsaKeyPair),
    Rsa(Algorithm, &'static dyn RsaEncoding, rsa::KeyPair),
}

impl Signing {
    fn new(algorithm: Algorithm, key: &EncodingKey) -> Result<Self, Error> {
        let der = key.as_bytes();
        let encoding: &'static dyn RsaEncoding = match (algorithm, key.family()) {
            (Algorithm::ES256, AlgorithmFamily::Ec) => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new());
                return pair.map(Self::Ec).map_err(|_| ErrorKind::InvalidEcdsaKey.into());
            }
            (Algorithm::RS256, AlgorithmFamily::Rsa) => &RSA_PKCS1_SHA256,
            (Algorithm::PS256, AlgorithmFamily::Rsa) => &RSA_PSS_SHA256,
            _ => return Err(refused()),
        };
        let pair = rsa::KeyPair::from_pkcs8(der).map_err(|e| ErrorKind::InvalidRsaKey(e.to_string()))?;
        Ok(Self::Rsa(algorithm, encoding, pair))
    }
}

impl Signer<Vec<u8>> for Signing {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let failed = |_| signature::Error::new();
        match self {
            Self::Ec(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|made| made.as_ref().to_vec()).map_err(failed)
            }
            Self::Rsa(_, encoding, pair) => {
                let mut made = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), message, &mut made).map_err(failed)?;
                Ok(made)
            }
        }
    }
}

impl JwtSigner for Signing {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ec(_) => Algorithm::ES256,
            Self::Rsa(algorithm, ..) => *algorithm,
        }
    }
}

/// A public key.
enum Verifying {
    Ec(Vec<u8>),
    Rsa(Algorithm, &'static RsaParameters, PublicKeyComponents<Vec<u8>>),
}

impl Verifying {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Result<Self, Error> {
        let parameters = match (algorithm, key.family()) {
            (Algorithm::ES256, AlgorithmFamily::Ec) => return Ok(Self::Ec(key.try_get_as_bytes()?.to_vec())),
            (Algorithm::RS256, AlgorithmFamily::Rsa) => &RSA_PKCS1_2048_8192_SHA256,
            (Algorithm::PS256, AlgorithmFamily::Rsa) => &RSA_PSS_2048_8192_SHA256,
            _ => return Err(refused()),
        };
        match key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                Ok(Self::Rsa(algorithm, parameters, PublicKeyComponents { n: n.clone(), e: e.clone() }))
            }
            DecodingKeyKind::SecretOrDer(_) => Err(refused()),
        }
    }
}

impl Verifier<Vec<u8>> for Verifying {
    fn verify(&self, message: &[u8], made: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match self {
            Self::Ec(key) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, made),
            Self::Rsa(_, parameters, key) => key.verify(parameters, message, made),
        };
        verified.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifying {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ec(_) => Algorithm::ES256,
            Self::Rsa(algorithm, ..) => *algorithm,
        }
    }
}

fn rsa_public(pkcs8: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let pair = rsa::KeyPair::from_pkcs8(pkcs8).map_err(|e| ErrorKind::InvalidRsaKey(e.to_string()))?;
    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
    Ok((public.n, public.e))
}

fn ec_public(pkcs8: &[u8], algorithm: Algorithm) -> Result<(EllipticCurve, Vec<u8>, Vec<u8>), Error> {
    let wrong = || Error::from(ErrorKind::InvalidEcdsaKey);
    if algorithm != Algorithm::ES256 {
        return Err(wrong());
    }
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new());
    let pair = pair.map_err(|_| wrong())?;
    // An uncompressed point: 4, x, y.
    let point = pair.public_key().as_ref().get(1..).ok_or_else(wrong)?;
    let (x, y) = point.split_at_checked(32).ok_or_else(wrong)?;
    Ok((EllipticCurve::P256, x.to_vec(), y.to_vec()))
}

fn digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>, Error> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &ring::digest::SHA256,
        ThumbprintHash::SHA384 => &ring::digest::SHA384,
        ThumbprintHash::SHA512 => &ring::digest::SHA512,
        _ => return Err(refused()),
    };
    Ok(ring::digest::digest(algorithm, data).as_ref().to_vec())
}
