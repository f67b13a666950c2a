//! Which instructions do the work.

/// A way to compute SM4, by what it asks of the processor. All are constant time: no branch and no address depends on a key or on data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// AVX-512 with GFNI and VPCLMULQDQ: Intel since Ice Lake, AMD since Zen 4.
    Avx512,
    /// AVX2 with GFNI and PCLMULQDQ.
    Gfni,
    /// AVX2 with AES-NI and PCLMULQDQ: Intel since Haswell, AMD since Zen.
    AesNi,
    /// Logic and integer multiplication only: everything else, ARM among them.
    Portable,
}

impl Path {
    /// Every path, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Gfni, Self::AesNi, Self::Portable];

    /// Whether this processor can take it. The processor is asked once per process; later calls read what it said.
    pub fn available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::x86::avx512::detected(),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni => super::x86::gfni::detected() && super::x86::clmul::detected(),
            #[cfg(target_arch = "x86_64")]
            Self::AesNi => super::x86::aesni::detected() && super::x86::clmul::detected(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Gfni | Self::AesNi => false,
            Self::Portable => true,
        }
    }

    /// The fastest that this processor can take.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|path| path.available()).unwrap_or(Self::Portable)
    }
}
