//! SM2 (GB/T 32918): signatures, key agreement and encryption over curveSM2.
