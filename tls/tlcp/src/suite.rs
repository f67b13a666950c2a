//! The four cipher suites of SM2, SM3 and SM4.

use std::fmt;

/// A cipher suite. The suites of IBC (SM9) and RSA are not spoken.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    /// `ECC_SM4_CBC_SM3`, 0xe013.
    EccCbc,
    /// `ECC_SM4_GCM_SM3`, 0xe053.
    EccGcm,
    /// `ECDHE_SM4_CBC_SM3`, 0xe011.
    EcdheCbc,
    /// `ECDHE_SM4_GCM_SM3`, 0xe051.
    EcdheGcm,
}

/// How the premaster secret is agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// The client encrypts it for the server's encryption key.
    Ecc,
    /// The key exchange protocol of SM2, with the encryption keys of both sides.
    Ecdhe,
}

/// How records are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bulk {
    Cbc,
    Gcm,
}

impl CipherSuite {
    /// All of them as a server prefers them: those that every client can speak first, and GCM before CBC.
    pub const ALL: [Self; 4] = [Self::EccGcm, Self::EccCbc, Self::EcdheGcm, Self::EcdheCbc];

    /// The suite of a number on the wire.
    pub fn from_wire(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.to_wire() == number)
    }

    /// The suite of a name of the standard, such as `ECC_SM4_GCM_SM3`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name() == name)
    }

    /// Its number on the wire.
    pub const fn to_wire(self) -> u16 {
        match self {
            Self::EccCbc => 0xe013,
            Self::EccGcm => 0xe053,
            Self::EcdheCbc => 0xe011,
            Self::EcdheGcm => 0xe051,
        }
    }

    /// Its name in the standard.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EccCbc => "ECC_SM4_CBC_SM3",
            Self::EccGcm => "ECC_SM4_GCM_SM3",
            Self::EcdheCbc => "ECDHE_SM4_CBC_SM3",
            Self::EcdheGcm => "ECDHE_SM4_GCM_SM3",
        }
    }

    /// How the premaster secret is agreed on.
    pub const fn key_exchange(self) -> KeyExchange {
        match self {
            Self::EccCbc | Self::EccGcm => KeyExchange::Ecc,
            Self::EcdheCbc | Self::EcdheGcm => KeyExchange::Ecdhe,
        }
    }

    pub(crate) const fn bulk(self) -> Bulk {
        match self {
            Self::EccCbc | Self::EcdheCbc => Bulk::Cbc,
            Self::EccGcm | Self::EcdheGcm => Bulk::Gcm,
        }
    }
}

impl fmt::Debug for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
