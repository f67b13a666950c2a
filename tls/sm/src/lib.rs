//! The Chinese national algorithms: SM2, SM3 and SM4.
